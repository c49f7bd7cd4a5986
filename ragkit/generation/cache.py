"""Rows of transformers' key-value caches."""

import copy

from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


def select_rows(cache: Cache, rows: Tensor) -> Cache:
    """A cache of its own that holds these rows; the one it comes from is left as it was."""
    chosen = copy.copy(cache)
    chosen.layers = [copy.copy(layer) for layer in cache.layers]
    if _one_row(rows) and all(type(layer) is DynamicLayer for layer in chosen.layers):
        for layer in chosen.layers:
            layer.keys, layer.values = take_rows(layer.keys, rows), take_rows(layer.values, rows)
    else:
        chosen.reorder_cache(rows)
    return chosen


def take_rows(values: Tensor, rows: Tensor) -> Tensor:
    """values[rows]; one row many times is a view, so that a prompt is held once for all its answers."""
    if _one_row(rows):
        return values[rows[:1]].expand(len(rows), *values.shape[1:])
    return values.index_select(0, rows)


def _one_row(rows: Tensor) -> bool:
    return bool((rows == rows[0]).all())
