"""The packaged reader and generator made smaller: F1 on SQuAD's dev part with the gold paragraph given.

    python -m eval.compress.answers --data DATA [--questions 400] [--roles reader generator]

Each way once as it comes out and once trained towards what the model said before (`ragkit compress --steps`),
on questions and paragraphs of SQuAD's training part, without their answers. The same dev questions are asked
of every model, in float32 by torch. Writes eval/results/compress_answers.{json,md} (roles not asked for keep
what the last run printed); a run that was cut off goes on. Training takes a GPU where there is one; without,
the narrow readers take hours.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.cells import difference, interval
from eval.printed import RESULTS, last_run
from eval.retrieval.sets import SUITES, questions_of
from ragkit.corpus.questions import QuestionSet, load_questions
from ragkit.evaluation.statistics import compare, estimate
from ragkit.training.compression.judging import judge_of
from ragkit.training.compression.models import HELD_OUT, CompressionSettings, How, compress_only, named
from ragkit.training.compression.subject import Example, Role, load_subject

SUITE = SUITES["squad"]
ROLES: tuple[Role, ...] = ("reader", "generator")
WAYS: tuple[How, ...] = ("int4", "ffn", "heads")
TRAINED: dict[Role, tuple[CompressionSettings, ...]] = {
    "reader": (
        CompressionSettings(how="int4", steps=60),
        CompressionSettings(how="ffn", steps=3666, batch=32, learning_rate=1.5e-4),
        CompressionSettings(how="heads", steps=4211, batch=32, learning_rate=1.5e-4),
    ),
    "generator": (
        CompressionSettings(how="int4", steps=60),
        CompressionSettings(how="ffn", steps=60, learning_rate=2e-4),
        CompressionSettings(how="heads", steps=60, learning_rate=2e-4),
    ),
}
"""The narrow readers' steps are what five minutes of an H200 gave both."""


def examples_of_training(data: Path, count: int) -> list[Example]:
    """Questions of the training part with their paragraphs, drawn with a fixed seed."""
    asked = questions_of(SUITE, "train", data, count)
    documents = load_questions(data / SUITE.name, "train").documents
    assert documents is not None
    wanted = {name for question in asked for name in question.relevant}
    texts = {document.id: document.text for document in documents() if document.id in wanted}
    return [(question.text, texts[next(iter(question.relevant))]) for question in asked]


def ways(role: Role) -> list[CompressionSettings]:
    found = [CompressionSettings(how="int8")]
    for how, trained in zip(WAYS, TRAINED[role], strict=True):
        found += [CompressionSettings(how=how), trained]
    return found


def measured(role: Role, asked: QuestionSet, examples: list[Example], kept: Path) -> list[Any]:
    judge = judge_of(role, asked)
    original = load_subject("packaged", role)
    first = judge.values(original)
    rows = [{"name": "as it was", "bytes": original.bytes, "score": asdict(estimate(first))}]
    for settings in ways(role):
        out = kept / f"{role}, {named(settings)}"
        if not (out / "model").is_dir():
            compress_only(load_subject("packaged", role), out, settings, examples)
        (weights,) = (out / "model").glob("model*.safetensors")
        values = judge.values(load_subject(str(out / "model"), role))
        rows.append(
            {
                "name": named(settings),
                "bytes": weights.stat().st_size,
                "score": asdict(estimate(values)),
                **asdict(compare(judge.measure, first, values)),
            }
        )
        print(role, named(settings), f"{values.mean():.3f}", flush=True)
    return rows


def report(found: dict[str, Any]) -> str:
    lines = [
        "# Reader and generator made smaller",
        "",
        "`python -m eval.compress.answers --data DATA`: F1 on questions of SQuAD's dev part, the gold",
        "paragraph given, in float32 by torch; brackets: 95 % intervals over questions, paired for the",
        "difference to the model as it was. `ffn` and `heads`: half of the hidden units, half of the heads.",
        "Trained ones learn what the model said before on questions and paragraphs of the training part.",
        "",
        "| model | questions | MB | F1 | difference |",
        "|---|---:|---:|---|---|",
    ]
    for role, one in found.items():
        for row in one["rows"]:
            change = difference(row) if "difference" in row else ""
            lines.append(
                f"| {role}, {row['name']} | {one['questions']:,} | {row['bytes'] / 1e6:.1f} | "
                f"{interval(row['score'])} | {change} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds SQuAD")
    parser.add_argument("--questions", type=int, default=400, help="of the dev part")
    parser.add_argument("--roles", nargs="+", choices=ROLES, default=ROLES)
    parser.add_argument("--kept", type=Path, default=Path("runs/compress"), help="models of before")
    given = parser.parse_args()
    every = load_questions(given.data / SUITE.name, SUITE.test)
    asked = QuestionSet(
        every.name, every.split, questions_of(SUITE, SUITE.test, given.data, given.questions), every.documents
    )
    target = RESULTS / "compress_answers.json"
    for role in given.roles:
        longest = max(one.steps * one.batch for one in TRAINED[role])
        examples = examples_of_training(given.data, HELD_OUT + longest)
        rows = measured(role, asked, examples, given.kept)
        found = last_run(target)
        found[role] = {"questions": len(asked.questions), "rows": rows}
        target.write_text(json.dumps(found, indent=1) + "\n")
        target.with_suffix(".md").write_text(report(found))
    print(report(found))


if __name__ == "__main__":
    main()
