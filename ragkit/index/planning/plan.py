"""The cheapest engine that keeps what is asked of it, found by measuring on the user's own vectors."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ragkit.errors import RagkitError
from ragkit.index.faiss_index import needed_rows
from ragkit.index.planning.candidates import Candidate, candidates
from ragkit.index.planning.forecast import forecast
from ragkit.index.planning.goals import Goals, loosened
from ragkit.index.planning.measure import Training, measure
from ragkit.index.planning.questions import Questions, live_rows, questions_of
from ragkit.index.planning.row import Row, front
from ragkit.index.planning.sample import Fetch, K, Sample, draw
from ragkit.index.recipe import choose, recipes
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import Ids

SAMPLE = 65_536
"""Vectors that engines are built on. An index with no more is measured as it is."""
FEWEST = 200


@dataclass(frozen=True)
class Plan:
    """What was tried, and what was chosen of it."""

    goals: Goals
    passages: int
    """Vectors of the index."""
    sampled: int
    """On how many of them engines were measured."""
    questions: str
    """What was asked, see `Questions`."""
    asked: int
    note: str
    rows: list[Row] = field(repr=False)
    """All candidates."""

    @property
    def measured(self) -> bool:
        """Whether on all: else what is said of the whole follows from laws."""
        return self.sampled == self.passages

    @property
    def kept(self) -> list[Row]:
        """Those that keep all goals, the least memory first, then the fastest search."""
        kept = [row for row in self.rows if not self.goals.broken_by(row)]
        return sorted(kept, key=lambda row: (row.ram, row.p50))

    @property
    def chosen(self) -> Row:
        """The first that keeps all goals. Raises RagkitError, naming the nearest and what to loosen, where
        none does."""
        if not (kept := self.kept):
            raise RagkitError(loosened(self.goals, self.rows))
        return kept[0]

    @property
    def front(self) -> list[Row]:
        """The rows that no other one beats in recall, speed and memory at once."""
        return front(self.rows)


def plan(
    index: StoredIndex,
    goals: Goals,
    *,
    questions: Questions | None = None,
    sample: int = SAMPLE,
    on_progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Measures every recipe on the index's vectors, as the encoder gave them: nothing is encoded but the
    questions (`questions_of`).

    Raises RagkitError where there are too few passages to measure on, or the index's cache lacks vectors.
    """
    rows = live_rows(index)
    if len(rows) < FEWEST:
        raise RagkitError(
            f"{index.path} holds {len(rows)} passages, too few to measure on: exact search, which "
            f"`--index auto` takes, is fast for them; plan from {FEWEST} on"
        )
    vectors = index.passage_vectors()
    asked = questions or questions_of(index)
    return plan_vectors(vectors, rows, asked, goals, sample=sample, on_progress=on_progress)


def plan_vectors(
    fetch: Fetch,
    rows: Ids,
    questions: Questions,
    goals: Goals,
    *,
    sample: int = SAMPLE,
    on_progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """As `plan`, for the vectors of `rows`, ascending, wherever they are."""
    if questions.rows is not None:
        rows = np.setdiff1d(rows, questions.rows)
    drawn = draw(fetch, rows, questions.vectors, sample)
    training = Training(drawn.training)
    passages, dimension = len(rows), drawn.others.shape[1]
    groups = [
        [one for one in candidates(recipe) if one.measurable(passages, dimension) and _measurable(one, drawn)]
        for recipe in recipes()
        if needed_rows(choose(recipe.name, passages, dimension).factory) <= len(training)
    ]
    found: list[Row] = []
    for done, group in enumerate(groups):
        if on_progress is not None:
            on_progress(done, len(groups))
        if group:
            found += forecast(list(measure(group, drawn, training)), drawn, len(training))
    if on_progress is not None:
        on_progress(len(groups), len(groups))
    return Plan(
        goals=goals, passages=passages, sampled=len(drawn), questions=questions.kind,
        asked=len(questions.vectors), note=questions.note, rows=found,
    )  # fmt: skip


def _measurable(candidate: Candidate, sample: Sample) -> bool:
    """Of vectors that are scored again more must be in the sample than are scored again, or all are found."""
    return sample.whole or candidate.refined is None or 2 * K * candidate.refined <= sample.near_each
