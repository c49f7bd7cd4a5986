"""Double descent: the test error of f(x) = wᵀ max(0, Vx) over its width. V is random, w is the
least-squares solution of least norm. Row 40.

The notes say that more parameters hurt "temporarily" and do not say where: at the width that just fits the
training data (as many features as items), where w must be huge to fit the noise; beyond it the solution of
least norm becomes smooth again (Belkin et al. 2019, Mei and Montanari 2019).
"""

import torch
from torch import Tensor
from torch.nn import functional

from ragkit.models.measure.bias_variance import least_squares


def random_relu_features(x: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """(items, inputs) to (items, width): ReLUs with normal weights of variance 1/inputs."""
    weights = torch.randn(x.shape[1], width, generator=generator, dtype=x.dtype) / x.shape[1] ** 0.5
    return torch.relu(x @ weights)


def ridgeless_error(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], width: int, generator: torch.Generator
) -> float:
    """The share of wrong test labels of least squares to one-hot labels, on random features of this width."""
    (x, y), (test_x, test_y) = train, test
    features, of_test = random_relu_features(torch.cat([x, test_x]), width, generator).split(
        [len(x), len(test_x)]
    )
    coefficients = least_squares(features, functional.one_hot(y).to(x.dtype))
    return float(((of_test @ coefficients).argmax(dim=1) != test_y).double().mean())


def noisy_labels(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The labels with a share of them drawn anew from the other classes."""
    classes = int(labels.max()) + 1
    chosen = torch.randperm(len(labels), generator=generator)[: round(share * len(labels))]
    shift = torch.randint(1, classes, (len(chosen),), generator=generator)
    noisy = labels.clone()
    noisy[chosen] = (labels[chosen] + shift) % classes
    return noisy
