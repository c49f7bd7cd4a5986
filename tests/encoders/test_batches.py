from hypothesis import given
from hypothesis import strategies as st

from ragkit.encoders.batches import padded_length, token_budget_batches

lengths_of_texts = st.lists(st.integers(0, 600), max_size=80)


@given(lengths_of_texts, st.integers(1, 2000))
def test_every_position_once_longest_first_and_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(token_budget_batches(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    in_order = [lengths[i] for batch in batches for i in batch]
    assert in_order == sorted(lengths, reverse=True)


@given(lengths_of_texts, st.integers(1, 2000))
def test_no_batch_could_have_taken_the_next_text(lengths: list[int], budget: int) -> None:
    batches = list(token_budget_batches(lengths, budget))
    for batch in batches[:-1]:
        assert (len(batch) + 1) * max(lengths[i] for i in batch) > budget


def test_padding_goes_up_to_a_multiple_within_the_limit() -> None:
    assert [padded_length(n, 16) for n in (1, 16, 17, 250)] == [16, 16, 32, 256]
    assert [padded_length(n, 16, 250) for n in (1, 240, 241, 250)] == [16, 240, 241, 250]
    assert padded_length(7, 1, 8) == 7
