"""E_D E_y[(f_D(x) - y)²] = E_D[(f_D - f̄)²] + (f̄ - μ)² + E_y[(y - μ)²]: variance, bias², noise.
Rows 38, 39.

f_D is the model fitted to data set D, f̄ its mean over data sets, μ(x) the truth. The notes write "bias" for
bias², and claim the sum for any loss: it holds for the squared loss only. (For log loss and error rate there
are other decompositions, Domingos 2000.)
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Parts(NamedTuple):
    """What the expected squared error is made of, means over the places where it was measured."""

    variance: float
    bias_squared: float
    noise: float

    @property
    def total(self) -> float:
        return self.variance + self.bias_squared + self.noise


def decompose(predictions: Tensor, truth: Tensor, noise: float) -> Parts:
    """From the predictions of models fitted to different data sets, (data sets, places), and μ, (places,).

    `noise` is the variance of a label around μ. The variance is the unbiased estimate (over n - 1); its n-th
    part, by which the mean of few models misses f̄, is taken from bias².
    """
    variance = predictions.var(dim=0, unbiased=True)
    bias_squared = (predictions.mean(dim=0) - truth) ** 2 - variance / len(predictions)
    return Parts(float(variance.mean()), float(bias_squared.mean()), noise)


def least_squares(features: Tensor, labels: Tensor) -> Tensor:
    """The coefficients (columns, ...) of least norm among those of least squared error: features (rows,
    columns), labels (rows, ...). Where columns exceed rows this is "ridgeless" regression."""
    solution: Tensor = torch.linalg.lstsq(features, labels, driver="gelsd").solution
    return solution


def linear_variance(features: Tensor, places: Tensor, noise: float) -> Tensor:
    """Var f_D(x) = σ² xᵀ(XᵀX)⁻¹x of least squares on fixed inputs X (rows, columns) with labels of variance
    σ², at the places (places, columns): (places,)."""
    factor = torch.linalg.cholesky(features.mT @ features)
    return noise * torch.linalg.solve_triangular(factor, places.mT, upper=False).square().sum(dim=0)
