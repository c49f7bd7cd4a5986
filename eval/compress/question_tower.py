"""The packaged encoder's question tower made smaller: what is lost and won.

    python -m eval.compress.question_tower --data DATA --indexes INDEXES [--steps N] [--batch 512]

Half of the layers, or half of the hidden units; each learns the vectors that the whole tower gives to the
training splits' questions and to stretches of passages. Then the test questions of every retrieval set, on
indexes of passages encoded by the whole encoder: recall@10 of dense search and nDCG@10 of the default hybrid,
paired with the whole tower's. Times: one question as the index asks it (exported graphs, one thread), all in
turn, the processor's.

An index of int8 vectors takes no other tower: `ragkit index build DATA/scifact --out INDEXES/scifact --index
flat --precision bf16`. Towers that `--kept` holds are not trained again; training takes a GPU where there is
one. Writes eval/results/question_tower.{json,md}.
"""

import argparse
import json
import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from eval.cells import difference, interval
from eval.printed import RESULTS
from eval.retrieval.run import search
from eval.retrieval.sets import SUITES, index_of, questions_of
from eval.speed.measuring import Spread, processor, ratio
from ragkit.corpus.questions import load_questions
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.statistics import compare, estimate
from ragkit.retrieval.index import Index, Mode
from ragkit.training.compression.models import CompressionSettings, How, compress_only, examples_of, named
from ragkit.training.compression.question_tower import question_tower
from ragkit.training.compression.subject import Example
from ragkit.training.compression.timing import in_turn

SAMPLE = 1000
"""Questions a set."""
AS_IT_WAS = "as it was"
WARM_UP, TIMED = 60, 200
"""Questions that are encoded before the times count, and those that do."""
STRETCHES = 3
"""Of each passage."""
WAYS: tuple[tuple[How, int, float], ...] = (("ffn", 7649, 3e-4), ("layers", 5942, 5e-4))
"""Half of each stays; steps, as many as five minutes of an H200 gave both; learning rate."""
MEASURES: tuple[tuple[Mode, str], ...] = (("dense", "R@10"), ("hybrid", "nDCG@10"))


def training_examples(data: Path) -> list[Example]:
    """Questions of the training splits, and stretches of all passages of these sets."""
    texts: list[str] = []
    for suite in SUITES.values():
        if suite.tuning == "train":
            loaded = load_questions(data / suite.name, "train")
            assert loaded.documents is not None
            passages = [document.text for document in loaded.documents()]
            texts += [question.text for question in loaded.questions]
            texts += [text for seed in range(STRETCHES) for text, _ in examples_of(passages, seed=seed)]
    return [(texts[at], "") for at in np.random.default_rng(0).permutation(len(texts))]


def towers(data: Path, steps: int | None, batch: int, kept: Path) -> dict[str, Path]:
    """The folders of the encoders, trained where they are not there yet, by name."""
    found = {}
    examples: list[Example] = []
    for how, usual, rate in WAYS:
        settings = CompressionSettings(how=how, steps=steps or usual, batch=batch, learning_rate=rate)
        out = kept / f"question tower, {named(settings)}"
        if not (out / "model").is_dir():
            examples = examples or training_examples(data)
            compress_only(question_tower("packaged"), out, settings, examples)
        found[named(settings)] = out / "model"
    return found


def measure(given: argparse.Namespace) -> dict[str, Any]:
    trained = towers(given.data, given.steps, given.batch, given.kept)
    smaller = {name: load_encoder(folder) for name, folder in trained.items()}
    sets = []
    for suite in (SUITES[name] for name in given.sets):
        index = index_of(suite, given.data, given.indexes)
        indexes = {AS_IT_WAS: index, **{name: Index.open(index.path, one) for name, one in smaller.items()}}
        questions = questions_of(suite, suite.test, given.data, SAMPLE)
        qrels = {question.id: question.relevant for question in questions}
        values = {
            name: {
                f"{mode} {measure}": evaluate_run(search(one, questions, mode)[0], qrels, [measure])[measure]
                for mode, measure in MEASURES
            }
            for name, one in indexes.items()
        }
        rows = {
            name: {
                measure: {
                    "score": asdict(estimate(found)),
                    **asdict(compare(measure, values[AS_IT_WAS][measure], found)),
                }
                for measure, found in of_tower.items()
            }
            for name, of_tower in values.items()
        }
        sets.append({"title": f"{suite.title} {suite.test}", "questions": len(questions), "rows": rows})
    return {"processor": processor(), "sets": sets, "times": times(trained, [q.text for q in questions])}


def times(trained: dict[str, Path], questions: list[str]) -> dict[str, Any]:
    """Milliseconds of a question in each tower's graph, and how many times the whole tower's that is."""
    encoders = {AS_IT_WAS: load_encoder("packaged", "openvino", "bf16")}
    encoders |= {name: load_encoder(folder, "openvino", "bf16") for name, folder in trained.items()}
    for encoder in encoders.values():
        assert isinstance(encoder, SentenceEncoder)
        encoder.threads = 1
    asking = [
        lambda n, encoder=encoder: encoder.encode_questions([questions[n]]) for encoder in encoders.values()
    ]
    seconds = in_turn(asking, min(WARM_UP + TIMED, len(questions)), time.process_time)
    counted = {name: spent[WARM_UP:] for name, spent in zip(encoders, seconds, strict=True)}
    return {
        name: {"p50_ms": 1000 * statistics.median(spent), "faster": vars(ratio(counted[AS_IT_WAS], spent))}
        for name, spent in counted.items()
    }


def report(found: dict[str, Any]) -> str:
    lines = [
        "# A smaller question tower",
        "",
        "`python -m eval.compress.question_tower --data DATA --indexes INDEXES`: passages' vectors are those",
        "of the packaged encoder, as it was; questions of the test splits. Brackets: 95 % intervals over",
        "questions, paired for the differences to the whole tower.",
        "",
        "| set | questions | tower | dense R@10 | difference | hybrid nDCG@10 | difference |",
        "|---|---:|---|---|---|---|---|",
    ]
    for one in found["sets"]:
        for name, measures in one["rows"].items():
            cells = [
                cell
                for row in measures.values()
                for cell in (interval(row["score"]), "" if name == AS_IT_WAS else difference(row))
            ]
            lines.append(f"| {one['title']} | {one['questions']:,} | {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"One question, OpenVINO in bf16 on one thread of {found['processor']}, the processor's time, all in",
        "turn: p50, and how many times as fast as the whole tower, median (quartiles).",
        "",
        "| tower | p50 ms | times as fast |",
        "|---|---:|---|",
        *(
            f"| {name} | {row['p50_ms']:.2f} | {Spread(**row['faster']).cell()} |"
            for name, row in found["times"].items()
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--indexes", type=Path, required=True, help="with vectors in floating point")
    parser.add_argument("--sets", nargs="+", choices=SUITES, default=list(SUITES))
    parser.add_argument("--steps", type=int, help="of training, for both")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--kept", type=Path, default=Path("runs/compress"), help="towers of before")
    found = measure(parser.parse_args())
    target = RESULTS / "question_tower.json"
    target.write_text(json.dumps(found, indent=1) + "\n")
    target.with_suffix(".md").write_text(report(found))
    print(report(found))


if __name__ == "__main__":
    main()
