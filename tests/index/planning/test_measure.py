"""Engines measured on a sample: recall that brute force confirms, times and bytes of the engine itself."""

import math
from fractions import Fraction

import faiss
import numpy as np
import pytest

from ragkit.index.faiss_index import FaissIndex
from ragkit.index.planning.candidates import Candidate
from ragkit.index.planning.measure import Measured, Training, measure, one_thread, size_of, timed_searches
from ragkit.index.planning.sample import draw
from ragkit.index.recipe import Choice
from ragkit.index.vector_index import brute_force

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((2000, 16), dtype=np.float32)
QUESTIONS = RNG.standard_normal((40, 16), dtype=np.float32)
ROWS = np.arange(2000)
WHOLE = draw(VECTORS.__getitem__, ROWS, QUESTIONS, 2000)
PART = draw(VECTORS.__getitem__, ROWS, QUESTIONS, 1000)


def measured(*tried: Candidate, sample=WHOLE) -> list[Measured]:  # type: ignore[no-untyped-def]
    return list(measure(list(tried), sample, Training(sample.training)))


def test_recall_is_the_share_of_the_true_ten() -> None:
    candidate = Candidate("ivf-sq8", share=Fraction(1, 4))
    (one,) = measured(candidate)
    choice = candidate.choice(2000, 16)
    engine = FaissIndex(16, choice.factory, choice.search)
    engine.build(VECTORS, ROWS)
    exact = brute_force(VECTORS, ROWS, QUESTIONS, 10)[1]
    found = engine.search(QUESTIONS, 10)[1]
    expected = [len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
    np.testing.assert_allclose(one.recalls, expected)
    assert 0.3 < np.mean(expected) < 1 and one.size == size_of(engine)
    assert 0 < one.p50 <= one.p95 and one.train > 0 and one.add > 0
    assert one.scanned == pytest.approx(2000 / 4, rel=0.4)


def test_more_lists_find_more_and_scan_more() -> None:
    tried = [Candidate("ivf-fp16", share=Fraction(1, parts)) for parts in (32, 4, 2)]
    few, some, most = measured(*tried)
    assert few.recalls.mean() < some.recalls.mean() < most.recalls.mean()
    assert few.scanned < some.scanned < most.scanned


def test_exact_search_finds_all() -> None:
    (one,) = measured(Candidate("flat"))
    assert (one.recalls == 1).all() and one.size == pytest.approx(2000 * (16 * 4 + 8), rel=0.01)


def test_a_part_is_filled_in_three_steps_to_the_density_of_the_whole() -> None:
    candidate = Candidate("ivf-sq4", share=Fraction(3, 4))
    few, many, last = measured(candidate, sample=PART)
    assert (few.passages, many.passages, last.passages) == (
        len(PART.others) // 4,
        len(PART.others),
        len(PART),
    )
    assert few.size < many.size < last.size and few.add < many.add < last.add
    (whole,) = measured(candidate)
    assert last.recalls.mean() == pytest.approx(whole.recalls.mean(), abs=0.05)


def test_lists_that_hold_too_few_tell_nothing_of_time() -> None:
    few, *_ = measured(Candidate("ivf-sq8", share=Fraction(1, 32)), sample=PART)
    assert math.isnan(few.scanned)


def test_centroids_are_found_once() -> None:
    training = Training(VECTORS)
    engines = [training.engine(Choice(f"IVF16,{codes}", {}))[0] for codes in ("Flat", "SQ8", "PQ8x4fs")]
    first, *others = (faiss.extract_index_ivf(e._engine).quantizer.reconstruct_n(0, 16) for e in engines)
    assert all((other == first).all() for other in others)
    engine = engines[0]
    engine.add(VECTORS, ROWS)
    engine.set_search({"nprobe": 16})
    np.testing.assert_array_equal(
        engine.search(QUESTIONS, 10)[1], brute_force(VECTORS, ROWS, QUESTIONS, 10)[1]
    )
    other = FaissIndex(16, "PCA8,IVF16,Flat")
    other.take_centroids(engine)
    assert not other.is_trained


@pytest.mark.parametrize("factory", ["IVF16,SQ8", "IVF16,PQ8x4fs,Refine(SQ8)", "IVF16,RaBitQ", "IVF16,PQ4x4"])
def test_what_is_scanned_is_counted_for_every_kind_of_code(factory: str) -> None:
    engine = FaissIndex(16, factory, {"nprobe": 8})
    engine.build(VECTORS, ROWS)
    assert timed_searches(engine, QUESTIONS)[2] == pytest.approx(1000, rel=0.4)


def test_threads_are_as_before() -> None:
    before = faiss.omp_get_max_threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        assert faiss.omp_get_max_threads() == 1
        raise ZeroDivisionError
    assert faiss.omp_get_max_threads() == before
