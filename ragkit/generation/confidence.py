"""How likely an answer is right, and when to give none.

A calibration turns what an answer rests on (`features`) into a probability by logistic regression:

    p(right) = sigmoid(intercept + weights . (features - means) / scales)

and holds, for thresholds on it, how many questions that were left out of the fit were answered and how many
of those wrongly. From these comes the promise of a risk R (`Calibration.threshold`): the lowest threshold
whose risk stays at most R by an exact binomial bound (Clopper and Pearson 1934) at level DELTA, shared out
over all thresholds that could have been chosen (Bonferroni). Geifman and El-Yaniv 2017, Selective
Classification for Deep Neural Networks. The promise holds for questions like those it was calibrated on.
`ragkit.evaluation.calibration` fits calibrations.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ragkit.errors import RagkitError
from ragkit.generation.answer import Answer

Values = npt.NDArray[np.float64]

FEATURES = (
    "log p(y|x)",
    "log odds against the next answer",
    "log p(y|x,z) of the best passage",
    "entropy of p(z|x,y)",
    "log odds that some passage answers",
    "score of the best passage",
    "log p(z|x) of the passage answered from",
    "log words",
)
FILE = "confidence.json"
WEIGHTS = Path(__file__).parents[1] / "weights"
LOWEST = -20.0
"""Logarithms below it are taken for it: a probability of 0 is not evidence without end."""
DELTA = 0.1
"""How often a promised risk may be broken, over calibration sets."""
NOT_COMPARED = ("allow_empty", "min_answer_tokens", "filter")
"""Of an answerer's config, what changes no probability that features are made of."""


@dataclass(frozen=True, slots=True)
class Operating:
    """What became of the questions left out of the fit at one threshold: so many answered, so many wrong."""

    threshold: float
    answered: int
    wrong: int


@dataclass(frozen=True)
class Calibration:
    """Fitted to one answerer; `config` is that answerer's.

    Attributes:
        means, scales, weights: of `FEATURES`, in that order.
        questions: answered in calibrating.
        curve: by falling threshold.
        fitted_on: what data, in words.
    """

    config: dict[str, Any]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    questions: int
    curve: tuple[Operating, ...]
    fitted_on: str

    def confidence(self, answers: Sequence[Answer]) -> Values:
        """p(right) of each answer, (n,); 0 where there is no answer to be right."""
        if not answers:
            return np.empty(0)
        p = self.probability(np.stack([features(answer) for answer in answers]))
        return np.where([bool(answer.text) for answer in answers], p, 0.0)

    def probability(self, x: Values) -> Values:
        """p(right) by features, (n, 8) -> (n,)."""
        standardised = (x - self.means) / self.scales
        return np.asarray(1 / (1 + np.exp(-(self.intercept + standardised @ np.asarray(self.weights)))))

    def threshold(self, max_risk: float) -> float:
        """The lowest threshold on p(right) at which at most `max_risk` of the answers given are wrong.

        Raises RagkitError where `max_risk` is no share, or none of the thresholds promises it.
        """
        if not 0 < max_risk < 1:
            raise RagkitError(f"the risk must lie between 0 and 1, not {max_risk}")
        bounds = [risk_bound(point.wrong, point.answered, DELTA / len(self.curve)) for point in self.curve]
        kept = [point.threshold for point, bound in zip(self.curve, bounds, strict=True) if bound <= max_risk]
        if not kept:
            raise RagkitError(
                f"a risk of {max_risk:g} cannot be promised: {self.fitted_on} allows {min(bounds):.2f} at "
                "best; allow more, or calibrate on more questions"
            )
        return min(kept)

    def apply(self, answers: Sequence[Answer], max_risk: float | None = None) -> list[Answer]:
        """The answers with their `confidence`; with `max_risk`, those below the threshold are withheld."""
        least = 0.0 if max_risk is None else self.threshold(max_risk)
        return [
            replace(answer, confidence=float(p), withheld=bool(p < least))
            for answer, p in zip(answers, self.confidence(answers), strict=True)
        ]

    def disagreement(self, config: Mapping[str, Any]) -> str | None:
        """What an answerer does otherwise than the one that this was fitted to, or None."""
        mine, its = (_compared(of) for of in (self.config, config))
        for name in sorted({*mine, *its}):
            if mine.get(name) != its.get(name):
                return f"it was calibrated with {name} {mine.get(name)}, this is {its.get(name)}"
        return None

    def to_json(self) -> dict[str, Any]:
        return {"features": list(FEATURES), **asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Raises ValueError where it is not a calibration of these features."""
        fields: dict[str, Any] = dict(content)
        if tuple(fields.pop("features", ())) != FEATURES:
            raise ValueError("it is of other features: calibrate anew")
        try:
            for name in ("means", "scales", "weights"):
                fields[name] = tuple(map(float, fields[name]))
                if len(fields[name]) != len(FEATURES):
                    raise ValueError(f"{len(fields[name])} {name} for {len(FEATURES)} features")
            fields["curve"] = tuple(Operating(**point) for point in fields["curve"])
            return cls(**fields)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a calibration ({error})") from error


def features(answer: Answer) -> Values:
    """`FEATURES` of an answer, (8,). Without passages there is nothing to go by: all are 0."""
    if not answer.support:
        return np.zeros(len(FEATURES))
    best = answer.support[0]
    posterior = np.array([support.posterior for support in answer.support])
    log_p = max(answer.log_probability, LOWEST)
    next_log_p = max([other for text, other in answer.alternatives if text] + [LOWEST])
    none = sum(max(support.log_none, LOWEST) for support in answer.support if support.log_none is not None)
    return np.array(
        [
            log_p,
            log_p - next_log_p,
            max(best.log_likelihood, LOWEST),
            -float((posterior * np.log(np.maximum(posterior, 1e-12))).sum()),
            _log_odds_against(none),
            max(support.score for support in answer.support),
            max(float(np.log(max(best.prior, 1e-12))), LOWEST),
            float(np.log1p(len(answer.text.split()))),
        ]
    )


def risk_bound(wrong: int, answered: int, delta: float) -> float:
    """Upper Clopper-Pearson bound of a risk at level `delta`; 1 where nothing was answered."""
    from scipy.stats import beta

    return 1.0 if wrong >= answered else float(beta.ppf(1 - delta, wrong + 1, answered - wrong))


def write_calibrations(path: Path, calibrations: Sequence[Calibration]) -> None:
    """Atomically; raises RagkitError where it cannot be written."""
    content = json.dumps([one.to_json() for one in calibrations], indent=1, ensure_ascii=False) + "\n"
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise RagkitError(f"cannot write {path}: {error.strerror or error}") from error


def keep_calibration(path: Path, calibration: Calibration) -> None:
    """Puts it into a file of calibrations, in place of one that was fitted to such an answerer before."""
    others = read_calibrations(path) if path.is_file() else []
    write_calibrations(path, [*(one for one in others if one.disagreement(calibration.config)), calibration])


def read_calibrations(path: Path) -> list[Calibration]:
    """Raises RagkitError where the file is missing or holds something else."""
    try:
        return [Calibration.from_json(one) for one in json.loads(path.read_text(encoding="utf-8"))]
    except OSError as error:
        raise RagkitError(f"cannot read the calibration {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise RagkitError(f"{path} does not hold calibrations: {error}") from error


def calibration_of(config: Mapping[str, Any], index: Path | None = None) -> Calibration | None:
    """The calibration for an answerer with this config: the one that lies with the index (`FILE`), or, for
    the packaged models, the one that came with them. None where neither was fitted to such an answerer.

    Raises RagkitError where a file is broken.
    """
    with_models = WEIGHTS / ("reader" if config.get("model") == "reader" else "generator") / FILE
    of_index = [] if index is None else [index / FILE]
    places = [*of_index, *([with_models] if config.get("weights") == "packaged" else [])]
    for path in places:
        if path.is_file() and (found := fitting(read_calibrations(path), config)) is not None:
            return found
    return None


def fitting(calibrations: Sequence[Calibration], config: Mapping[str, Any]) -> Calibration | None:
    """The first that was fitted to an answerer with this config."""
    return next((one for one in calibrations if one.disagreement(config) is None), None)


def _compared(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in NOT_COMPARED and value is not None}


def _log_odds_against(log_p: float) -> float:
    """log((1 - p) / p), at most -LOWEST either way."""
    p = min(max(np.exp(log_p), np.exp(LOWEST)), 1 - np.exp(LOWEST))
    return float(np.log1p(-p) - np.log(p))
