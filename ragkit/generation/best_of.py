"""Best of n: of the n likeliest answers, each with the places it cites, the one that a reward model prefers.

This is the "rejection sampling" of WebGPT (Nakano et al. 2021, section 3.2): the reward r of a candidate is
learnt from pairwise preferences, p(a preferred to b) = sigma(r_a - r_b), which is Plackett-Luce with two
items. Here

    r(x, y) = w . f(x, y)

over a few features f of question, answer and cited passages (`FEATURES`), so that it can be read what counts.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ragkit.corpus.document import Passage
from ragkit.corpus.normalisation import normalise
from ragkit.errors import RagkitError
from ragkit.generation.answer import Answer
from ragkit.generation.evidence import WORD, Citation, Evidence, content_words, share, stems

PACKAGED = "packaged"

FEATURES = {
    "log p(y|x)": "the answerer's",
    "cited": "the largest share of the answer's words that a sentence has, rare words weighing more",
    "about": "the largest product of that and the share of the question's words that the sentence has",
    "agreement": "that of the answer's words, on average over the passages by p(z|x)",
    "echo": "share of the answer's words that the question has already",
    "length": "log(1 + words of the answer)",
    "number": "1 or -1 where the question asks for a number, and the answer has a digit or has none; else 0",
}

ASKS_NUMBER = re.compile(
    r"\b(when|how (many|much|long|old|far|tall|large|big)|(what|which) (year|date|percent\w*))\b"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that was weighed.

    Attributes:
        citations: the best place of each passage that has words of it, best passage first.
        features: by the names of `FEATURES`.
    """

    text: str
    log_probability: float
    citations: list[Citation]
    features: dict[str, float]
    reward: float


@dataclass(frozen=True)
class RewardModel:
    """The weight of each feature. `about` says what they were learnt from."""

    weights: Mapping[str, float]
    about: Mapping[str, object]

    def reward(self, features: Mapping[str, float]) -> float:
        return sum(self.weights[name] * value for name, value in features.items())

    def save(self, path: Path) -> None:
        content = {"weights": dict(self.weights), "about": dict(self.about)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def load_reward(spec: str | Path = PACKAGED) -> RewardModel:
    """The reward model of a file that `ragkit train reward` wrote; "packaged" is the one that ships.

    Raises RagkitError where the file cannot be read or holds no reward model.
    """
    try:
        if str(spec) == PACKAGED:
            text = (files("ragkit.generation") / "reward.json").read_text("utf-8")
        else:
            text = Path(spec).read_text("utf-8")
        content = json.loads(text)
        weights = {name: float(content["weights"][name]) for name in FEATURES}
        about = dict(content["about"])
    except OSError as error:
        raise RagkitError(f"cannot read the reward model {spec}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RagkitError(f"{spec} is no reward model: make one with `ragkit train reward`") from error
    if not all(map(math.isfinite, weights.values())):
        raise RagkitError(f"{spec} is no reward model: a weight is not a finite number")
    return RewardModel(weights, about)


class BestOf:
    """Chooses among an answerer's n likeliest answers: set it as `answerer.best_of`.

    Args:
        n: at least 1.
        evidence: finds the citations; `Evidence(index)` weighs words by the index.

    >>> rag.best_of = BestOf(8, evidence=Evidence(index))                         # doctest: +SKIP
    >>> [candidate.text for candidate in rag.best_of.candidates(rag.ask("..."))]  # doctest: +SKIP
    """

    def __init__(self, n: int, reward: RewardModel | None = None, evidence: Evidence | None = None) -> None:
        if n < 1:
            raise RagkitError(f"the best of {n} answers: there must be at least 1")
        self.n = n
        self.model = reward or load_reward()
        self.evidence = evidence or Evidence()

    def weighed(
        self,
        question: str,
        answers: Sequence[tuple[str, float]],
        passages: Sequence[Passage],
        priors: Sequence[float],
    ) -> list[Candidate]:
        """The first n different answers, the highest reward first; of equal ones the likelier.

        Args:
            answers: (text, log p(y|x)), likeliest first; empty ones are passed over.
            priors: p(z|x) of the passages.
        """
        distinct: dict[str, tuple[str, float]] = {}
        for text, log_p in answers:
            if key := normalise(text) or text.strip():
                distinct.setdefault(key, (text, log_p))
        found = []
        for text, log_p in list(distinct.values())[: self.n]:
            citations = [self.evidence.cite(text, passage, question) for passage in passages]
            features = self._features(question, text, log_p, citations, priors)
            cited = sorted((one for one in citations if one), key=lambda one: (-one.share, -one.about))
            found.append(Candidate(text, log_p, cited, features, self.model.reward(features)))
        return sorted(found, key=lambda candidate: -candidate.reward)

    def candidates(self, answer: Answer) -> list[Candidate]:
        """What an answer was chosen from."""
        answers = sorted([(answer.text, answer.log_probability), *answer.alternatives], key=lambda of: -of[1])
        passages = [support.passage for support in answer.support]
        return self.weighed(answer.question, answers, passages, [one.prior for one in answer.support])

    def _features(
        self,
        question: str,
        text: str,
        log_probability: float,
        citations: Sequence[Citation | None],
        priors: Sequence[float],
    ) -> dict[str, float]:
        """f(x, y). `citations`: one a passage, None where it has no word of y."""
        asked = frozenset(stems(content_words(question)))
        number = 0.0
        if ASKS_NUMBER.search(question.lower()):
            number = 1.0 if any(map(str.isdigit, text)) else -1.0
        shares = [citation.share if citation else 0.0 for citation in citations]
        return {
            "log p(y|x)": log_probability,
            "cited": max(shares, default=0.0),
            "about": max((one.share * one.about for one in citations if one), default=0.0),
            "agreement": sum(prior * of_text for prior, of_text in zip(priors, shares, strict=True)),
            "echo": share(self.evidence.weights(text), asked),
            "length": math.log1p(len(WORD.findall(text))),
            "number": number,
        }
