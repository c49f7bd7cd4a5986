"""Linear probe: argmin_W -Σ log softmax(W h + b)_y + λ/2 ‖W‖² on the frozen activations h of a layer. Row 10.

The notes say that deep layers hold more abstract features. What a layer holds in a form that a linear
classifier can read is measurable (Alain and Bengio 2016): train one on each layer and compare accuracies.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def linear_probe(features: Tensor, labels: Tensor, classes: int, penalty: float = 1.0) -> nn.Linear:
    """The multinomial logistic regression of labels (items,) on features (items, width), in float64.

    `penalty` is λ on the weights, not on the biases, against the *sum* of the losses: 1/C of scikit-learn.
    """
    probe = nn.Linear(features.shape[1], classes).double()
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    features = features.double()
    optimiser = torch.optim.LBFGS(
        probe.parameters(),
        max_iter=1000,
        tolerance_grad=1e-8,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        misfit = functional.cross_entropy(probe(features), labels, reduction="sum")
        loss = (misfit + penalty / 2 * probe.weight.square().sum()) / len(features)
        loss.backward()
        return loss

    optimiser.step(closure)
    return probe
