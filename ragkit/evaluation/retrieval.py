"""How well an index retrieves, and what that costs: accuracy, speed, memory and build time of one run."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ragkit.corpus.questions import Question, QuestionSet
from ragkit.errors import RagkitError
from ragkit.evaluation.metrics import evaluate_run, judged
from ragkit.evaluation.progress import OnQuestions
from ragkit.evaluation.runs import Qrels, Run
from ragkit.evaluation.statistics import Estimate, estimate
from ragkit.retrieval.hit import Hit
from ragkit.retrieval.index import Index, Mode

KS = (1, 5, 20, 100)
BATCH = 128
TIMED = 200
"""Questions asked one at a time to measure latency."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What retrieval costs on this machine. Latency is of one question alone, encoding included."""

    questions_per_second: float
    p50_ms: float
    p95_ms: float
    index_bytes: int
    bytes_a_vector: float
    peak_memory_bytes: int
    build_seconds: float


@dataclass
class RetrievalReport:
    """Measures of one run. `values` holds each measure question by question, in the order of `questions`."""

    name: str
    dataset: str
    split: str
    measures: dict[str, Estimate]
    values: dict[str, list[float]]
    questions: list[str]
    ks: list[int]
    config: dict[str, Any] = field(default_factory=dict)
    costs: Costs | None = None
    """None where a run file was evaluated: nothing was searched."""
    run: Run = field(default_factory=dict, repr=False)


def measure_names(ks: Sequence[int]) -> list[str]:
    """R@k and Success@k of every k, RR@10, AP and nDCG@10."""
    return [*(f"R@{k}" for k in ks), *(f"Success@{k}" for k in ks), "RR@10", "AP", "nDCG@10"]


def evaluate_retrieval(
    index: Index,
    questions: QuestionSet,
    ks: Sequence[int] = KS,
    *,
    mode: Mode = "hybrid",
    filter: str | None = None,
    drop_self: bool = False,
    on_questions: OnQuestions | None = None,
) -> RetrievalReport:
    """Searches for every judged question and measures the ranking and what it cost.

    Where a question's judgements speak of documents and the index holds parts of them, a document ranks
    where its first passage does. `drop_self` removes hits whose id is the question's own (BEIR's convention
    for sets whose queries are documents of the corpus). Questions without a relevant document are left out.

    Raises RagkitError where no question has a relevant document, or none of those is in the index.
    """
    ks = checked_ks(ks)
    asked, qrels = _judged(questions)
    known = index.document_ids()
    if not any(_document(name) in known or name in known for grades in qrels.values() for name in grades):
        raise RagkitError(
            f"{index.path} holds none of the relevant documents of {questions.name}: build the index from "
            "that set's documents, and keep their ids"
        )
    depth = max(max(ks), 10)
    per_document = -(-len(index) // max(1, len(known)))
    run: Run = {}
    index.search(asked[0].text, depth, mode=mode, filter=filter)  # loads the encoder: not part of the speed
    began = time.perf_counter()
    for at in range(0, len(asked), BATCH):
        batch = asked[at : at + BATCH]
        found = index.search_batch(
            [question.text for question in batch], depth * per_document + drop_self, mode=mode, filter=filter
        )
        for question, hits in zip(batch, found, strict=True):
            own = question.id if drop_self else None
            ranked = _ranked(hits, qrels[question.id], known, own)
            run[question.id] = dict(list(ranked.items())[:depth])
        if on_questions is not None:
            on_questions(at + len(batch), len(asked))
    seconds = time.perf_counter() - began
    reranker = index.reranker
    name = mode if reranker is None else f"{mode}-reranked"
    report = evaluate(run, qrels, ks, name=name, dataset=questions.name, split=questions.split)
    report.config = {"mode": mode, "filter": filter, "drop_self": drop_self, "index": str(index.path)}
    if reranker is not None:
        report.config |= {"reranker": reranker.name, "reranker_depth": reranker.depth}
    report.costs = _costs(index, asked, len(asked) / seconds, max(ks), mode, filter)
    return report


def evaluate(
    run: Run, qrels: Qrels, ks: Sequence[int], *, name: str, dataset: str, split: str
) -> RetrievalReport:
    """Measures a run that is there already. Raises RagkitError where no question has a relevant document."""
    ks = checked_ks(ks)
    questions = judged(qrels)
    if not questions:
        raise RagkitError(f"{dataset}: no question has a relevant document")
    values = evaluate_run(run, qrels, measure_names(ks))
    return RetrievalReport(
        name=name,
        dataset=dataset,
        split=split,
        measures={measure: estimate(column) for measure, column in values.items()},
        values={measure: column.tolist() for measure, column in values.items()},
        questions=questions,
        ks=list(ks),
        run=run,
    )


def checked_ks(ks: Sequence[int]) -> list[int]:
    """Ascending, each once. Raises RagkitError where there is none or one is below 1."""
    if not ks or min(ks) < 1:
        raise RagkitError(f"k must be 1 or more, not {', '.join(map(str, ks)) or 'nothing'}")
    return sorted(set(ks))


def _judged(questions: QuestionSet) -> tuple[list[Question], Qrels]:
    qrels = {question.id: question.relevant for question in questions.questions}
    names = set(judged(qrels))
    asked = [question for question in questions.questions if question.id in names]
    if not asked:
        raise RagkitError(
            f"{questions.name}: no question names a relevant document, so retrieval cannot be measured"
        )
    return asked, {question.id: question.relevant for question in asked}


def _document(name: str) -> str:
    """The document of a passage id, `document#start-end`; of a document's id, itself or a name unknown."""
    return name.rpartition("#")[0] or name


def _ranked(
    hits: Sequence[Hit], relevant: dict[str, int], documents: set[str], own: str | None
) -> dict[str, float]:
    """Scores by id, of the kind that the judgements speak of: documents, else passages. Hits best first."""
    by_document = any(name in documents for name in relevant)
    scores: dict[str, float] = {}
    for hit in hits:
        passage = hit.passage
        if own not in (passage.id, passage.document_id):
            named = passage.id in relevant or not by_document
            scores.setdefault(passage.id if named else passage.document_id, hit.score)
    return scores


def _costs(
    index: Index, asked: Sequence[Question], rate: float, k: int, mode: Mode, filter: str | None
) -> Costs:
    times = []
    for question in asked[:: max(1, len(asked) // TIMED)][:TIMED]:
        began = time.perf_counter()
        index.search(question.text, k, mode=mode, filter=filter)
        times.append(1000 * (time.perf_counter() - began))
    info = index.info()
    p50, p95 = np.percentile(times, (50, 95))
    return Costs(
        questions_per_second=rate,
        p50_ms=float(p50),
        p95_ms=float(p95),
        index_bytes=info.size,
        bytes_a_vector=info.bytes_a_vector,
        peak_memory_bytes=peak_memory(),
        build_seconds=sum(info.seconds.values()),
    )


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
