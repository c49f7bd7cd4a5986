"""An answer as JSON, and as a person reads it."""

import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ragkit_cli.console import escape, note, out
from ragkit_cli.search import excerpt, passage_json, where

if TYPE_CHECKING:
    from ragkit.generation.answer import Answer, Support


def answer_json(answer: "Answer") -> dict[str, Any]:
    return {
        "question": answer.question,
        "answer": None if answer.withheld else answer.text,
        "confidence": answer.confidence,
        "log_probability": answer.log_probability,
        "support": [
            {key: value for key, value in asdict(support).items() if key != "passage"}
            | {"passage": passage_json(support.passage)}
            for support in answer.support
        ],
        "alternatives": [{"answer": text, "log_probability": log_p} for text, log_p in answer.alternatives],
        "without": [
            {"passage": left.passage.id, "answer": left.text, "log_probability": left.log_probability}
            for left in answer.without
        ],
        "truncated": answer.truncated,
        "calls": [asdict(call) for call in answer.calls],
    }


def print_answer(answer: "Answer") -> None:
    """The answer, its probability and the passages behind it by posterior."""
    console = out()
    text = _one_line(answer.text) or "(no answer in the passages)"
    if answer.withheld:
        text = "(not sure enough to answer)"
    known = f"p(y|x) = {math.exp(answer.log_probability):.3f}"
    if answer.confidence is not None and answer.text:
        known += f", right with probability {answer.confidence:.2f}"
    if not sys.stdout.isatty():
        print(text)
        print(f"  {known}")
        for support in answer.support:
            print(f"  {support.posterior:.3f}\t{where(support.passage)}\t{_excerpt(support, answer.text)}")
    else:
        console.print(f"\n[dim]{escape(answer.question)}[/]")
        console.print(f"[bold green]{escape(text)}[/]  [dim]{known}[/]\n")
        for support in answer.support:
            bar = "█" * round(10 * support.posterior)
            console.print(
                f"[cyan]{bar:·<10}[/] [bold]{support.posterior:5.1%}[/] [dim]prior {support.prior:5.1%}[/]  "
                f"{escape(support.passage.title)} [dim]{escape(where(support.passage))}[/]"
            )
            if support.posterior >= 0.01:
                console.print(f"   {escape(_excerpt(support, answer.text))}\n")
    if answer.without:
        print("\nwithout a passage:")
        for left in answer.without:
            probability = math.exp(left.log_probability)
            print(f"  {where(left.passage)}: {_one_line(left.text) or '(no answer)'} ({probability:.3f})")
    for call in answer.calls:
        note(f"called {call}" if call.result is not None else f"refused {call}: {call.refusal}")
    for passage, tokens in answer.truncated.items():
        note(f"{passage}: {tokens} tokens cut to fit the model's window")


def _one_line(text: str) -> str:
    """An answer without the line breaks of the passage that it was taken from."""
    return " ".join(text.split())


def _excerpt(support: "Support", answer: str) -> str:
    text = support.passage.text
    if support.start is not None and support.end is not None:
        return excerpt(text, (support.start, support.end))
    at = text.lower().find(answer.lower()) if answer else -1
    return excerpt(text, (at, at + len(answer)) if at >= 0 else None)
