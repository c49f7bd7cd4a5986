"""Training, validation and test parts that share no group: the hash of its group places an item. Row 36.

The notes split items. Passages of one article, or questions about one passage, know each other: scattered
over the parts, they let a model be tested on what it has seen. Hashing (rather than drawing) also keeps
every group where it is when the data grow.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError


def grouped_split(
    groups: Sequence[str], shares: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> list[npt.NDArray[np.int64]]:
    """The items of each part, ascending; `groups` names the group of each item.

    A group comes into a part with the probability of its share, so that few groups fill the shares roughly.

    Raises:
        RagkitError: unless the shares are above 0 and sum to 1.
    """
    if not shares or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise RagkitError(f"shares {list(shares)}: give numbers above 0 that sum to 1, such as 0.8 0.1 0.1")
    bounds = list(accumulate(shares))[:-1]
    part_of = {group: bisect_right(bounds, _place(group, seed)) for group in set(groups)}
    parts = np.array([part_of[group] for group in groups], dtype=np.int64)
    return [np.flatnonzero(parts == part) for part in range(len(shares))]


def _place(group: str, seed: int) -> float:
    """A number in [0, 1), even over groups."""
    digest = hashlib.blake2b(group.encode(), digest_size=8, salt=seed.to_bytes(16, "little")).digest()
    return int.from_bytes(digest) / 2**64
