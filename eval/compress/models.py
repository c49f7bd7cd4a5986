"""The packaged encoder made smaller, on the question side: recall@10 among passages' vectors as they were.

    python -m eval.compress.models --data DATA --indexes INDEXES [--set scifact] [--steps 60] [--recover 100]

Writes eval/results/compress_models.{json,md}. Training is distillation on questions of the tuning split and
stretches of passages; the test split is asked once a model. Questions alone are encoded anew: their vectors
are what a compressed encoder must get right for an index to stay as it is.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eval.cells import difference, interval
from eval.printed import RESULTS
from eval.retrieval.sets import SUITES, index_of, questions_of
from eval.speed.measuring import interleaved, ratio
from ragkit.encoders.choice import cosine
from ragkit.encoders.encoder import Encoder, Vectors
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.evaluation.statistics import compare, estimate
from ragkit.training.compression.indexes import live_vectors, relevant_positions
from ragkit.training.compression.models import (
    CompressionSettings,
    How,
    compress_only,
    examples_of,
    named,
)
from ragkit.training.compression.subject import Example, load_subject
from ragkit.training.compression.timing import in_turn
from ragkit.training.compression.ways import recalls_of

K = 10
TIMED = 60
ROUNDS = 11
PASSAGES = 32
CLOCK = time.process_time
"""The processor's, which other work on the machine touches little."""


@dataclass(frozen=True)
class Model:
    name: str
    encoder: Encoder
    bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--indexes", type=Path, required=True)
    parser.add_argument("--set", default="scifact")
    parser.add_argument("--steps", type=int, default=60, help="of quantisation-aware training")
    parser.add_argument("--recover", type=int, default=0, help="steps after halving heads or hidden units")
    parser.add_argument(
        "--kept",
        type=Path,
        default=Path("runs/compress"),
        help="models and times of before: a run that was cut off goes on",
    )
    given = parser.parse_args()
    suite = SUITES[given.set]
    index = index_of(suite, given.data, given.indexes)
    passages = live_vectors(index)
    test = questions_of(suite, suite.test, given.data, suite.sample)
    texts = [question.text for question in test]
    relevant = relevant_positions(index, [list(question.relevant) for question in test])
    examples = training_examples(index, suite.tuning, given.data / suite.name)
    found: dict[str, Any] = {
        "set": suite.title,
        "split": suite.test,
        "passages": len(passages),
        "encoder of the passages": index.manifest.passport.precision or "fp32",
    }
    measured = given.kept / "runtime.json"
    if not measured.is_file():
        measured.parent.mkdir(parents=True, exist_ok=True)
        measured.write_text(json.dumps(runtime(index, texts, relevant, passages)))
    found["runtime"] = json.loads(measured.read_text())
    models = made_of(examples, given.steps, given.recover, given.kept)
    found["rows"] = rows(models, texts, relevant, passages)
    target = RESULTS / "compress_models.json"
    target.write_text(json.dumps(found, indent=1) + "\n")
    target.with_suffix(".md").write_text(report(found))


def training_examples(index: Any, tuning: str | None, data: Path) -> list[Example]:
    """Questions alone: those of the tuning split, and as many stretches of passages."""
    from ragkit.corpus.questions import load_questions

    asked = [q.text for q in load_questions(data, tuning).questions][:1500] if tuning else []
    drawn = np.random.default_rng(0).permutation(len(index))[: max(1000, len(asked))]
    pieces = [question for question, _ in examples_of([p.text for p in index.passages(np.sort(drawn))])]
    both = [(text, "") for text in [*asked, *pieces]]
    return [both[i] for i in np.random.default_rng(1).permutation(len(both))]


def made_of(examples: list[Example], steps: int, recover: int, folder: Path) -> list[Model]:
    """The encoder as it was, then each way to make it smaller, without training and with."""
    original = load_encoder("packaged", "torch", "fp32")
    size = load_subject("packaged", "encoder").bytes
    models = [Model("as it was", original, size)]
    structured: tuple[tuple[How, float], ...] = (
        ("heads", 0.75), ("heads", 0.5), ("ffn", 0.75), ("ffn", 0.5), ("layers", 0.83)
    )  # fmt: skip
    ways = [
        CompressionSettings(how="int8"),
        CompressionSettings(how="int4"),
        CompressionSettings(how="int4", steps=steps),
        CompressionSettings(how="sparse", keep=0.7),
        *(CompressionSettings(how=how, keep=keep) for how, keep in structured),
    ]
    made: list[tuple[CompressionSettings, ...]] = [(one,) for one in ways]
    if recover:
        heads, half_heads, half = (
            CompressionSettings(how=how, keep=keep, steps=recover, learning_rate=2e-4)
            for how, keep in (("heads", 0.75), ("heads", 0.5), ("ffn", 0.5))  # type: ignore[arg-type]
        )
        made += [(half_heads,), (half,), (half, heads)]
    for settings in made:
        name = "; ".join(map(named, settings))
        out = folder / name
        if not (out / "model").is_dir():
            # The last of several starts from what the one before it left, and learns from that.
            before = folder / named(settings[-2]) / "model" if len(settings) > 1 else "packaged"
            compress_only(load_subject(str(before), "encoder"), out, settings[-1], examples)
        print(name, flush=True)
        (weights,) = (out / "model").rglob("model*.safetensors")
        encoder = load_encoder(out / "model", "torch", "fp32")
        models.append(Model(name, encoder, weights.stat().st_size))
    return models


def rows(
    models: list[Model], texts: list[str], relevant: list[list[int]], passages: Vectors
) -> list[dict[str, Any]]:
    vectors = [model.encoder.encode_questions(texts) for model in models]
    found = [recalls(asked, passages, relevant) for asked in vectors]
    asking = [lambda n, model=model: model.encoder.encode_questions([texts[n]]) for model in models]
    seconds = in_turn(asking, min(TIMED, len(texts)), CLOCK)
    medians = [float(np.median(spent)) for spent in seconds]
    return [
        {
            "name": model.name,
            "bytes": model.bytes,
            "cosine": cosine(vectors[i], vectors[0]),
            "recall": asdict(estimate(found[i])),
            "difference": asdict(compare("recall@10", found[0], found[i]).difference),
            "p50": medians[i],
            "times as fast": float(np.median(np.array(seconds[0]) / np.array(seconds[i]))),
        }
        for i, model in enumerate(models)
    ]


def recalls(questions: Vectors, passages: Vectors, relevant: list[list[int]]) -> Any:
    best = np.argpartition(-(questions @ passages.T), K, axis=1)[:, :K]
    return recalls_of(best.tolist(), relevant)


def runtime(index: Any, texts: list[str], relevant: list[list[int]], passages: Vectors) -> dict[str, Any]:
    """int8 against fp32 of OpenVINO: passages a second, interleaved, and recall on the question side."""
    encoder = load_encoder("packaged", "openvino", "fp32")
    assert isinstance(encoder, SentenceEncoder)
    both = [encoder, encoder.using("openvino", "int8")]
    some = [(p.title, p.text) for p in index.passages(np.arange(PASSAGES))]
    names = ("fp32", "int8")
    long = interleaved(
        {n: partial(e.encode_passages, some) for n, e in zip(names, both, strict=True)}, ROUNDS, CLOCK
    )
    short = interleaved(
        {n: partial(e.encode_questions, texts[:1]) for n, e in zip(names, both, strict=True)}, ROUNDS, CLOCK
    )
    found = [recalls(one.encode_questions(texts), passages, relevant) for one in both]
    return {
        "passages": PASSAGES,
        "rounds": ROUNDS,
        "fp32 seconds": min(long["fp32"]),
        "int8 seconds": min(long["int8"]),
        "ratio of minima": min(long["fp32"]) / min(long["int8"]),
        "median ratio": ratio(long["fp32"], long["int8"]).median,
        "question ratio": ratio(short["fp32"], short["int8"]).median,
        "cosine": cosine(*(one.encode_passages(some) for one in both)),
        "recall": [asdict(estimate(of_one)) for of_one in found],
        "difference": asdict(compare("recall@10", *found).difference),
    }


def report(found: dict[str, Any]) -> str:
    speed = found["runtime"]
    return "\n".join(
        [
            "# The packaged encoder made smaller",
            "",
            "`python -m eval.compress.models --data DATA --indexes INDEXES`:",
            f"{found['set']}, {found['split']} questions, {found['passages']:,} passages whose vectors stay",
            f"as they were ({found['encoder of the passages']}). Brackets: 95 % intervals over questions.",
            "Times: the processor's, one question by torch in float32, all models in turn, medians of the",
            "paired ratios. `--recover N` adds models trained for N steps after they were narrowed; of two",
            "ways the second starts from the first's result. `sparse` is unstructured pruning, whose zeros",
            "dense kernels do not skip.",
            "",
            "| model | MB | cosine to it | R@10 | difference | times as fast |",
            "|---|---|---|---|---|---|",
            *[
                f"| {r['name']} | {r['bytes'] / 1e6:.1f} | {r['cosine']:.3f} | {interval(r['recall'])} | "
                f"{difference(r)} | {r['times as fast']:.2f} |"
                for r in found["rows"]
            ],
            "",
            "## int8 in the same runtime",
            "",
            f"OpenVINO, {speed['passages']} passages, {speed['rounds']} rounds in turn, the processor's time:"
            f" int8 is {speed['ratio of minima']:.2f} times as fast as fp32 (minima; median of the rounds"
            f" {speed['median ratio']:.2f}), {speed['question ratio']:.2f} times for one question; cosine"
            f" {speed['cosine']:.3f}. R@10 of questions in int8 {interval(speed['recall'][1])}, in fp32"
            f" {interval(speed['recall'][0])}: {difference(speed)}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
