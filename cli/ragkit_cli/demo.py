"""`ragkit demo`: the whole way on packaged text: index, ask, measure."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ragkit_cli.answer_output import print_answer
from ragkit_cli.console import Stages, progress

QUESTIONS = (
    "Which statement skips the rest of a loop's body and goes on with the next round?",
    "What is the value of a function call whose function has no return statement?",
    "Which exception does next raise when an iterator is exhausted?",
    "How many gigabytes of memory does the interpreter need?",
)
"""Not among the packaged questions; the text does not answer the last one."""
GENERATED_ONE_IN = 3
"""Writing an answer takes the generator several times as long as finding one takes the reader."""


def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the index, the reports and the picture.")
    ] = Path("demo-output"),
) -> None:
    """Index the Python language reference, ask it questions, measure recall@k and the answers.

    Example: ragkit demo --out demo-output
    """
    from ragkit.corpus.demo import demo_questions
    from ragkit.evaluation.qa import evaluate_qa
    from ragkit.evaluation.report import draw_recall, qa_table, retrieval_table, write_json
    from ragkit.evaluation.retrieval import evaluate_retrieval
    from ragkit.generation.rag_sequence import RagSequence
    from ragkit.generation.reader import ExtractiveReader
    from ragkit.index.recent import remember
    from ragkit.retrieval.index import Index

    began = time.perf_counter()
    folder = out / "index"
    with progress() as bars:
        index = Index.build("demo:", folder, on_event=Stages(bars))
    remember(folder)
    write = index.last_write
    assert write is not None
    print(
        f"# The index\n\nThe Python language reference inside this CPython: {len(index.document_ids())} "
        f"topics, {len(index)} passages, {write.encoded} of them encoded now, "
        f"{sum(write.seconds.values()):.1f} s -> {folder}\n"
    )

    print("# Questions\n\nGenerator, RAG-sequence over 5 passages; p(z|x,y) before each passage.\n")
    generator = RagSequence(index)
    for question, answer in zip(QUESTIONS, generator.ask_batch(QUESTIONS), strict=True):
        print(f"> {question}")
        print_answer(answer)
        print()

    questions = demo_questions()
    asked = sum(bool(question.relevant) for question in questions.questions)
    print(f"# Retrieval\n\n{asked} hand-written questions with known topics; means with 95 % intervals.\n")
    reports = [
        evaluate_retrieval(index, questions, (1, 5, 20), mode=mode) for mode in ("dense", "lexical", "hybrid")
    ]
    print(retrieval_table(reports, ["R@1", "R@5", "R@20", "Success@5", "nDCG@10"]))
    for report in reports:
        write_json(report, out / f"{report.name}.json")
    draw_recall(reports, out / "recall.png")

    unanswerable = len(questions.questions) - asked
    print(
        f"# Answers\n\nReader: all {len(questions.questions)} questions, {unanswerable} of them without an "
        f"answer in the text; generator: one in {GENERATED_ONE_IN}. 5 passages, hybrid retrieval.\n"
    )
    some = replace(questions, questions=questions.questions[::GENERATED_ONE_IN])
    answers = []
    for name, answerer, asking in (
        ("reader", ExtractiveReader(index), questions),
        ("generator", generator, some),
    ):
        with progress() as bars:
            graded = evaluate_qa(answerer, asking, name=name, on_questions=Stages(bars).of(name, "questions"))
        write_json(graded, out / f"{name}.json")
        answers.append(graded)
    print(qa_table(answers))
    print(
        f"Picture of recall@k: {out / 'recall.png'}; reports: {out}/*.json; "
        f"{time.perf_counter() - began:.0f} s in all"
    )
