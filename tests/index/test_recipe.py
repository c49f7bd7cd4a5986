"""Recipes: what "auto" chooses, and what the files in `indexes/` say."""

from pathlib import Path

import pytest

from ragkit.errors import RagkitError
from ragkit.index.faiss_index import FaissIndex, needed_rows
from ragkit.index.recipe import check_factory, choose, default_search, recipes

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("dimension", [30, 384, 768, 1024])
@pytest.mark.parametrize("passages", [1, 1000, 50_000, 50_001, 400_000, 3_000_000, 21_000_000])
def test_auto_makes_an_engine_that_can_be_trained(passages: int, dimension: int) -> None:
    choice = choose("auto", passages, dimension)
    FaissIndex(dimension, choice.factory, choice.search)
    assert needed_rows(choice.factory) <= passages


def test_auto_goes_from_exact_to_compressed() -> None:
    sizes = [1000, 50_000, 50_001, 10_000_000]
    factories = [choose("auto", size, 384).factory for size in sizes]
    assert factories[0] == factories[1] == "Flat" != factories[2] != factories[3]


def test_names_and_factory_strings() -> None:
    assert choose("hnsw", 100, 384).factory == choose("auto", 100_000, 384).factory
    assert choose("IVF256,PQ48", 10**6, 384).factory == "IVF256,PQ48"
    assert default_search("IVF256,PQ48") == {"nprobe": 32}
    assert default_search("IVF4,Flat") == {"nprobe": 4}
    assert default_search("IVF65536_HNSW32,PQ64,RFlat") == {"nprobe": 8192, "k_factor_rf": 8}
    assert default_search("HNSW32") == {"efSearch": 128}
    assert default_search("Flat") == {}
    with pytest.raises(RagkitError):
        check_factory("Nonsense", 384)


def test_every_recipe_is_measured_and_shown_in_the_tree() -> None:
    shown = {path.name: path.read_text() for path in (ROOT / "indexes").glob("*.toml")}
    assert set(shown) == {f"{recipe.name}.toml" for recipe in recipes()}
    packaged = ROOT / "ragkit" / "index" / "recipes"
    assert all((packaged / name).read_text() == text for name, text in shown.items())
    for recipe in recipes():
        check_factory(recipe.name, 384)
        assert recipe.measured, f"{recipe.name} says nothing of its recall, latency and bytes"
        for row in recipe.measured:
            assert {"on", "factory", "recall_at_10", "ms_a_query", "bytes_a_vector"} <= set(row)
