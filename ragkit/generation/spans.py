"""Best answer span: argmax over i <= j < i + L of start_i + end_j (Devlin et al. 2019, BERT, section 4.2)."""

import torch
from torch import Tensor


def best_span(
    start_logits: Tensor, end_logits: Tensor, allowed_mask: Tensor, max_answer_tokens: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best span of every row, both ends inclusive.

    Args:
        start_logits: scores of beginning at a token, (batch, tokens).
        end_logits: scores of ending at a token, (batch, tokens).
        allowed_mask: True where an answer may begin or end, (batch, tokens).
        max_answer_tokens: L, the most tokens a span may have.

    Returns:
        (i, j, score), each (batch,): the span maximises start_i + end_j. A row that allows no span
        has the score -inf (and its i, j mean nothing). Of equal spans the first is taken.

    Raises:
        ValueError: if `max_answer_tokens` is below 1.
    """
    if max_answer_tokens < 1:
        raise ValueError(f"max_answer_tokens must be at least 1, not {max_answer_tokens}")
    tokens = start_logits.shape[-1]
    start = start_logits.float().masked_fill(~allowed_mask, float("-inf"))
    end = end_logits.float().masked_fill(~allowed_mask, float("-inf"))
    lengths = min(max_answer_tokens, tokens)
    # Windows of the ends instead of a (tokens, tokens) square: memory grows with L, not with tokens.
    ends = torch.nn.functional.pad(end, (0, lengths - 1), value=float("-inf")).unfold(-1, lengths, 1)
    flat = (start[..., None] + ends).flatten(1)
    score, at = flat.max(dim=-1)
    i = at // lengths
    return i, i + at % lengths, score
