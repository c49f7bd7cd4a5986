"""Mean answer scores over held-out questions."""

from collections.abc import Sequence

from ragkit.evaluation.answers import exact_match, f1


def mean_scores(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> dict[str, float]:
    """Mean SQuAD "exact" and "f1" in percent; a question without gold answers wants ""."""
    pairs = list(zip(predictions, answers, strict=True))
    return {
        "exact": 100 * sum(exact_match(said, gold) for said, gold in pairs) / len(pairs),
        "f1": 100 * sum(f1(said, gold) for said, gold in pairs) / len(pairs),
    }
