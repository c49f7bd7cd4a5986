"""Teacher forcing: the decoder's next input is the true token with probability p, else its own. Row 81.

p = 1 is teacher forcing proper (Williams & Zipser 1989); what the notes describe, p < 1, is scheduled
sampling (Bengio et al. 2015). Gradients do not pass through the choice of the own token.
"""

from typing import Any

import torch
from torch import Tensor

from ragkit.models.sequence.decoding import Step


def forced_logits(
    step: Step,
    state: Any,
    truth: Tensor,
    begin: int,
    probability: float = 1.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Logits (batch, tokens, vocabulary) for each token of `truth` (batch, tokens), and the tokens fed in.

    Each row of each step draws for itself; the first input is always `begin`.

    Raises:
        ValueError: if the probability is not one.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"{probability} is no probability")
    tokens = torch.full_like(truth[:, 0], begin)
    logits, fed = [], []
    for gold in truth.unbind(1):
        fed.append(tokens)
        scores, state = step(tokens, state)
        logits.append(scores)
        chance = torch.rand(gold.shape, generator=generator).to(gold.device)
        tokens = torch.where(chance < probability, gold, scores.argmax(dim=-1))
    return torch.stack(logits, dim=1), torch.stack(fed, dim=1)
