"""Grades the reader and the generator on SQuAD v1.1 dev: with the gold paragraph, and over all paragraphs.

    python -m eval.qa.run --data DATA [--suites gold open] [--systems reader generator] [--limit N]

`gold` gives each question its paragraph; `open` finds 5 of the 20,958 paragraphs by default retrieval. Writes
eval/results/qa.json and qa.md (what was not asked for keeps what the last run printed) and, beside the
indexes, every question's answer (`qa/SUITE.SYSTEM.jsonl`) and a report that `ragkit eval compare` reads.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.printed import RESULTS
from eval.qa.report import write_report
from eval.retrieval.sets import SUITES, index_of
from ragkit.corpus.questions import QuestionSet, load_questions
from ragkit.evaluation.qa import QaReport, evaluate_qa
from ragkit.evaluation.report import write_json, write_records
from ragkit.generation.answerer import Answerer
from ragkit.retrieval.index import Index


def questions_of(suite: str, data: Path, limit: int | None) -> tuple[QuestionSet, int]:
    """The suite's questions, `limit` of them evenly spread, and how many there are."""
    if suite == "gold":
        found = load_questions(data / "squad_rc" / "dev-v1.1.json.gz")
    else:
        found = load_questions(data / "squad", "dev")
    count = len(found.questions)
    if limit is not None and limit < count:
        found.questions = [found.questions[at * count // limit] for at in range(limit)]
    return found, count


def answerer_of(system: str, index: Index | None, options: argparse.Namespace) -> Answerer:
    """Every question of SQuAD v1.1 has an answer, so that none may be left without."""
    settings: dict[str, Any] = {"k": options.k, "temperature": options.temperature}
    if system == "reader":
        from ragkit.generation.reader import ExtractiveReader

        return ExtractiveReader(index, options.reader, allow_empty=False, **settings)
    from ragkit.generation.rag_sequence import RagSequence

    return RagSequence(index, options.generator, beams=options.beams, min_answer_tokens=2, **settings)


def summary(report: QaReport, of: int) -> dict[str, Any]:
    """What is kept of a report in the repository: all but the single questions."""
    return {
        "questions": len(report.records),
        "of": of,
        "measures": {name: asdict(estimate) for name, estimate in report.measures.items()},
        "misses": dict(report.misses),
        "seconds": round(report.seconds, 1),
        "config": report.config,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds squad and squad_rc")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--suites", nargs="+", choices=["gold", "open"], default=["gold", "open"])
    parser.add_argument(
        "--systems", nargs="+", choices=["reader", "generator"], default=["reader", "generator"]
    )
    parser.add_argument("--reader", default="packaged", help="packaged, a folder or a hub id")
    parser.add_argument("--generator", default="packaged", help="packaged, a folder, a hub id or a GGUF file")
    parser.add_argument("-k", type=int, default=5, help="passages a question, where they are searched for")
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument(
        "--temperature", type=float, help="of p(z|x); left out, the default of the search mode"
    )
    parser.add_argument("--limit", type=int, help="only so many questions, evenly spread")
    options = parser.parse_args()

    kept = RESULTS / "qa.json"
    results: dict[str, Any] = {}
    RESULTS.mkdir(exist_ok=True)
    for suite in options.suites:
        questions, count = questions_of(suite, options.data, options.limit)
        index = index_of(SUITES["squad"], options.data, options.indexes) if suite == "open" else None
        for system in options.systems:

            def show(done: int, total: int, what: str = f"{suite} {system}") -> None:
                print(f"\r{what} {done}/{total} questions   ", end="", file=sys.stderr)

            report = evaluate_qa(
                answerer_of(system, index, options), questions, name=system, on_questions=show
            )
            print(file=sys.stderr)
            path = options.indexes.parent / "qa" / f"{suite}.{system}.json"
            write_json(report, path)
            write_records(report, path.with_suffix(".jsonl"))
            if kept.is_file():  # read late: suites may be run side by side
                results = json.loads(kept.read_text(encoding="utf-8"))
            results.setdefault(suite, {})[system] = summary(report, count)
            kept.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(write_report(results, RESULTS))


if __name__ == "__main__":
    main()
