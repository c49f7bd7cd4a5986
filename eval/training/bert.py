"""A pretrained BERT on text it never saw: WikiText-2's test part.

    python -m eval.training.bert --data DATA [--model bert] [--run runs/bert]

Masked accuracy and loss, the masks always the same, beside the best that frequencies can do: those of the
test part itself, which no unigram model can beat. Next sentences of its first twenty articles, half of
them drawn from another article. `--run` adds what the training run saw of its own held-out text. Writes
eval/results/bert.md and .json.
"""

import argparse
import json
import os
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eval.speed.measuring import write_results
from ragkit.chapters.sequence.language import wikitext_articles
from ragkit.evaluation.report import markdown
from ragkit.models.sequence.bert_weights import load_pretraining
from ragkit.training.pretraining.mlm import PACKAGED_BERT, MlmRecipe, MlmSettings
from ragkit.training.pretraining.mlm_data import Text, tokenise

ARTICLES = 20
"""That sentence pairs are made of."""


def plain(words: list[str]) -> str:
    """A paragraph of WikiText-2 as it was written, but for its rare words."""
    text = " ".join(words).replace("<unk>", "[UNK]")
    for mark in "-,.":
        text = text.replace(f" @{mark}@ ", mark)
    return text


def read(tokenizer: Any) -> list[Text]:
    """The test part's articles as token ids, a rare word one [UNK] that is never masked."""
    articles = ["\n".join(map(plain, article)) for article in wikitext_articles("test")]
    return tokenise(articles, tokenizer)


def measure(folder: Path) -> dict[str, Any]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = read(tokenizer)
    longest = min(128, tokenizer.model_max_length)
    scores: dict[str, float] = {}
    for next_sentence in (False, True):
        model = load_pretraining(folder)
        if next_sentence and model.next_head is None:
            continue
        settings = MlmSettings(max_tokens=longest, batch_tokens=4096, next_sentence=next_sentence)
        with torch.inference_mode():
            some = texts[:ARTICLES] if next_sentence else texts
            found = MlmRecipe(model, tokenizer, some, some, settings).validate(model)
        scores |= {"next_accuracy": found["next_accuracy"]} if next_sentence else found
    special = set(tokenizer.all_special_ids)
    counts = np.bincount(np.concatenate(list(chain(*texts))), minlength=len(tokenizer)).astype(float)
    counts[[at for at in range(len(counts)) if at in special]] = 0
    shares = counts[counts > 0] / counts.sum()
    return scores | {
        "unigram_loss": float(-(shares * np.log(shares)).sum()),
        "top_piece": float(shares.max()),
        "tokens": float(counts.sum()),
        "weights": float(sum(p.numel() for p in load_pretraining(folder).parameters())),
    }


def of_run(run: Path) -> dict[str, Any]:
    """Steps and the last validation of a training run."""
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines() if line]
    last = [event for event in events if event["event"] == "validate"][-1]
    steps = [event for event in events if event["event"] == "step"][-1]
    return {"seconds": steps["seconds"]} | {k: v for k, v in last.items() if k not in ("event", "kept")}


def report(results: dict[str, Any], options: argparse.Namespace) -> str:
    scores = results["wikitext2"]
    rows = [
        ["accuracy of a hidden token", f"{scores['accuracy']:.3f}", f"{scores['top_piece']:.3f}"],
        ["loss, nats a hidden token", f"{scores['loss']:.2f}", f"{scores['unigram_loss']:.2f}"],
    ]
    if "next_accuracy" in scores:
        rows.append(["next sentence told", f"{scores['next_accuracy']:.3f}", "0.500"])
    text = (
        "# The BERT that comes with ragkit\n\n"
        f"`python -m eval.training.bert --data DATA --model {options.model}"
        f"{f' --run {options.run}' if options.run else ''}`: {scores['weights'] / 1e6:.1f} "
        f"million weights, WikiText-2's test part, {scores['tokens']:,.0f} pieces. The unigram is the test "
        "part's own: its entropy, and the share of its most frequent piece.\n\n"
        f"{markdown(['', 'reached', 'unigram, or chance'], rows)}"
    )
    if run := results.get("run"):
        text += (
            f"\nOn text held out of its own sources, after {run['step']:,.0f} steps and "
            f"{run['seconds'] / 60:.0f} minutes: loss {run['loss']:.2f}, accuracy {run['accuracy']:.3f}, "
            f"next sentence {run.get('next_accuracy', float('nan')):.3f}.\n"
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds text/")
    parser.add_argument("--model", default="bert", help="bert, the packaged one, or a folder")
    parser.add_argument("--run", type=Path, help="folder of its training run")
    options = parser.parse_args()
    os.environ["RAGKIT_DATA"] = str(options.data.resolve())
    folder = PACKAGED_BERT if options.model == "bert" else Path(options.model)
    results: dict[str, Any] = {"wikitext2": measure(folder)}
    if options.run:
        results["run"] = of_run(options.run)
    write_results("bert", results, report(results, options))


if __name__ == "__main__":
    main()
