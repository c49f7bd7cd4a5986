"""What the generator minimises: E_z log(1 - D(G(z))), or better -E_z log D(G(z)). Row 115.

By the logit l of a fake the gradients are -σ(l) and -(1 - σ(l)). Early on D tells every fake, σ(l) ≈ 0, and
the first form gives almost none (it saturates) where the second gives almost all. Both are best where D is
deceived; that this leads to "the same convergence", as the notes say, holds for the fixed point and not for
the way there: the second does not minimise V.
"""

from typing import Literal

from torch import Tensor
from torch.nn import functional

Objective = Literal["non-saturating", "saturating"]


def generator_loss(fake: Tensor, objective: Objective = "non-saturating") -> Tensor:
    """A scalar from the logits of the fakes, any shape; "saturating" is the min-max game's own form."""
    if objective == "saturating":
        return functional.logsigmoid(-fake).mean()
    return -functional.logsigmoid(fake).mean()
