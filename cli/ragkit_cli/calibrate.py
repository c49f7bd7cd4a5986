"""`ragkit calibrate`: how likely an answer is right, fitted to an index and questions of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from ragkit_cli.ask import Beams, Generator, Method, Reader, ReaderModel, Temperature, WeightBy, make_answerer
from ragkit_cli.console import Stages, note, print_json, progress, table
from ragkit_cli.evaluate import Dataset, Limit, Split, load_limited
from ragkit_cli.options import (
    IndexArgument,
    Json,
    K,
    ModeOption,
    Rerank,
    RerankDepth,
    RerankerModel,
    RerankPrecision,
    RerankRuntime,
    open_searched,
)

RISKS = (0.05, 0.1, 0.2, 0.3)


def calibrate(
    index: IndexArgument,
    dataset: Dataset,
    split: Split = None,
    k: K = 5,
    mode: ModeOption = "hybrid",
    rerank: Rerank = None,
    reranker: RerankerModel = None,
    rerank_depth: RerankDepth = None,
    rerank_runtime: RerankRuntime = None,
    rerank_precision: RerankPrecision = None,
    reader: Reader = False,
    reader_model: ReaderModel = None,
    generator: Generator = None,
    method: Method = None,
    beams: Beams = None,
    temperature: Temperature = None,
    weight_by: WeightBy = None,
    limit: Limit = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; left out, the index keeps it.")
    ] = None,
    json: Json = False,
) -> None:
    """Learn from answered and unanswerable questions how far to trust an answer, for `ask --max-risk`.

    Questions that the documents do not answer stand among the others with an empty list of answers. Search
    and answer options must be those that `ask` will have.

    Example: ragkit calibrate indexes/demo demo: --reader
    """
    from ragkit.evaluation.calibration import answer_and_grade, calibrate
    from ragkit.generation.confidence import FILE, keep_calibration

    opened = open_searched(index, rerank, reranker, rerank_depth, rerank_runtime, rerank_precision)
    answerer = make_answerer(
        opened, k=k, mode=mode, reader=reader, reader_model=reader_model, generator=generator, method=method,
        beams=beams, temperature=temperature, weight_by=weight_by, allow_empty=False,
    )  # fmt: skip
    questions = load_limited(dataset, split, limit)
    with progress() as bars:
        records = answer_and_grade(answerer, questions.questions, Stages(bars).of("answering", "questions"))
    report = calibrate(records, answerer.config, f"{questions.name}, {len(questions.questions)} questions")
    path = out or opened.path / FILE
    keep_calibration(path, report.calibration)
    if json:
        print_json(report.to_json() | {"out": str(path)})
        return
    fitted = report.to_json()
    rows = [
        ("questions", f"{fitted['questions']:,}, {fitted['right']:.1%} answered right"),
        ("AUROC of the confidence", str(report.auroc)),
        ("AUROC of the highest retrieval score", str(report.auroc_of_score)),
        ("their difference", str(report.gain)),
        ("calibration error", f"{report.calibration_error:.3f}"),
        *((f"answered at {risk:.0%} risk", f"{fitted['coverage_at_risk'][str(risk)]:.1%}") for risk in RISKS),
    ]
    table(["", ""], rows)
    if report.gain.low <= 0:
        note("the confidence does not tell right from wrong better than the retrieval score alone")
    print(f"{path}: `ragkit ask --max-risk` goes by it")
