"""Attention of several rows to one source, whose keys and values are held once and not once a row.

A decoder of transformers attends from (rows, target) to (rows, source). Where every source is read by n rows
that lie side by side, the n rows are laid behind each other as n * target queries of the one source: the same
products, and neither copies of the source nor n passes over it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "ragkit_shared_source"
FAMILIES = {"bart", "mbart", "pegasus", "t5", "mt5", "encoder-decoder"}
"""Types whose decoders are known to leave keys, values and mask of the source to the attention function."""


def can_share(model: PreTrainedModel) -> bool:
    """Whether the model's decoder attends by a function that can be exchanged."""
    return model.config.model_type in FAMILIES and all(
        part.config._attn_implementation == "sdpa" and part._can_set_attn_implementation()
        for part in _decoders(model)
    )


@contextmanager
def shared_source(model: PreTrainedModel) -> Iterator[None]:
    """In it, the model's decoder may have n times as many rows as there are sources."""
    configs = [part.config for part in _decoders(model)]
    for config in configs:
        config._attn_implementation = NAME
    try:
        yield
    finally:
        for config in configs:
            config._attn_implementation = "sdpa"


def _decoders(model: PreTrainedModel) -> list[PreTrainedModel]:
    return [part for part in model.get_decoder().modules() if isinstance(part, PreTrainedModel)]


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """query (rows, heads, target, d), key, value (sources, heads, source, d) -> (rows, target, heads, d)."""
    rows, sources = len(query), len(key)
    if rows == sources:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, position_bias=position_bias, **options
        )
    # Only a source is shared. Its mask is that of its padding, the same for every query; and the position
    # bias is left out: T5 has none towards the source, and hands in zeros.
    several, target = rows // sources, query.shape[2]
    folded = query.unflatten(0, (sources, several)).transpose(1, 2).flatten(2, 3)
    mask = None if attention_mask is None else attention_mask[:, :, :1]
    options["is_causal"] = False
    mixed, _ = sdpa_attention_forward(module, folded, key, value, mask, **options)
    return mixed.unflatten(1, (several, target)).flatten(0, 1), None


ALL_ATTENTION_FUNCTIONS.register(NAME, _attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, sdpa_mask)
