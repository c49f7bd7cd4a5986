"""Whether an answer is right: SQuAD's exact match and F1 (Rajpurkar et al. 2016), word for word as there."""

import re
from collections import Counter
from collections.abc import Sequence

from ragkit.corpus.normalisation import normalise


def exact_match(answer: str, golds: Sequence[str]) -> float:
    """1.0 where the answer equals one of the gold answers after `normalise`.

    No gold answers: the question has none, and only the empty answer is right (as in SQuAD 2.0).
    """
    return max(float(normalise(answer) == normalise(gold)) for gold in golds or [""])


def f1(answer: str, golds: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over words, the best of the gold answers."""
    return max(_f1(normalise(answer).split(), normalise(gold).split()) for gold in golds or [""])


def answer_in_text(golds: Sequence[str], text: str) -> bool:
    """Whether one of the answers occurs in the text as whole words, after `normalise` (DPR's has_answer)."""
    return answer_in_normalised(golds, normalise(text))


def answer_in_normalised(golds: Sequence[str], text: str) -> bool:
    """As `answer_in_text`, of a text normalised already, or several with line breaks between them."""
    patterns = (rf"(?:^|\s){re.escape(words)}(?:\s|$)" for words in map(normalise, golds) if words)
    return any(re.search(pattern, text) for pattern in patterns)


def _f1(answer: list[str], gold: list[str]) -> float:
    if not answer or not gold:
        return float(answer == gold)
    common = sum((Counter(answer) & Counter(gold)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(answer), common / len(gold)
    return 2 * precision * recall / (precision + recall)
