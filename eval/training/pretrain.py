"""Trains the BERT and the ELMo that come with ragkit, from nothing: the command that makes them again.

    OMP_NUM_THREADS=1 python -m eval.training.pretrain bert --data DATA --out runs/bert [--steps 4000] \
                                                                              [--batch-tokens 4096]
    OMP_NUM_THREADS=1 python -m eval.training.pretrain elmo --data DATA --out runs/elmo [--steps 4000]

BERT reads SQuAD's passages and 55 novels (`squad/`, `text/novels_train.txt.gz`), the ELMo the novels. Both go
on where they were stopped. A novel is a document of its own, so that no row runs from one into the next.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ragkit.training.pretraining.elmo import LOOP, ElmoSettings, train_elmo
from ragkit.training.pretraining.mlm import FROM_SCRATCH, MlmSettings, train_mlm
from ragkit.training.recipe import Event

CHAPTER = 60
"""Paragraphs of a novel that make a document: next sentences need many documents of a kind."""


def novels(path: Path, paragraphs: int | None = None) -> Iterator[dict[str, str]]:
    """The novels of a file, a title line "= title =" before each; or pieces of so many paragraphs."""
    title, lines = "", []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        every = [*file, "= ="]
    for line in every:
        if not line.startswith("= "):
            lines.append(line.strip())
            continue
        step = paragraphs or max(1, len(lines))
        for at in range(0, len(lines), step):
            text = "\n".join(lines[at : at + step])
            if text.strip():
                yield {"id": f"{title} {at}", "title": title, "text": text}
        title, lines = line.strip("= \n"), []


def written(data: Path, folder: Path, paragraphs: int | None) -> Path:
    """The novels as JSONL, which every command of ragkit reads."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "novels.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for novel in novels(data / "text" / "novels_train.txt.gz", paragraphs):
            file.write(json.dumps(novel, ensure_ascii=False) + "\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=["bert", "elmo"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch-tokens", type=int, default=4096, help="of BERT; a GPU takes many more")
    options = parser.parse_args()
    console = Console()

    def tell(event: Event) -> None:
        if event["event"] in ("start", "validate", "done"):
            console.print({name: value for name, value in event.items() if name != "kept"})

    if options.model == "bert":
        texts = written(options.data, options.out / "texts", CHAPTER)
        loop = replace(FROM_SCRATCH, learning_rate=1e-3, warm_up=0.05, max_steps=options.steps)
        # Each text is seen about twice: dropout would only slow the learning down.
        settings = MlmSettings(loop, next_sentence=True, dropout=0.0, batch_tokens=options.batch_tokens)
        train_mlm([options.data / "squad", texts], options.out, settings, tell)
    else:
        texts = written(options.data, options.out / "texts", None)
        settings_elmo = ElmoSettings(
            loop=replace(LOOP, max_steps=options.steps), dropout=0.0, rows=64, row_words=48, half=True
        )
        train_elmo([texts], options.out, settings_elmo, tell)


if __name__ == "__main__":
    main()
