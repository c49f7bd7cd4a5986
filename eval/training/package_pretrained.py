"""Puts what `eval.training.pretrain` made into the package, in half precision.

    python -m eval.training.package_pretrained bert runs/bert/model
    python -m eval.training.package_pretrained elmo runs/elmo/model

The model card beside the weights is written by hand.
"""

import argparse
from pathlib import Path

from transformers import AutoTokenizer

from ragkit.encoders.elmo import PACKAGED_ELMO
from ragkit.models.sequence.bert_weights import load_pretraining, save_pretraining
from ragkit.models.sequence.elmo import Elmo
from ragkit.training.pretraining.mlm import PACKAGED_BERT

LIMIT = 25 * 2**20
"""Bytes that the weights may take."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=["bert", "elmo"])
    parser.add_argument("model", type=Path)
    options = parser.parse_args()
    if options.kind == "bert":
        folder = PACKAGED_BERT
        save_pretraining(load_pretraining(options.model), folder, half=True)
        AutoTokenizer.from_pretrained(options.model).save_pretrained(folder)
    else:
        folder = PACKAGED_ELMO
        Elmo.load(options.model).save(folder, half=True)
    size = (folder / "model.safetensors").stat().st_size
    print(f"{folder}: {size / 2**20:.1f} MB of weights{'' if size <= LIMIT else ', more than may ship'}")


if __name__ == "__main__":
    main()
