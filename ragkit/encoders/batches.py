"""Batches of texts of like length under a budget of tokens: little padding, memory known in advance."""

from collections.abc import Iterator, Sequence


def padded_length(longest: int, multiple: int, limit: int | None = None) -> int:
    """Tokens that a batch is padded to: `longest`, up to a multiple of `multiple` where the model's limit is
    not below it."""
    length = -(-longest // multiple) * multiple
    return longest if limit is not None and length > limit else length


def token_budget_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Cuts the positions 0 .. len(lengths)-1 into batches, longest texts first.

    A batch of b texts whose longest has m tokens holds b * m <= `budget` tokens, padding included; a text
    longer than the budget is a batch of its own. Longest first, so that the peak of memory comes at once
    and the rate only gets better. Every position comes exactly once.
    """
    batch: list[int] = []
    longest = 0
    for position in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * longest > budget:
            yield batch
            batch = []
        if not batch:
            longest = lengths[position]
        batch.append(position)
    if batch:
        yield batch
