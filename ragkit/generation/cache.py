"""Rows of transformers' key-value caches."""

import copy

from torch import Tensor
from transformers.cache_utils import Cache, EncoderDecoderCache


def select_rows(cache: Cache, rows: Tensor) -> Cache:
    """A cache of its own that holds these rows; the one it comes from is left as it was."""
    if isinstance(cache, EncoderDecoderCache):
        return EncoderDecoderCache(
            select_rows(cache.self_attention_cache, rows), select_rows(cache.cross_attention_cache, rows)
        )
    chosen = copy.copy(cache)
    chosen.layers = [copy.copy(layer) for layer in cache.layers]
    chosen.reorder_cache(rows)
    return chosen


def reorder_written(cache: Cache, rows: Tensor) -> None:
    """Reorders in place what was written; keys and values of the source, equal in both rows, stay."""
    written = cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
    written.reorder_cache(rows)
