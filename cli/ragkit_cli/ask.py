"""`ragkit ask`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO
from ragkit_cli.answer_output import answer_json, print_answer
from ragkit_cli.console import print_json
from ragkit_cli.evidence import candidate_json, grounding_json, print_candidates, print_grounding
from ragkit_cli.options import (
    Filter,
    Json,
    K,
    ModeOption,
    PrecisionOption,
    Rerank,
    RerankDepth,
    RerankerModel,
    RerankPrecision,
    RerankRuntime,
    RuntimeOption,
    checked_mode,
    index_and_question,
    open_index,
    open_searched,
)
from ragkit_cli.search import nothing_found

if TYPE_CHECKING:
    from ragkit.generation.answerer import Answerer
    from ragkit.generation.confidence import Calibration
    from ragkit.generation.tools.tool import Tool
    from ragkit.retrieval.index import Index

Reader = Annotated[
    bool, typer.Option("--reader", help="Answer by the extractive reader: words of a passage.")
]
Generator = Annotated[
    str | None, typer.Option("--generator", help="packaged, a folder, a hub id, or a GGUF file.")
]
ReaderModel = Annotated[
    str | None, typer.Option("--reader-model", help="A folder or hub id; implies --reader.")
]
Method = Annotated[
    str | None, typer.Option("--method", help="rag-sequence or rag-token.", show_default="rag-sequence")
]
Beams = Annotated[
    int | None,
    typer.Option("--beams", help="Hypotheses of the generator's beam search.", show_default="4"),
]
Cache = Annotated[
    int,
    typer.Option("--cache", min=0, help="MiB of read prompts kept for questions over the same passages."),
]
Temperature = Annotated[
    float | None, typer.Option("--temperature", help="Of p(z|x), the softmax of the passages' scores.")
]
WeightBy = Annotated[
    str | None,
    typer.Option("--weight-by", help="A metadata field: p(z|x) is multiplied by what a passage has there."),
]
MaxRisk = Annotated[
    float | None,
    typer.Option("--max-risk", help="Largest share of wrong answers: what is less sure is not answered."),
]
ToolOption = Annotated[
    list[str] | None,
    typer.Option("--tool", help="calculator, or NAME=INDEX to search: what the generator may call."),
]


def ask(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[INDEX] QUESTION",
            help="The index built last if none is named; - reads questions from standard input.",
        ),
    ],
    k: K = 5,
    mode: ModeOption = "hybrid",
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
    runtime: RuntimeOption = AUTO,
    precision: PrecisionOption = AUTO,
    cache: Cache = 0,
    temperature: Temperature = None,
    weight_by: WeightBy = None,
    max_risk: MaxRisk = None,
    tool: ToolOption = None,
    best_of: Annotated[
        int | None,
        typer.Option("--best-of", min=1, help="Weigh so many answers and what they cite, give the best."),
    ] = None,
    reward: Annotated[
        Path | None,
        typer.Option("--reward", help="What is best, of `ragkit train reward`.", show_default="packaged"),
    ] = None,
    router: Annotated[
        Path | None, typer.Option("--router", help="Of `ragkit route fit`: it picks the index, or none.")
    ] = None,
    why: Annotated[
        bool, typer.Option("--why", help="Also how well it is grounded, and the answers without a passage.")
    ] = False,
    json: Json = False,
) -> None:
    """Answer a question from the passages of an index, and show what the answer rests on.

    Example: ragkit ask indexes/demo "which statement ends the nearest loop?" --why
    """
    name, question = index_and_question(arguments)
    if router is not None:
        if name is not None or question == "-":
            raise typer.BadParameter("picks the index: give one question alone", param_hint="--router")
        from ragkit_cli.route import index_for

        picked = index_for(router, question)
        if picked is None:
            if json:
                print_json({"question": question, "answer": None, "support": []})
            else:
                print("(for none of the router's indexes)")
            return
        name = str(picked)
    questions = read_questions(question)
    index = open_searched(name, rerank, reranker, rerank_depth, rerank_runtime, rerank_precision)
    answerer = make_answerer(
        index, k=k, mode=mode, reader=reader,
        reader_model=reader_model, generator=generator, method=method, beams=beams, temperature=temperature,
        weight_by=weight_by, tools=[make_tool(spec) for spec in tool or []], allow_empty=max_risk is None,
        runtime=runtime, precision=precision, cache=cache,
    )  # fmt: skip
    from ragkit.generation.evidence import Evidence
    from ragkit.generation.grounding import grounding

    evidence = Evidence(index)
    if best_of is not None and max_risk is not None:
        raise typer.BadParameter("is of the likeliest answer, not of the best of n", param_hint="--max-risk")
    calibration = None if best_of is not None else find_calibration(answerer, max_risk)
    if best_of is not None:
        from ragkit.generation.best_of import PACKAGED, BestOf, load_reward

        answerer.best_of = BestOf(best_of, load_reward(reward or PACKAGED), evidence)
    elif reward:
        raise typer.BadParameter("says what is best of n answers: give --best-of, too", param_hint="--reward")
    answers = answerer.ask_batch(questions, why=why, filter=filter)
    if calibration is not None:
        answers = calibration.apply(answers, max_risk)
    if json:
        content = [
            answer_json(answer)
            | {"grounding": grounding_json(grounding(answer, evidence)), "config": answerer.config}
            for answer in answers
        ]
        if answerer.best_of:
            for one, answer in zip(content, answers, strict=True):
                one["candidates"] = [candidate_json(of) for of in answerer.best_of.candidates(answer)]
        print_json(content[0] if question != "-" else content)
        return
    if not any(answer.support for answer in answers):
        nothing_found(index, filter)
    for answer in answers:
        print_answer(answer)
        if answerer.best_of:
            print_candidates(answerer.best_of.candidates(answer))
        if why and (found := grounding(answer, evidence)):
            print_grounding(answer, found)


def make_answerer(
    index: "Index | None",
    *,
    k: int,
    mode: str,
    reader: bool,
    reader_model: str | None,
    generator: str | None,
    method: str | None,
    beams: int | None,
    temperature: float | None,
    weight_by: str | None = None,
    allow_empty: bool = True,
    tools: "Sequence[Tool]" = (),
    runtime: str = AUTO,
    precision: str = AUTO,
    cache: int = 0,
) -> "Answerer":
    """The answerer that the options of `ask` and `eval qa` describe."""
    common: dict[str, Any] = {
        "k": k, "mode": checked_mode(mode), "temperature": temperature, "weight_by": weight_by,
    }  # fmt: skip
    if reader or reader_model:
        for option, given in (
            ("--generator", generator), ("--method", method), ("--beams", beams), ("--tool", tools or None),
            ("--cache", cache or None),
        ):  # fmt: skip
            if given is not None:
                raise typer.BadParameter("an answer is read or generated, not both", param_hint=option)
        from ragkit.generation.reader import ExtractiveReader

        return ExtractiveReader(
            index, reader_model or "packaged", allow_empty=allow_empty, runtime=runtime, precision=precision,
            **common,
        )  # fmt: skip
    common |= {"runtime": runtime, "precision": precision, "cache_bytes": cache * 2**20}
    common["min_answer_tokens"] = 0 if allow_empty else 2
    common["tools"] = tools
    if beams is not None:
        common["beams"] = beams
    if method in (None, "rag-sequence"):
        from ragkit.generation.rag_sequence import RagSequence

        return RagSequence(index, generator or "packaged", **common)
    if method == "rag-token":
        from ragkit.generation.rag_token import RagToken

        return RagToken(index, generator or "packaged", **common)
    raise typer.BadParameter(f"{method!r} is neither rag-sequence nor rag-token", param_hint="--method")


def find_calibration(answerer: "Answerer", max_risk: float | None) -> "Calibration | None":
    """The calibration that fits the answerer, if any.

    Raises RagkitError where a risk is asked for and there is none, or none promises that risk.
    """
    from ragkit.generation.confidence import calibration_of

    found = calibration_of(answerer.config, None if answerer.index is None else answerer.index.path)
    if max_risk is not None:
        if found is None:
            raise RagkitError(
                "no calibration for this way of answering: `ragkit calibrate INDEX QUESTIONS` with the same "
                "options makes one"
            )
        found.threshold(max_risk)
    return found


def make_tool(spec: str) -> "Tool":
    """From what `--tool` takes."""
    from ragkit.generation.tools.calculator import Calculator

    name, is_index, index = spec.partition("=")
    if is_index:
        from ragkit.generation.tools.index_search import IndexSearch

        return IndexSearch(open_index(index), name)
    if name != Calculator.name:
        raise typer.BadParameter(f"{spec!r} is neither calculator nor NAME=INDEX", param_hint="--tool")
    return Calculator()


def read_questions(question: str) -> list[str]:
    """The question, or the lines of standard input for "-"."""
    if question != "-":
        return [question]
    questions = [line.strip() for line in sys.stdin if line.strip()]
    if not questions:
        raise RagkitError("no question on standard input: one a line")
    return questions
