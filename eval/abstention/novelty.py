"""Can a density of the passages tell which questions they do not answer? Beside the highest similarity.

    python -m eval.abstention.novelty --data DATA [--sets NAME...]

Each question is scored from its vector and the passages' alone, by models fitted to the passages: nothing is
tuned on questions. Four sets. Of CLAPNQ and of SQuAD v2.0 dev, half of the questions have no answer in the
passages but are about the same things; the questions of another corpus are about others: MedQuAD's asked of
SciFact (whose own are claims), SQuAD's asked of CLAPNQ. Writes eval/results/novelty.json and .md; sets not
asked for keep what the last run printed.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eval import cells
from eval.abstention.questions import spread
from eval.printed import RESULTS, last_run
from eval.retrieval.sets import SUITES, index_of, questions_of
from ragkit.chapters.generative.density import SCORES
from ragkit.corpus.questions import load_questions
from ragkit.evaluation.abstention import auroc, interval
from ragkit.evaluation.report import markdown
from ragkit.retrieval.index import Index
from ragkit.training.answering.data import read_squad

BASELINE = "highest similarity"
COUNT = 300
"""Questions of either kind at most."""


@dataclass(frozen=True)
class Asked:
    """An index, questions that it answers, and questions that it does not."""

    index: Index
    answered: list[str]
    unanswered: list[str]


def clapnq(data: Path, indexes: Path) -> Asked:
    questions = load_questions(data / "clapnq", "test").questions
    texts: dict[bool, list[str]] = {True: [], False: []}
    for question in questions:
        texts[bool(question.answers)].append(question.text)
    return Asked(index_of(SUITES["clapnq"], data, indexes), texts[True], texts[False])


def squad_2(data: Path, indexes: Path) -> Asked:
    """Of all paragraphs of SQuAD, those of v2.0 dev among them."""
    examples = read_squad(data / "squad_rc" / "dev-v2.0.json.gz")
    with_answer, without = (
        [e.question for e in spread([e for e in examples if bool(e.answers) is wanted], COUNT)]
        for wanted in (True, False)
    )
    return Asked(index_of(SUITES["squad"], data, indexes), with_answer, without)


def medquad_of_scifact(data: Path, indexes: Path) -> Asked:
    index = index_of(SUITES["scifact"], data, indexes)
    return Asked(index, *(_texts(name, data) for name in ("scifact", "medquad")))


def squad_of_clapnq(data: Path, indexes: Path) -> Asked:
    own = clapnq(data, indexes)
    return Asked(own.index, own.answered, _texts("squad", data))


SETS: dict[str, Callable[[Path, Path], Asked]] = {
    "CLAPNQ": clapnq,
    "SQuAD v2.0 dev": squad_2,
    "SciFact, asked MedQuAD": medquad_of_scifact,
    "CLAPNQ, asked SQuAD": squad_of_clapnq,
}


def measured(asked: Asked) -> dict[str, Any]:
    index = asked.index
    passages = torch.from_numpy(np.array(index.passage_vectors()(np.arange(len(index)))))
    questions = torch.from_numpy(index.encoder.encode_questions([*asked.answered, *asked.unanswered]))
    answerable = np.arange(len(questions)) < len(asked.answered)
    scores = {name: score(passages, questions).double().numpy() for name, score in SCORES.items()}

    def gain(own: Any, baseline: Any, label: Any) -> float:
        return auroc(own, label) - auroc(baseline, label)

    return {
        "passages": len(index),
        "questions": len(questions),
        "scores": {
            name: {
                "auroc": asdict(interval(auroc, score, answerable)),
                "gain": asdict(interval(gain, score, scores[BASELINE], answerable)),
            }
            for name, score in scores.items()
        },
    }


def report(results: dict[str, Any]) -> str:
    rows = []
    for name, result in results.items():
        for score, reached in result["scores"].items():
            gain = reached["gain"]
            verdict = "better" if gain["low"] > 0 else "worse" if gain["high"] < 0 else "no difference"
            baseline = score == BASELINE
            rows.append(
                [
                    name,
                    f"{result['questions']:,}",
                    score,
                    cells.interval(reached["auroc"]),
                    "" if baseline else cells.difference({"difference": gain}),
                    "baseline" if baseline else verdict,
                ]
            )
    head = ["passages, questions", "questions", "score", "AUROC", "over the highest similarity", "verdict"]
    return (
        "# Questions that the corpus cannot answer\n\n"
        "`python -m eval.abstention.novelty --data DATA`: how well a score of a question's vector among the "
        "passages' tells questions with an answer from those without; densities are fitted to the passages, "
        "VAE and GAN three times each. 95 % bootstrap intervals, paired for the gain.\n\n"
        f"{markdown(head, rows)}\n"
    )


def _texts(name: str, data: Path) -> list[str]:
    suite = SUITES[name]
    return [question.text for question in questions_of(suite, suite.test, data, COUNT)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of data sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options = parser.parse_args()
    kept = RESULTS / "novelty.json"
    results: dict[str, Any] = last_run(kept)
    for name in options.sets:
        results[name] = measured(SETS[name](options.data, options.indexes))
        ordered = {known: results[known] for known in SETS if known in results}
        kept.write_text(json.dumps(ordered) + "\n", encoding="utf-8")
        (RESULTS / "novelty.md").write_text(report(ordered), encoding="utf-8")
    print(report({known: results[known] for known in SETS if known in results}))


if __name__ == "__main__":
    main()
