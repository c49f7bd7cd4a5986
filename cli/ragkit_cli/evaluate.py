"""`ragkit eval`: retrieval, qa, compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.errors import RagkitError
from ragkit_cli.ask import Beams, Generator, Method, Reader, ReaderModel, Temperature, WeightBy, make_answerer
from ragkit_cli.console import Stages, note, print_json, progress
from ragkit_cli.options import (
    Filter,
    Json,
    K,
    Rerank,
    RerankDepth,
    RerankerModel,
    RerankPrecision,
    RerankRuntime,
    checked_mode,
    numbers,
    open_searched,
)

if TYPE_CHECKING:
    from ragkit.corpus.questions import QuestionSet

app = typer.Typer(no_args_is_help=True)

Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET", help="BEIR folder, SQuAD or DPR JSON, or demo: (the packaged questions)."
    ),
]
Split = Annotated[str | None, typer.Option("--split", help="Of a BEIR folder: test, dev, ...")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder for the report as JSON, Markdown and picture.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only so many questions, evenly spread.")]


@app.command(epilog="Example: ragkit eval retrieval indexes/demo demo: -k 1,5,20 --mode hybrid,lexical")
def retrieval(
    index: Annotated[
        str, typer.Argument(metavar="INDEX", help="Path or name of an index, or a TREC run file.")
    ],
    dataset: Dataset,
    k: Annotated[str, typer.Option("-k", help="Depths, such as 1,5,20,100.")] = "1,5,20,100",
    mode: Annotated[
        str, typer.Option("--mode", help="hybrid, dense, lexical; several with commas.")
    ] = "hybrid",
    split: Split = None,
    filter: Filter = None,
    rerank: Rerank = None,
    reranker: RerankerModel = None,
    rerank_depth: RerankDepth = None,
    rerank_runtime: RerankRuntime = None,
    rerank_precision: RerankPrecision = None,
    drop_self: Annotated[
        bool,
        typer.Option("--drop-self", help="Remove a hit with the question's own id (BEIR's ArguAna, Quora)."),
    ] = False,
    typos: Annotated[
        float, typer.Option("--typos", min=0, max=1, help="Share of the questions' words to misspell.")
    ] = 0.0,
    limit: Limit = None,
    run: Annotated[Path | None, typer.Option("--run", help="Write the ranking as a TREC run file.")] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure recall@k and its kin, with intervals, beside speed, memory and build time."""
    from ragkit.evaluation.report import draw_recall, retrieval_table, to_json, write_json
    from ragkit.evaluation.retrieval import evaluate, evaluate_retrieval
    from ragkit.evaluation.runs import read_run, write_run
    from ragkit.evaluation.typos import questions_with_typos

    ks = numbers(k)
    modes = [checked_mode(part) for part in mode.split(",")]
    if run is not None and len(modes) > 1:
        raise typer.BadParameter("a run file holds one mode", param_hint="--run")
    questions = load_limited(dataset, split, limit)
    if typos:
        questions = questions_with_typos(questions, typos)
    reports = []
    if Path(index).is_file():
        qrels = {question.id: question.relevant for question in questions.questions}
        found = evaluate(
            read_run(Path(index)),
            qrels,
            ks,
            name=Path(index).stem,
            dataset=questions.name,
            split=questions.split,
        )
        reports.append(found)
    else:
        opened = open_searched(index, rerank, reranker, rerank_depth, rerank_runtime, rerank_precision)
        for part in modes:
            with progress() as bars:
                found = evaluate_retrieval(
                    opened, questions, ks, mode=part, filter=filter, drop_self=drop_self,
                    on_questions=Stages(bars).of(part, "questions"),
                )  # fmt: skip
            reports.append(found)
    if run is not None:
        write_run(reports[0].run, run)
    if out is not None:
        for report in reports:
            write_json(report, out / f"{report.name}.json")
        (out / "retrieval.md").write_text(retrieval_table(reports), encoding="utf-8")
        draw_recall(reports, out / "recall.png")
        note(f"report, table and picture in {out}")
    if json:
        contents: list[dict[str, Any]] = [to_json(report) for report in reports]
        print_json(contents[0] if len(contents) == 1 else contents)
        return
    dropped = ", hits with the question's own id removed" if drop_self else ""
    print(f"{reports[0].dataset}, {reports[0].split}: {len(reports[0].questions):,} questions{dropped}; "
          "means with 95 % bootstrap intervals\n")  # fmt: skip
    print(retrieval_table(reports))


@app.command(epilog="Example: ragkit eval qa indexes/demo demo: -k 5 --reader --limit 20")
def qa(
    index: Annotated[
        str, typer.Argument(metavar="INDEX", help="Path or name of an index; gold: gives the gold passages.")
    ],
    dataset: Dataset,
    k: K = 5,
    mode: Annotated[str, typer.Option("--mode", help="hybrid, dense or lexical.")] = "hybrid",
    split: Split = None,
    filter: Filter = None,
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
    allow_empty: Annotated[
        bool,
        typer.Option("--allow-empty/--no-allow-empty", help="Whether 'no answer in the passages' may win."),
    ] = True,
    limit: Limit = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Grade answers by SQuAD's exact match and F1, and say for each miss where it happened."""
    from ragkit.evaluation.qa import evaluate_qa
    from ragkit.evaluation.report import qa_table, to_json, write_json, write_records

    questions = load_limited(dataset, split, limit)
    opened = (
        None
        if index == "gold:"
        else open_searched(index, rerank, reranker, rerank_depth, rerank_runtime, rerank_precision)
    )
    answerer = make_answerer(
        opened, k=k, mode=mode, reader=reader,
        reader_model=reader_model, generator=generator, method=method, beams=beams,
        temperature=temperature, weight_by=weight_by, allow_empty=allow_empty,
    )  # fmt: skip
    name = str(answerer.config["model"])
    with progress() as bars:
        report = evaluate_qa(
            answerer, questions, name=name, filter=filter, on_questions=Stages(bars).of(name, "questions")
        )
    if out is not None:
        write_json(report, out / f"{name}.json")
        write_records(report, out / f"{name}.jsonl")
        (out / f"{name}.md").write_text(qa_table([report]), encoding="utf-8")
        note(f"report, table and the answer to every question in {out}")
    if json:
        print_json(to_json(report))
        return
    print(f"{report.dataset}, {report.split}: {len(report.records):,} questions; means with 95 % intervals\n")
    print(qa_table([report]))


@app.command(epilog="Example: ragkit eval compare lexical.run hybrid.run demo: --measure nDCG@10")
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A report (JSON) or a TREC run file.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another of the same questions.")],
    dataset: Annotated[
        str | None, typer.Argument(metavar="[DATASET]", help="The judgements that run files are measured by.")
    ] = None,
    split: Split = None,
    measure: Annotated[
        list[str] | None, typer.Option("--measure", help="Such as nDCG@10 or EM; several times for several.")
    ] = None,
    show: Annotated[int, typer.Option("--show", help="How many of the questions that changed to list.")] = 10,
    json: Json = False,
) -> None:
    """Test two systems on the same questions: paired randomisation test, win/tie/loss, what changed."""
    from dataclasses import asdict

    from ragkit.evaluation.report import compare_values, markdown

    questions = load_limited(dataset, split, None) if dataset else None
    sides = [_values(path, questions, measure) for path in (a, b)]
    comparisons, changed = compare_values(sides[0], sides[1], measure)
    if json:
        print_json(
            {"a": str(a), "b": str(b), "measures": [asdict(c) for c in comparisons], "changed": changed}
        )
        return
    rows = [
        [
            c.measure,
            f"{c.a:.3f}",
            f"{c.b:.3f}",
            str(c.difference),
            f"{c.p:.4f}",
            f"{c.wins}/{c.ties}/{c.losses}",
        ]
        for c in comparisons
    ]
    print(f"A = {a}, B = {b}: {comparisons[0].difference.questions:,} questions\n")
    print(markdown(["measure", "A", "B", "B - A [95 %]", "p", "win/tie/loss of B"], rows))
    first = comparisons[0].measure
    texts = {question.id: question.text for question in questions.questions} if questions else {}
    if changed[first][:show]:
        print(f"{first} changed on {len(changed[first])} questions:")
    for name, of_a, of_b in changed[first][:show]:
        print(f"  {of_a:.3f} -> {of_b:.3f}  {name}  {texts.get(name, '')}".rstrip())


def load_limited(dataset: str, split: str | None, limit: int | None) -> "QuestionSet":
    from ragkit.corpus.questions import load_questions

    questions = load_questions(dataset, split)
    count = len(questions.questions)
    if limit is not None and limit < count:
        questions.questions = [questions.questions[at * count // limit] for at in range(limit)]
    return questions


def _values(
    path: Path, questions: "QuestionSet | None", measures: list[str] | None
) -> tuple[list[str], dict[str, list[float]]]:
    from ragkit.evaluation.metrics import evaluate_run, judged
    from ragkit.evaluation.report import read_values
    from ragkit.evaluation.retrieval import KS, measure_names
    from ragkit.evaluation.runs import read_run

    if path.suffix == ".json":
        _, names, values = read_values(path)
        return names, values
    if questions is None:
        raise RagkitError(f"{path} is a run file: name the data set that it answers, as the third argument")
    qrels = {question.id: question.relevant for question in questions.questions}
    found = evaluate_run(read_run(path), qrels, measures or measure_names(KS))
    return judged(qrels), {name: column.tolist() for name, column in found.items()}
