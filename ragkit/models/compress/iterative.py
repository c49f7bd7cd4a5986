"""Prune, fine-tune, and go on while it lasts. Rows 144, 145 (Han et al. 2015).

    repeat:  m ← the largest share r of what m left;  θ ← fine-tune(m ⊙ θ)   until score(θ) < score(dense) - ε

The notes leave the stopping rule open: "we choose whether continue pruning or not". Here it is a
tolerance ε on the score, and the network of the last round that kept it is returned. Their "90 % at
acceptable results" needs the fine-tuning: without it the same masks cost most of the accuracy.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

from torch import nn

from ragkit.errors import RagkitError
from ragkit.models.compress.magnitude import Masks, apply_masks, left, magnitude_masks

FineTune = Callable[[nn.Module, Masks], None]
Score = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Round:
    """What one round came to: share of weights left, score just after pruning and after fine-tuning."""

    left: float
    pruned: float
    tuned: float


def prune_and_tune(
    model: nn.Module,
    fine_tune: FineTune,
    score: Score,
    *,
    keep: float = 0.8,
    tolerance: float = 0.01,
    most_rounds: int = 20,
    together: bool = True,
) -> tuple[Masks, list[Round]]:
    """Prunes the trained `model` in place, `keep` of what is left a round; returns masks and rounds.

    The last of the rounds may be one that failed the rule: the model is then that of the round before.

    Args:
        fine_tune: trains the model and leaves pruned weights pruned (see `keep_pruned`).
        score: higher is better, on data that the fine-tuning does not see.
        tolerance: how far below the dense model's score a round may end.

    Raises:
        RagkitError: if `keep` is not strictly between 0 and 1.
    """
    if not 0 < keep < 1:
        raise RagkitError(f"keep {keep}: give the share of weights left a round, between 0 and 1")
    least = score(model) - tolerance
    masks: Masks = magnitude_masks(model, 1.0)
    rounds: list[Round] = []
    for _ in range(most_rounds):
        before = deepcopy(model.state_dict())
        smaller = magnitude_masks(model, keep, masks, together)
        apply_masks(model, smaller)
        pruned = score(model)
        fine_tune(model, smaller)
        rounds.append(Round(left(smaller), pruned, score(model)))
        if rounds[-1].tuned < least:
            model.load_state_dict(before)
            break
        masks = smaller
    return masks, rounds
