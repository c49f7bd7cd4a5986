"""Puts what `eval.training.pretrain` made into the package, in half precision, with its model card.

    python -m eval.training.package_pretrained bert runs/bert
    python -m eval.training.package_pretrained elmo runs/elmo

The cards are those of `eval/training/cards/`, filled with what the run says of itself.
"""

import argparse
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from eval.training.bert import of_run
from ragkit.encoders.elmo import PACKAGED_ELMO
from ragkit.models.sequence.bert_weights import load_pretraining, save_pretraining
from ragkit.models.sequence.elmo import Elmo
from ragkit.training.pretraining.mlm import PACKAGED_BERT

CARDS = Path(__file__).with_name("cards")
LIMIT = 25 * 2**20
"""Bytes that the weights may take."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=["bert", "elmo"])
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    fields: dict[str, Any] = of_run(options.run)
    if options.kind == "bert":
        folder = PACKAGED_BERT
        bert = load_pretraining(options.run / "model")
        save_pretraining(bert, folder, half=True)
        AutoTokenizer.from_pretrained(options.run / "model").save_pretrained(folder)
        fields["weights"] = sum(p.numel() for p in bert.parameters()) / 1e6
    else:
        folder = PACKAGED_ELMO
        elmo = Elmo.load(options.run / "model")
        elmo.save(folder, half=True)
        fields["weights"] = sum(p.numel() for p in elmo.parameters()) / 1e6
        fields["vocabulary"] = len(elmo.vocabulary)
    card = (CARDS / f"{options.kind}.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(card.format(minutes=fields["seconds"] / 60, **fields), encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o644)
    size = (folder / "model.safetensors").stat().st_size
    print(f"{folder}: {size / 2**20:.1f} MB of weights{'' if size <= LIMIT else ', more than may ship'}")


if __name__ == "__main__":
    main()
