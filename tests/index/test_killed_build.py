"""kill -9 during a build, at random moments, many times: the old generation stays, nothing is done twice."""

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pyarrow.compute as pc
import pytest
from hashing_encoder import HashingEncoder

from ragkit.index.generations import Generations
from ragkit.index.passages import passage_key
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_cache import VectorCache
from ragkit.index.writing import CACHE

SCRIPT = Path(__file__).with_name("killed_build.py")
KILLS = 16

_spec = importlib.util.spec_from_file_location("killed_build", SCRIPT)
assert _spec and _spec.loader
killed_build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(killed_build)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks the builds that it kills")
def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    index, log = tmp_path / "index", tmp_path / "encoded.txt"
    log.touch()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, SCRIPT, index, log], stdin=-1, stdout=-1, text=True, env=environment
    )
    assert server.stdin and server.stdout

    def build(version: int, lifetime: float | None) -> bool:
        """Whether the build came to its end before it was killed."""
        assert server.stdin and server.stdout
        print(version, file=server.stdin, flush=True)
        child = int(server.stdout.readline())
        if lifetime is not None:
            time.sleep(lifetime)
            with suppress(ProcessLookupError):  # it was faster
                os.kill(child, signal.SIGKILL)
        status = int(server.stdout.readline())
        assert status in (0, signal.SIGKILL), f"the build failed with status {status}"
        return status == 0

    try:
        assert build(0, None)
        start = time.perf_counter()
        assert build(1, None)
        whole = time.perf_counter() - start
        rng = random.Random(0)
        version, killed, kept_before, unsaved = 1, 0, _kept(index), 0
        seen = len(log.read_text().splitlines())
        while killed < KILLS or version < 3:
            done = build(version + 1, rng.random() * whole if killed < KILLS else None)
            killed += not done
            # What reached the disk before this build was not encoded in it again.
            new = log.read_text().splitlines()[seen:]
            seen += len(new)
            assert not {passage_key("", text.removeprefix(" ")) for text in new} & kept_before
            kept = _kept(index)
            unsaved += len({passage_key("", text.removeprefix(" ")) for text in new} - kept)
            assert kept_before <= kept, "the cache has lost vectors"
            kept_before = kept
            # Readers see the old generation or the new one, complete.
            shown = _texts(index)
            assert shown in (_expected(version), _expected(version + 1))
            version += shown == _expected(version + 1)
        assert build(version + 1, None)
    finally:
        server.stdin.close()
        server.wait()
    assert StoredIndex.open(index, HashingEncoder()).verify() == []
    twice = Counter(log.read_text().splitlines())
    # Only a batch that was in the encoder's hands when the process died is encoded once more.
    assert sum(twice.values()) - len(twice) <= unsaved <= KILLS * killed_build.BATCH
    assert len(list((index / "generations").iterdir())) == 1, "unfinished generations are cleared away"


def _texts(index: Path) -> list[str]:
    reader = StoredIndex.open(index)
    assert reader.verify(encoder=False) == []
    return [passage.text for passage in reader.passages(range(len(reader)))]


def _expected(version: int) -> list[str]:
    return [document.text.strip() for document in killed_build.documents(version)]


def _kept(index: Path) -> set[bytes]:
    passport = Generations(index).current().manifest.passport
    cache = VectorCache(index / CACHE, passport.fingerprint, passport.dimension)
    return {key for keys in cache._keys for key in pc.unique(keys).to_pylist()}
