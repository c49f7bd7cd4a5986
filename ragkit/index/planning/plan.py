"""The cheapest engine that keeps what is asked of it, found by measuring on the user's own vectors."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ragkit.errors import RagkitError
from ragkit.index.faiss_index import needed_rows
from ragkit.index.planning.candidates import Candidate, candidates, is_exact
from ragkit.index.planning.goals import Goals, loosened
from ragkit.index.planning.laws import Recall, affine_law, power_law, recall_at
from ragkit.index.planning.measure import Fetch, K, Measured, measure
from ragkit.index.planning.questions import Questions, live_rows, questions_of
from ragkit.index.planning.row import Row, front
from ragkit.index.recipe import choose, recipes
from ragkit.index.stored import StoredIndex
from ragkit.index.vector_index import Ids

SAMPLE = 50_000
"""Vectors at most that engines are built on. An index with no more is measured as it is."""
FEWEST = 200
STEP = 4
"""The samples are a fourth and a sixteenth of the largest."""
STEEPEST_SEARCH, STEEPEST_BUILD = 1.25, 2.0
"""Exponents of n: a search reads every vector at most, and caches serve more vectors worse."""


@dataclass(frozen=True)
class Plan:
    """What was tried, and what was chosen of it."""

    goals: Goals
    passages: int
    """What it is a plan for."""
    sizes: list[int]
    """Where was measured; where the last is `passages`, nothing is extrapolated."""
    questions: str
    """What was asked, see `Questions`."""
    asked: int
    note: str
    rows: list[Row] = field(repr=False)
    """All candidates."""

    @property
    def measured(self) -> bool:
        """Whether at the full size: else extrapolated to it."""
        return self.sizes[-1] == self.passages

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
    passages: int | None = None,
    sample: int = SAMPLE,
    on_progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Measures every recipe on the index's vectors, as the encoder gave them: nothing is encoded but the
    questions (`questions_of`).

    `passages`: to plan for more than there are. Raises RagkitError where there are too few to measure on, or
    the index's cache lacks vectors.
    """
    rows = live_rows(index)
    if len(rows) < FEWEST:
        raise RagkitError(
            f"{index.path} holds {len(rows)} passages, too few to measure on: exact search, which "
            f"`--index auto` takes, is fast for them; plan from {FEWEST} on"
        )
    if passages is not None and passages < len(rows):
        raise RagkitError(f"{index.path} holds {len(rows):,} passages already: plan for no fewer")
    vectors = index.passage_vectors()
    return plan_vectors(
        vectors, rows, questions or questions_of(index), goals,
        passages=passages, sample=sample, on_progress=on_progress,
    )  # fmt: skip


def plan_vectors(
    fetch: Fetch,
    rows: Ids,
    questions: Questions,
    goals: Goals,
    *,
    passages: int | None = None,
    sample: int = SAMPLE,
    on_progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """As `plan`, for the vectors of `rows`, wherever they are. The draw of the sample has a fixed seed."""
    if questions.rows is not None:
        rows = np.setdiff1d(rows, questions.rows)
        passages = len(rows) if passages is None else passages
    target = passages or len(rows)
    sizes = sample_sizes(min(len(rows), sample), target)
    drawn = np.random.default_rng(0).permutation(rows)[: sizes[-1]]
    vectors = np.ascontiguousarray(fetch(drawn))
    dimension = vectors.shape[1]
    groups = [
        (size, group)
        for recipe in recipes()
        if needed_rows(choose(recipe.name, sizes[0], dimension).factory) <= sizes[0]
        for size in sizes
        if (group := [c for c in candidates(recipe) if c.measurable(size, dimension)])
    ]
    measured: dict[Candidate, list[Measured]] = defaultdict(list)
    for done, (size, group) in enumerate(groups):
        if on_progress is not None:
            on_progress(done, len(groups))
        for one in measure(group, vectors[:size], questions.vectors):
            measured[one.candidate].append(one)
    if on_progress is not None:
        on_progress(len(groups), len(groups))
    return Plan(
        goals=goals,
        passages=target,
        sizes=sizes,
        questions=questions.kind,
        asked=len(questions.vectors),
        note=questions.note,
        rows=list(_rows(measured, target, dimension)),
    )


def sample_sizes(most: int, target: int) -> list[int]:
    """The sizes to measure at, ascending: the target alone where the sample is as large."""
    if most >= target:
        return [target]
    return [size for size in (most // STEP**2, most // STEP, most) if size >= FEWEST // STEP]


def _rows(measured: dict[Candidate, list[Measured]], target: int, dimension: int) -> Iterator[Row]:
    """What was measured at each size as what is expected at `target`."""
    for candidate, ones in measured.items():
        sizes = [one.passages for one in ones]
        if sizes[-1] != target and len(sizes) < 2:
            continue  # one size shows no law
        choice = candidate.choice(target, dimension)
        recalls = np.array([one.recalls for one in ones])
        recall = Recall(1.0, 1.0) if is_exact(choice.factory) else recall_at(target, sizes, recalls, K)
        ram = affine_law(target, sizes, [one.size for one in ones])
        yield Row(
            recipe=candidate.recipe,
            factory=choice.factory,
            search=choice.search,
            recall=recall.expected,
            bound=recall.bound,
            p50=power_law(target, sizes, [one.p50 for one in ones], STEEPEST_SEARCH),
            p95=power_law(target, sizes, [one.p95 for one in ones], STEEPEST_SEARCH),
            bytes_a_vector=ram / target,
            ram=ram,
            build=power_law(target, sizes, [one.build for one in ones], STEEPEST_BUILD),
        )
