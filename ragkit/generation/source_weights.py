"""How far each source is trusted, as a factor of its passages' prior. Row 112.

p(z|x, w) = w_z p(z|x) / sum_z' w_z' p(z'|x), where w_z is a number in the metadata of the passage. Of two
passages that fit the question equally well, one is w_1 / w_2 times as likely as the other.
"""

from collections.abc import Sequence

import numpy as np

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError
from ragkit.generation.marginal import Logs


def log_weights(passages: Sequence[Passage], field: str) -> Logs:
    """log w of each passage, (k,); a passage without the field weighs 1.

    Raises RagkitError where the field holds something other than a finite number above 0.
    """
    weights = [passage.metadata.get(field, 1.0) for passage in passages]
    for passage, weight in zip(passages, weights, strict=True):
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < float("inf"):
            raise RagkitError(
                f"{passage.id}: its metadata say {field} = {weight!r}, which is no weight: "
                "give a number above 0, or leave the field out, which weighs 1"
            )
    return np.log(np.asarray(weights, dtype=np.float64))
