"""The meta objective: θ* = argmin E_D [L_θ(D)], L = -Σ_{(x,y)∈B} log P_θ(y | x, S). Row 151.

Tasks D = (S, B) are drawn as a batch's items are otherwise. The notes print the likelihood of an episode as
Σ P_θ(x, y, S): what is maximised is the log of P(y given x and S) (Vinyals et al. 2016, equation 2);
`variant="notes"` sums the probabilities. Their "we don't modify the model's weights after training" holds for
the metric methods, not for MAML, which takes its inner steps on every new task.
"""

from typing import Literal

from torch import Tensor


def episode_loss(
    log_probabilities: Tensor, labels: Tensor, variant: Literal["standard", "notes"] = "standard"
) -> Tensor:
    """The loss of an episode, a scalar, the mean over its queries: (queries, ways) of log P(y | x, S) and the
    labels (queries,) in 0 .. ways-1."""
    of_label = log_probabilities.gather(1, labels[:, None])[:, 0]
    return -(of_label.exp() if variant == "notes" else of_label).mean()
