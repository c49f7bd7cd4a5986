"""A plan built, and what it promised measured on the whole index."""

from dataclasses import dataclass

import numpy as np

from ragkit.errors import RagkitError
from ragkit.index.events import OnEvent
from ragkit.index.manifest import Promise
from ragkit.index.planning.plan import Plan
from ragkit.index.planning.questions import Questions, live_rows, questions_of
from ragkit.index.planning.sample import K, Nearest
from ragkit.index.recipe import Choice
from ragkit.index.rewriting import rebuild_engine
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import Ids

ALLOWED = 0.02
"""By so much the recall may miss the promise before it counts as broken: it came from a sample."""
RESAMPLES = 1000
SEED = 1
"""Not the plan's: other passages are asked."""


@dataclass(frozen=True)
class RecallCheck:
    """Recall@10 of an index's engine against exact search, with a 95 % interval over questions."""

    recall: float
    low: float
    high: float
    questions: str
    """What was asked, see `Questions`."""
    asked: int
    note: str
    promise: Promise | None

    @property
    def problem(self) -> str | None:
        """Says so where the promise is missed by more than `ALLOWED` and chance."""
        if self.promise is None or self.high >= self.promise.recall - ALLOWED:
            return None
        return (
            f"recall@10 is {self.recall:.3f} [{self.low:.3f}, {self.high:.3f}], but {self.promise.recall:g} "
            "was promised: plan the index again with `ragkit index plan`"
        )


def build(index: StoredIndex, plan: Plan, on_event: OnEvent | None = None) -> None:
    """The next generation of the index, with the engine that the plan chose. `index` goes on to show the one
    that it was opened with.

    Raises RagkitError where the plan chose none.
    """
    row = plan.chosen
    promise = Promise(plan.goals.recall, round(row.recall, 4), len(index), plan.questions)
    rebuild_engine(index.path, Choice(row.factory, dict(row.search)), promise, on_event)


def check_recall(index: StoredIndex, questions: Questions | None = None) -> RecallCheck:
    """Measures the recall of the index's engine as it stands.

    Raises RagkitError where the index has too few passages, or its cache lacks vectors.
    """
    live = live_rows(index)
    if len(live) <= K:
        raise RagkitError(f"{index.path} holds {len(live)} passages: every search finds them all")
    questions = questions or questions_of(index, seed=SEED)
    fetch = index.passage_vectors()
    nearest = Nearest.among(questions.vectors, fetch, live, questions.rows)
    recalls = nearest.recalls(_found(index, questions), fetch)
    random = np.random.default_rng(SEED)
    means = recalls[random.integers(len(recalls), size=(RESAMPLES, len(recalls)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return RecallCheck(
        float(recalls.mean()), float(low), float(high), questions.kind, len(recalls), questions.note,
        index.manifest.promise,
    )  # fmt: skip


def _found(index: StoredIndex, questions: Questions) -> Ids:
    """(q, K) rows, a passage's own left out where the questions are passages."""
    if questions.rows is None:
        return index.dense_candidates(questions.vectors, K)[1]
    found = index.dense_candidates(questions.vectors, K + 1)[1]
    others = np.argsort(found == questions.rows[:, None], axis=1, kind="stable")  # the own one comes last
    return np.take_along_axis(found, others, axis=1)[:, :K]
