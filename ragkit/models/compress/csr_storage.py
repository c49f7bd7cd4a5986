"""Bytes of a pruned matrix in compressed sparse rows: one value and one column number a weight left, and
where each row begins. Row 144.

    bytes = n (v + 4) + 4 (rows + 1)          against  v rows columns, v bytes a value

so that nothing is saved before half of float32 weights are gone. Storage is all that unstructured pruning
gains: a dense product does not skip zeros, and a sparse one is slower until almost all are gone.
"""

from torch import Tensor

INDEX_BYTES = 4


def csr_bytes(weight: Tensor) -> int:
    """Of a matrix, (rows, columns), in its own type and 32-bit indices."""
    rows = weight.shape[0]
    return int(weight.count_nonzero()) * (weight.element_size() + INDEX_BYTES) + INDEX_BYTES * (rows + 1)


def dense_bytes(weight: Tensor) -> int:
    return weight.numel() * weight.element_size()
