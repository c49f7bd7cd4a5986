"""Attention masks, boolean, True where a query may look; all broadcast to (batch, heads, queries, keys)."""

import torch
from torch import Tensor


def padding_mask(real: Tensor) -> Tensor:
    """Keys that are tokens and not padding: (batch, 1, 1, keys) from `real` (batch, keys)."""
    return real.bool()[:, None, None, :]


def causal_mask(queries: int, keys: int | None = None, device: torch.device | None = None) -> Tensor:
    """(queries, keys): the last query sees all keys, each query before it one less.

    With `keys` > `queries`, the queries are the last positions of a sequence whose first ones are cached.
    """
    keys = queries if keys is None else keys
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def real_positions(lengths: Tensor, width: int) -> Tensor:
    """(batch, width), True at the first `lengths` positions of each row."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]
