"""A large batch in the memory of a small one: ∂L/∂θ = Σ_i (∂L/∂z_i) (∂z_i/∂θ), chunk by chunk. Row 66.

The notes want a large batch for its many negatives and stop at the memory it takes. GradCache (Gao et al.
2021) encodes all chunks without a graph, takes the loss's gradient at the vectors, then encodes each chunk
once more and sends that gradient through it. The loss and the gradients are those of the whole batch.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def cached_backward(
    encode: Callable[[Tensor], Tensor], loss: Callable[[Tensor], Tensor], chunks: Sequence[Tensor]
) -> Tensor:
    """Adds the gradient of `loss(all vectors)` to the encoder's parameters and returns the loss, a scalar.

    `encode` must give the same vectors twice: with dropout, seed it.

    Args:
        encode: from a chunk (items, ...) to vectors (items, size).
        loss: from the vectors of all chunks, in order, to a scalar.
    """
    with torch.no_grad():
        vectors = torch.cat([encode(chunk) for chunk in chunks])
    vectors.requires_grad_()
    value = loss(vectors)
    (gradient,) = torch.autograd.grad(value, vectors)
    parts = gradient.split([len(chunk) for chunk in chunks])
    for chunk, part in zip(chunks, parts, strict=True):
        encode(chunk).backward(part)
    return value.detach()
