"""How many tokens a model reads and writes, and prompts laid side by side."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ragkit.generation.prompts import Prompt

UNBOUNDED = 10**6
"""Stands for no limit; tokenizers that know of none say 10**30."""

POSITIONS_FROM_PADDING = {
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
    "longformer",
    "xmod",
    "data2vec-text",
}
"""These number positions from pad_token_id + 1 on, so that many of their embeddings hold no token."""


def reading_window(config: Any, tokenizer: Any) -> int:
    """Most tokens of a prompt: the least of what model and tokenizer say."""
    names = (
        "max_position_embeddings",
        "n_positions",
        "max_source_positions",
        "max_encoder_position_embeddings",
    )
    limits = [limit for limit in (getattr(config, name, None) for name in names) if limit]
    if config.model_type in POSITIONS_FROM_PADDING:
        limits = [limit - config.pad_token_id - 1 for limit in limits]
    return min([*limits, tokenizer.model_max_length, UNBOUNDED])


def decoder_window(config: Any) -> int:
    """Most tokens that the decoder of an encoder-decoder writes, its start token included."""
    decoder = getattr(config, "decoder", None) or config
    limits = [getattr(decoder, name, None) for name in ("max_target_positions", "max_position_embeddings")]
    return min([limit for limit in limits if limit], default=UNBOUNDED)


def token_ids(*sources: int | Sequence[int] | None) -> tuple[int, ...]:
    """The first source that is not None, as a tuple."""
    found = next((source for source in sources if source is not None), ())
    return (found,) if isinstance(found, int) else tuple(found)


def padded(
    prompts: Sequence[Prompt],
    tokenizer: Any,
    device: torch.device,
    *,
    left: bool = False,
    length: int | None = None,
) -> dict[str, Tensor]:
    """The inputs of all prompts, each (prompts, `length` or longest), with the attention mask that leaves
    padding out."""
    longest = length or max(len(prompt) for prompt in prompts)
    fillings = {"input_ids": tokenizer.pad_token_id or 0, "attention_mask": 0, "token_type_ids": 0}
    batch = {}
    for name in prompts[0].inputs.keys() & fillings.keys() | {"attention_mask"}:
        batch[name] = torch.full((len(prompts), longest), fillings[name], dtype=torch.long)
        for row, prompt in enumerate(prompts):
            values = prompt.inputs[name] if name in prompt.inputs else [1] * len(prompt)
            begin = longest - len(prompt) if left else 0
            batch[name][row, begin : begin + len(prompt)] = torch.tensor(values)
    return {name: value.to(device) for name, value in batch.items()}
