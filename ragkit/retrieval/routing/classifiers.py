"""Few-shot classifiers over vectors of length one that do not change: scores whose softmax is p(label | x).

All but one are linear in x, and kept so. eval/routing measures them, and those that have to be trained on
other topics first (relation networks, MAML), on topics unseen.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ragkit.encoders.encoder import Vectors

Method = Literal["prototypes", "matching", "logistic"]
Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]

PROTOTYPE_SCALE, MATCHING_SCALE, INVERSE_PENALTY = 10.0, 20.0, 10.0
"""What eval/results/routing.md was measured with; it shows neighbouring values on other intents."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Scores x·w_k + b_k: weights (labels, size), bias (labels,)."""

    weights: Vectors
    bias: Scores

    def scores(self, vectors: Vectors) -> Scores:
        found: Scores = vectors @ self.weights.T + self.bias
        return found


@dataclass(frozen=True, slots=True)
class Matching:
    """log Σ_{i of k} exp(s x·x_i): matching networks' attention over all examples (items, size)."""

    support: Vectors
    labels: Labels

    def scores(self, vectors: Vectors) -> Scores:
        import torch

        from ragkit.models.meta.kernel import log_kernel_prediction
        from ragkit.models.meta.matching import cosines

        cosine = cosines(torch.as_tensor(vectors), torch.as_tensor(self.support))
        labels = torch.as_tensor(self.labels)
        ways = int(self.labels.max()) + 1
        found: Scores = log_kernel_prediction(MATCHING_SCALE * cosine, labels, ways).numpy()
        return found


Classifier = Linear | Matching


def fit(method: Method, vectors: Vectors, labels: Labels) -> Classifier:
    """From examples (items, size) with labels 0 .. N-1 (items,), each of which occurs."""
    if method == "matching":
        return Matching(vectors, labels)
    if method == "prototypes":
        return from_prototypes(prototypes(vectors, labels))
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000).fit(vectors, labels)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # of two labels scikit-learn keeps the second's log-odds alone
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return Linear(weights.astype(np.float32), bias.astype(np.float32))


def prototypes(vectors: Vectors, labels: Labels) -> Vectors:
    """The mean vector of each label, (labels, size)."""
    return np.stack([vectors[labels == label].mean(axis=0) for label in range(int(labels.max()) + 1)])


def from_prototypes(centres: Vectors) -> Linear:
    """-s ‖x - c_k‖² without what is the same for all k: 2s x·c_k - s ‖c_k‖² (Snell et al. 2017, section
    2.4)."""
    bias = -PROTOTYPE_SCALE * np.square(centres).sum(axis=1)
    return Linear(2 * PROTOTYPE_SCALE * centres, bias.astype(np.float32))
