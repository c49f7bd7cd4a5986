"""Misspelt questions: do an ELMo's letters help BM25, and more than BM25 over letter n-grams does?

    python -m eval.retrieval.typos --data DATA --elmo elmo:packaged [--set selqa]

A share of each question's words gets one typo (`ragkit eval retrieval --typos`). The hybrid's numbers are
tuned on the tuning split at the same share (`ragkit index tune`); the test split is only measured. N-gram
BM25 is the baseline to beat: bm25s over all runs of 3 to 5 letters of each word, its edges included.
`--packaged` puts the packaged encoder beside them. Writes eval/results/typos.md and .json.
"""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from eval.cells import tested
from eval.printed import RESULTS, last_run
from eval.retrieval.run import search
from eval.retrieval.sets import SUITES, Suite, index_of, questions_of
from ragkit.corpus.questions import Question
from ragkit.encoders.loading import load_encoder
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.report import markdown
from ragkit.evaluation.runs import Run
from ragkit.evaluation.statistics import compare, estimate
from ragkit.evaluation.typos import with_typos
from ragkit.retrieval.index import Index
from ragkit.training.retrieval.fusion import tune

MEASURE = "nDCG@10"
SHARES = (0.0, 0.1, 0.2)
GRAMS = range(3, 6)
DEPTH = 100
FUSED, WORDS, LETTERS = "ELMo + BM25", "BM25", "n-gram BM25"


def letter_grams(text: str) -> list[str]:
    """All runs of 3, 4 and 5 letters of each word, "<" and ">" being its edges."""
    edged = [f"<{word}>" for word in re.findall(r"\w+", text.lower())]
    return [
        word[at : at + size] for word in edged for size in GRAMS for at in range(max(1, len(word) - size + 1))
    ]


class LetterGramBm25:
    """BM25 over letter n-grams of an index's passages."""

    def __init__(self, index: Index) -> None:
        import bm25s

        passages = index.passages(range(len(index)))
        self._names = [passage.id for passage in passages]
        self._model = bm25s.BM25()
        grams = [letter_grams(f"{passage.title} {passage.text}") for passage in passages]
        self._model.index(grams, show_progress=False)

    def search(self, questions: Sequence[Question]) -> Run:
        run: Run = {}
        for question in questions:
            known = [gram for gram in letter_grams(question.text) if gram in self._model.vocab_dict]
            scores = self._model.get_scores(known) if known else np.zeros(len(self._names))
            best = np.argsort(-scores, kind="stable")[:DEPTH]
            run[question.id] = {self._names[at]: float(scores[at]) for at in best}
        return run


def misspelt(questions: Sequence[Question], share: float) -> list[Question]:
    return [replace(one, text=with_typos(one.text, share)) for one in questions]


def measure(suite: Suite, options: argparse.Namespace) -> dict[str, Any]:
    encoder = load_encoder(options.elmo)
    folder = options.indexes.parent / "typos" / encoder.passport().fingerprint[:12] / suite.name
    if not (folder / "current.json").is_file():
        Index.build(options.data / suite.name, folder, encoder=encoder, factory="flat")
    index = Index.open(folder, encoder)
    packaged = index_of(suite, options.data, options.indexes) if options.packaged else None
    grams = LetterGramBm25(index)
    assert suite.tuning is not None
    to_tune = questions_of(suite, suite.tuning, options.data, options.questions)
    questions = questions_of(suite, suite.test, options.data, options.questions)
    qrels = {question.id: question.relevant for question in questions}
    shares = {}
    for share in SHARES:
        asked = misspelt(questions, share)
        tuned = tune(index, misspelt(to_tune, share))
        runs = {
            WORDS: search(index, asked, "lexical")[0],
            LETTERS: grams.search(asked),
            "ELMo": search(index, asked, "dense")[0],
            FUSED: search(Index.open(folder, encoder), asked, "hybrid")[0],
        }
        if packaged is not None:
            runs["MiniLM"] = search(packaged, asked, "dense")[0]
            runs["MiniLM + BM25"] = search(packaged, asked, "hybrid")[0]
        values = {name: evaluate_run(run, qrels, [MEASURE])[MEASURE] for name, run in runs.items()}
        shares[str(share)] = {
            "tuned": tuned.kept,
            "systems": {name: asdict(estimate(of)) for name, of in values.items()},
            "against": {
                name: asdict(compare(MEASURE, values[name], values[FUSED])) for name in (WORDS, LETTERS)
            },
        }
    return {
        "title": f"{suite.title} {suite.test}",
        "questions": len(questions),
        "passages": len(index),
        "elmo": options.elmo,
        "packaged": options.packaged,
        "shares": shares,
    }


def report(results: dict[str, Any]) -> str:
    text = ["# Misspelt questions\n"]
    for name, one in results.items():
        rows = []
        for share, at in one["shares"].items():
            systems = at["systems"]
            rows.append(
                [f"{100 * float(share):g} %", *(f"{of['mean']:.3f}" for of in systems.values())]
                + [tested(at["against"][peer]) for peer in (WORDS, LETTERS)]
            )
        systems = next(iter(one["shares"].values()))["systems"]
        head = ["words misspelt", *systems, f"{FUSED} minus {WORDS}", f"minus {LETTERS}"]
        text.append(
            f"`python -m eval.retrieval.typos --data DATA --elmo {one['elmo']} --set {name}"
            f"{' --packaged' if one['packaged'] else ''}`: {MEASURE} of "
            f"{one['questions']:,} questions of {one['title']} over {one['passages']:,} passages. ELMo is "
            "the encoder alone, + BM25 the hybrid, ELMo's with numbers tuned on the tuning split at the same "
            "share of typos. 95 % bootstrap intervals of paired differences, p of the paired randomisation "
            "test.\n\n" + markdown(head, rows)
        )
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--elmo", default="elmo:packaged")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    tunable = [name for name, suite in SUITES.items() if suite.tuning]
    parser.add_argument("--set", nargs="+", choices=tunable, default=["selqa"])
    parser.add_argument("--packaged", action="store_true", help="the packaged encoder's index, too")
    parser.add_argument("--questions", type=int, default=1000, help="of each split, at most")
    options = parser.parse_args()
    kept = RESULTS / "typos.json"
    results = last_run(kept)
    for name in options.set:
        results[name] = measure(SUITES[name], options)
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        text = report(results)
        (RESULTS / "typos.md").write_text(text, encoding="utf-8")
        print(f"\n{text}")


if __name__ == "__main__":
    main()
