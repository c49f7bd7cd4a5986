"""The sum over passages that every answerer here takes: p(y|x) = sum_z p(z|x) p(y|x,z), in logarithms.

Lewis et al. 2020, Retrieval-Augmented Generation for Knowledge-Intensive NLP Tasks, section 2; in float64.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError

Logs = npt.NDArray[np.float64]


def log_priors(scores: Sequence[float], temperature: float) -> Logs:
    """log p(z|x) = log softmax(scores / temperature) over the k passages retrieved, (k,).

    Raises RagkitError unless the temperature is above 0 and the scores are finite.
    """
    if not temperature > 0:
        raise RagkitError(f"the temperature must be above 0, not {temperature}")
    scaled = np.asarray(scores, dtype=np.float64) / temperature
    if not np.isfinite(scaled).all():
        raise RagkitError("a retrieval score is not a finite number: p(z|x) cannot be taken from it")
    return normalised(scaled)


def normalised(logs: Logs) -> Logs:
    """Logarithms shifted so that their exponentials sum to one along the last axis."""
    shifted = logs - logs.max(axis=-1, keepdims=True)  # first, so that large values keep their last digits
    return shifted - log_sum(shifted)[..., None]


def log_sum(logs: Logs) -> Logs:
    """log sum exp over the last axis; -inf where every term is -inf."""
    top = logs.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(logs - top).sum(axis=-1)) + top[..., 0]


def none_answers(log_none: Logs) -> bool:
    """Whether more likely than not no passage holds the answer: prod_z p(no answer | x, z) > 1/2.

    The mixture sum_z p(z|x) p(no answer | x, z) cannot tell: it is high as soon as most passages lack the
    answer, which of five passages found four usually do. As this is the stricter of the two, an empty answer
    that passes has the highest p(y|x) too.

    Args:
        log_none: log p(no answer | x, z) of the passages, (k,); what a passage left out says is left out.
    """
    return bool(log_none.sum() > np.log(0.5))


def without(log_prior: Logs, left_out: int) -> Logs:
    """The priors when one passage is left out: its own is 0 (log -inf), the rest sum to one again."""
    rest = log_prior.copy()
    rest[left_out] = -np.inf
    return normalised(rest)
