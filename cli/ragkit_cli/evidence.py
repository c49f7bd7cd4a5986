"""What bears an answer out, as `ragkit ask` shows it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.generation.answer import Answer
    from ragkit.generation.best_of import Candidate
    from ragkit.generation.evidence import Citation
    from ragkit.generation.grounding import Grounding

CITED = 2
"""Citations of a candidate that are printed; JSON holds all."""


def citation_json(citation: "Citation") -> dict[str, Any]:
    """Offsets are in characters of the document."""
    return {
        "passage": citation.passage.id,
        "document": citation.passage.document_id,
        "start": citation.passage.start + citation.start,
        "end": citation.passage.start + citation.end,
        "text": citation.passage.text[citation.start : citation.end],
    }


def grounding_json(grounding: "Grounding | None") -> dict[str, Any] | None:
    if grounding is None:
        return None
    sentences = [
        {
            "start": one.start,
            "end": one.end,
            "score": one.score,
            "citation": citation_json(one.citation) if one.citation else None,
        }
        for one in grounding.sentences
    ]
    return {"score": grounding.score, "sentences": sentences}


def candidate_json(candidate: "Candidate") -> dict[str, Any]:
    return {
        "answer": candidate.text,
        "reward": candidate.reward,
        "log_probability": candidate.log_probability,
        "features": candidate.features,
        "citations": [citation_json(citation) for citation in candidate.citations],
    }


def print_grounding(answer: "Answer", grounding: "Grounding") -> None:
    """Each sentence of a long answer apart."""
    print(f"\ngrounded {grounding.score:.3f}:")
    for one in grounding.sentences:
        cited = _where(one.citation) if one.citation else "no passage says so"
        print(f"  {one.score:.3f} {_one_line(answer.text[one.start : one.end])}  <- {cited}")


def print_candidates(candidates: "Sequence[Candidate]") -> None:
    print(f"\nthe best of {len(candidates)} by reward:")
    for candidate in candidates:
        cited = ", ".join(_where(citation) for citation in candidate.citations[:CITED]) or "no passage"
        print(f"  {candidate.reward:6.2f} {_one_line(candidate.text)}  <- {cited}")


def _where(citation: "Citation") -> str:
    found = citation_json(citation)
    return f"{found['document']} [{found['start']}:{found['end']}]"


def _one_line(text: str) -> str:
    return " ".join(text.split())
