"""What a plan tries."""

from fractions import Fraction

import pytest

from ragkit.index.faiss_index import FaissIndex
from ragkit.index.planning.candidates import Candidate, candidates, is_exact, lists_of
from ragkit.index.recipe import Recipe, recipes


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.name)
def test_every_candidate_of_every_recipe_is_an_engine(recipe: Recipe) -> None:
    tried = list(candidates(recipe))
    assert tried and len(set(tried)) == len(tried)
    for candidate in (tried[0], tried[-1]):
        choice = candidate.choice(100_000, 64)
        FaissIndex(64, choice.factory, choice.search)


def test_the_share_of_lists_stays_while_their_number_grows() -> None:
    candidate = Candidate("ivf-sq8", share=Fraction(1, 8))
    for passages in (5000, 100_000, 10_000_000):
        choice = candidate.choice(passages, 64)
        assert choice.search["nprobe"] == lists_of(choice.factory) / 8


def test_a_share_that_comes_to_no_whole_list_is_not_measured() -> None:
    fine, coarse = Candidate("ivf-sq8", share=Fraction(1, 128)), Candidate("ivf-sq8", share=Fraction(1, 2))
    assert lists_of(fine.choice(1000, 64).factory) < 128
    assert not fine.measurable(1000, 64) and fine.measurable(100_000, 64)
    assert coarse.measurable(1000, 64) and fine.choice(1000, 64).search == {"nprobe": 1}


def test_only_parameters_that_an_engine_has_are_tried() -> None:
    def of(factory: str) -> set[str]:
        found: set[str] = set()
        for candidate in candidates(Recipe("any", factory)):
            found |= {name for name in ("share", "beam", "refined") if getattr(candidate, name) is not None}
        return found

    assert of("Flat") == set() and is_exact("Flat") and not is_exact("IVF8,Flat")
    assert of("IVF{lists},SQ8") == {"share"}
    assert of("IVF{lists}_HNSW32,PQ8,RFlat") == {"share", "refined"}
    assert of("HNSW32,Refine(SQ8)") == {"beam", "refined"}
