"""L2: L + λ Σφ²,  L1: L + λ Σ|φ|. Row 42.

The notes stop at the shape of the contours. Two things follow from it. The step of plain gradient descent on
L2 is weight decay, φ - α(g + 2λφ) = (1 - 2αλ)φ - αg; with Adam it is not, as the penalty is divided by its
own size, and decay has to be decoupled (AdamW, Loshchilov and Hutter 2019). L1's corner at 0 makes weights
vanish, but only where it is stepped over exactly: its proximal step is S(φ) = sign(φ) max(0, |φ| - αλ).
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def l2(parameters: Iterable[Tensor]) -> Tensor:
    """Σφ² over all entries, a scalar."""
    return torch.stack([parameter.square().sum() for parameter in parameters]).sum()


def l1(parameters: Iterable[Tensor]) -> Tensor:
    """Σ|φ| over all entries, a scalar."""
    return torch.stack([parameter.abs().sum() for parameter in parameters]).sum()


def soft_threshold(values: Tensor, threshold: float) -> Tensor:
    """S(φ) = sign(φ) max(0, |φ| - threshold): what is smaller becomes exactly 0."""
    return values.sign() * (values.abs() - threshold).clamp_min(0)


def lasso(x: Tensor, y: Tensor, penalty: float, steps: int = 20_000, tolerance: float = 1e-12) -> Tensor:
    """argmin_w ‖y - Xw‖² / 2n + λ Σ|w|, (columns,), for X (n, columns) and y (n,): scikit-learn's Lasso.

    Proximal gradient steps (ISTA) of size n / λmax(XᵀX), with Nesterov's momentum (FISTA, Beck and Teboulle
    2009), until no weight moves by more than `tolerance`.
    """
    n = len(x)
    rate = n / float(torch.linalg.matrix_norm(x, 2) ** 2)
    weights = ahead = torch.zeros(x.shape[1], dtype=x.dtype)
    momentum = 1.0
    for _ in range(steps):
        gradient = x.mT @ (x @ ahead - y) / n
        following = soft_threshold(ahead - rate * gradient, rate * penalty)
        moved, before = following - weights, momentum
        momentum = (1 + (1 + 4 * before**2) ** 0.5) / 2
        weights, ahead = following, following + (before - 1) / momentum * moved
        if float(moved.abs().max()) < tolerance:
            break
    return weights
