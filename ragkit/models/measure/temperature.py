"""Temperature scaling: p = softmax(z / T), T = argmin_T -Σ log p_y on a validation part. Row 37.

The notes see the test loss rise while the number of errors stays: the network grows more sure than it is
right. One number undoes most of it (Guo et al. 2017): T > 1 takes back confidence and leaves the answers as
they are.
"""

import torch
from torch import Tensor
from torch.nn import functional


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T of least mean negative log-likelihood: logits (items, classes), labels (items,).

    The loss is convex in 1/T and has one bottom; it is sought over log(1/T).
    """
    logits, log_scale = logits.double(), torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [log_scale], max_iter=100, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(logits * log_scale.exp(), labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(torch.exp(-log_scale.detach()))
