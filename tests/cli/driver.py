"""Runs the `ragkit` command with the hashing encoder for a model; it waits $PAUSE seconds for each batch."""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hashing_encoder import HashingEncoder

import ragkit.encoders.loading
from ragkit_cli.main import run


class Slow(HashingEncoder):
    def encode_passages(self, passages):  # type: ignore[no-untyped-def]
        if len(passages) > 2:  # not the passport's canaries
            print("encoding", flush=True)
            time.sleep(float(os.environ.get("PAUSE", "0")))
        return super().encode_passages(passages)


# A background job of a shell is started with Ctrl-C ignored; here it is what is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
ragkit.encoders.loading.load_encoder = Slow.named
run()
