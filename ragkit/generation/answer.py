"""An answer and what stands behind it."""

from dataclasses import dataclass, field

from ragkit.corpus.document import Passage
from ragkit.generation.tools.tool import ToolCall


@dataclass(frozen=True, slots=True)
class Support:
    """One passage z behind an answer y to the question x. All are natural logarithms or probabilities:

    - `prior`: p(z|x), the softmax of the retrieval scores over the k passages;
    - `log_likelihood`: log p(y|x,z), the sum of the answer's token log-probabilities given z;
    - `posterior`: p(z|x,y) = p(z|x) p(y|x,z) / p(y|x); sums to one over the passages.
    """

    passage: Passage
    prior: float
    log_likelihood: float
    posterior: float
    score: float = 0.0
    """The retrieval's, on the scale of its mode."""
    log_none: float | None = None
    """log p(no answer | x, z): that the passage does not hold the answer. None of models that cannot say."""
    start: int | None = None
    """For an extractive answer: where it begins in `passage.text`, in characters."""
    end: int | None = None


@dataclass(frozen=True, slots=True)
class WithoutPassage:
    """The answer that wins when one passage is left out, from the likelihoods already computed."""

    passage: Passage
    text: str
    log_probability: float


@dataclass(frozen=True, slots=True)
class Answer:
    """`log_probability` is log p(y|x) = log sum_z p(z|x) p(y|x,z). An empty `text` means that the model
    finds no answer in the passages. `support` is sorted by posterior, highest first."""

    question: str
    text: str
    log_probability: float
    support: list[Support] = field(default_factory=list)
    alternatives: list[tuple[str, float]] = field(default_factory=list)
    """Other candidates with their log p(y|x), best first."""
    without: list[WithoutPassage] = field(default_factory=list)
    """Leave-one-passage-out answers, filled when asked for (`why=True`)."""
    truncated: dict[str, int] = field(default_factory=dict)
    """Passage id -> tokens cut from it to fit the model's window; passages not named were whole."""
    calls: list[ToolCall] = field(default_factory=list)
    """Tools that the generator called before it answered, in order."""
    confidence: float | None = None
    """Calibrated probability that the answer is right (`confidence`), where a calibration was applied."""
    withheld: bool = False
    """Whether the risk of giving it is too high: `text` is what would have been said."""
