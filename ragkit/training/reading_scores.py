"""SQuAD's exact match and F1 (Rajpurkar et al. 2016, evaluate-v1.1.py)."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Lower case, no punctuation, no English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_and_f1(prediction: str, answers: Sequence[str]) -> tuple[float, float]:
    """Exact match and token F1 in [0, 1], the best over the gold answers; none means the answer is ""."""
    said = normalise_answer(prediction)
    golds = [normalise_answer(answer) for answer in answers or [""]]
    scores = [(float(said == gold), _f1(said.split(), gold.split())) for gold in golds]
    return max(exact for exact, _ in scores), max(f1 for _, f1 in scores)


def mean_scores(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean "exact" and "f1" over questions, in percent."""
    pairs = [exact_and_f1(said, gold) for said, gold in zip(predictions, answers, strict=True)]
    exact, f1 = (100 * sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return {"exact": exact, "f1": f1}


def _f1(said: list[str], gold: list[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    common = sum((Counter(said) & Counter(gold)).values())
    return 2 * common / (len(said) + len(gold))
