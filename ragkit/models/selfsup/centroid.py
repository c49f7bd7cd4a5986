"""Centroid regulariser: λ Σ ‖f(x) - c_y‖², c_y the mean of the vectors of class y in the batch. Row 73.

The notes name it and give no formula. It is Wen et al. 2016's centre loss with the centres taken from the
batch.
"""

import torch
from torch import Tensor


def centroid_loss(vectors: Tensor, labels: Tensor) -> Tensor:
    """Mean ‖f(x) - c_y‖², a scalar: vectors (batch, size), labels (batch,)."""
    _, place = labels.unique(return_inverse=True)
    counts = torch.bincount(place)
    sums = vectors.new_zeros(len(counts), vectors.shape[1]).index_add(0, place, vectors)
    centres = sums / counts[:, None]
    return (vectors - centres[place]).square().sum(dim=1).mean()
