"""The lines of a plan's table that no other line beats."""

from dataclasses import replace

from ragkit.index.planning.row import Row, dominates, front

BASE = Row("a", "Flat", {}, 0.9, 0.88, 0.001, 0.002, 100.0, 1000, 1.0)


def test_better_in_one_and_worse_in_none_dominates() -> None:
    assert dominates(replace(BASE, recall=0.95), BASE) and not dominates(BASE, replace(BASE, recall=0.95))
    assert not dominates(BASE, BASE)
    assert not dominates(replace(BASE, recall=0.95, p50=0.002), BASE)


def test_the_front_is_what_nothing_dominates_by_recall() -> None:
    fast, exact = replace(BASE, p50=0.0005), replace(BASE, recall=1.0, p50=0.01)
    small = replace(BASE, recall=0.5, bytes_a_vector=9.0)
    beaten = replace(BASE, p50=0.003)
    assert front([exact, beaten, fast, BASE, small]) == [small, fast, exact]


def test_what_the_table_would_show_alike_stands_once() -> None:
    better = replace(BASE, recall=0.904)
    assert front([better, BASE, replace(BASE, p50=0.001001)]) == [better]


def test_a_row_names_its_engine() -> None:
    assert replace(BASE, search={"nprobe": 4}).name == "a (Flat, nprobe 4)"
