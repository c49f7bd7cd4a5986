"""A stand-in for a generator writes what a script says; what becomes of its calls is looked at."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest
import torch
from torch import Tensor

from ragkit.corpus.document import Document, Passage
from ragkit.errors import RagkitError
from ragkit.generation.generator import Ending, Tokens
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.tools.calculator import Calculator
from ragkit.generation.tools.index_search import IndexSearch
from ragkit.generation.tools.tool import ToolCall, begun, may_become_call, parse_call
from ragkit.generation.tools.use import CALLS, use_tools
from ragkit.retrieval.hit import Hit
from ragkit.retrieval.index import Index
from tests.hashing_encoder import HashingEncoder

END = 0


class Written:
    """Token i is the character i; each row's script is written with certainty, then the end."""

    shares = False

    def __init__(self, scripts: Sequence[str], at: int = 0) -> None:
        self.scripts, self.at = list(scripts), at
        self.logits = self._next()

    def _next(self) -> Tensor:
        logits = torch.full((len(self.scripts), 128), -50.0)
        for row, script in enumerate(self.scripts):
            logits[row, ord(script[self.at]) if self.at < len(script) else END] = 0.0
        return logits

    def select(self, rows: Tensor) -> Self:
        return type(self)([self.scripts[row] for row in rows.tolist()], self.at)

    def reorder(self, rows: Tensor) -> None:
        assert len({self.scripts[row] for row in rows.tolist()}) <= len(set(self.scripts))

    def extend(self, tokens: Tensor) -> Tensor:
        logits = []
        for _ in range(tokens.shape[1]):
            self.at += 1
            logits.append(self._next())
        return torch.stack(logits, dim=1)


class Scripted:
    """Writes what `script` says to a question and a passage's text."""

    ending = Ending((END,))

    def __init__(self, script: Callable[[str, str], str]) -> None:
        self.script = script

    def read(
        self, questions: Sequence[str], passages: Sequence[Passage], answer_tokens: int
    ) -> tuple[Written, list[int]]:
        pairs = zip(questions, passages, strict=True)
        return Written([self.script(question, passage.text) for question, passage in pairs]), [0] * len(
            passages
        )

    def text(self, answer: Tokens, passage: Passage) -> str:
        return "".join(map(chr, answer)).rstrip("\0")


def hit(text: str, score: float = 0.0) -> Hit:
    return Hit(Passage(text, text, text, 0, len(text)), score, 1)


def test_a_call_is_made_its_result_inserted_and_the_answer_goes_on() -> None:
    def script(question: str, passage: str) -> str:
        return question.split("->")[1].rstrip("]") if "->" in question else "[calculator(12+30)->"

    rag = RagSequence(generator=Scripted(script), tools=[Calculator()], beams=1)
    (answer,) = rag.answer(["what is 12 plus 30?"], [[hit("a"), hit("b")]])
    assert answer.text == "42" and answer.question == "what is 12 plus 30?"
    assert answer.calls == [ToolCall("calculator", "12+30", "42")]
    assert str(answer.calls[0]) == "[calculator(12+30)->42]"
    assert {support.passage.id for support in answer.support} == {"a", "b"}
    assert rag.config["tools"] == ["calculator"]


def test_no_call_without_tools_or_without_the_wish() -> None:
    rag = RagSequence(generator=Scripted(lambda question, passage: "[calculator(1+1)->"), beams=1)
    (answer,) = rag.answer(["q"], [[hit("a")]])
    assert answer.text == "[calculator(1+1)->" and answer.calls == []
    rag = RagSequence(generator=Scripted(lambda question, passage: "plain"), tools=[Calculator()], beams=1)
    assert rag.answer(["q"], [[hit("a")]])[0].calls == []


def test_a_refused_call_leaves_no_trace_in_the_question() -> None:
    seen = []

    def script(question: str, passage: str) -> str:
        seen.append(question)
        return "[calculator(open(1))->"

    question, hits, calls = use_tools(Scripted(script), {"calculator": Calculator()}, "q", [hit("a")])
    assert question == "q" and hits == [hit("a")] and set(seen) == {"q"}
    assert calls[0].result is None and "not arithmetic" in calls[0].refusal


def test_calls_end() -> None:
    same = Scripted(lambda question, passage: "[calculator(1+1)->")
    assert len(use_tools(same, {"calculator": Calculator()}, "q", [hit("a")])[2]) == 1
    other = Scripted(lambda question, passage: f"[calculator({question.count('[')}+1)->")
    question, _, calls = use_tools(other, {"calculator": Calculator()}, "q", [hit("a")])
    assert len(calls) == CALLS and question.endswith(str(calls[-1]))
    endless = Scripted(lambda question, passage: "[calculator(" + "1" * 500)
    assert use_tools(endless, {"calculator": Calculator()}, "q", [])[2] == []


def test_passages_of_another_index_are_read_beside_the_others(tmp_path: Path) -> None:
    documents = [
        Document("x", "red cats sleep on stone"),
        Document("y", "blue dogs run"),
        Document("z", "green"),
    ]
    other = Index.build(documents, tmp_path / "index", encoder=HashingEncoder())

    def script(question: str, passage: str) -> str:
        return "[manual(red cats)->" if "->" not in question else passage.split()[0]

    rag = RagSequence(generator=Scripted(script), tools=[IndexSearch(other, "manual", k=2)], beams=1)
    (answer,) = rag.answer(["where do cats sleep?"], [[hit("nothing here", -9.0)]])
    assert answer.text == "red" and answer.support[0].passage.document_id == "x"
    assert len(answer.support) == 3 and answer.calls == [ToolCall("manual", "red cats", "")]
    with pytest.raises(RagkitError, match="cannot be a tool's name"):
        IndexSearch(other, "a b")
    with pytest.raises(RagkitError, match="two tools have one name"):
        RagSequence(generator=Scripted(script), tools=[Calculator(), Calculator()])


@pytest.mark.parametrize(
    "text, call",
    [
        ("[calculator(1+2)->", ("calculator", "1+2")), ("[calculator(1)", None), ("[other(1)->", None),
        (" [ calculator ( 1 + 2 ) - >", ("calculator", "1 + 2")),
        ("[calculator((1+2)*3)->", ("calculator", "(1+2)*3")),
        ("a [calculator(1)->", None), (begun("search", "a (b) c"), ("search", "a (b) c")),
    ],
)  # fmt: skip
def test_how_calls_are_read(text: str, call: tuple[str, str] | None) -> None:
    assert parse_call(text, {"calculator", "search"}) == call
    begins = all(may_become_call(text[:length], {"calculator", "search"}) for length in range(len(text) + 1))
    assert begins or call is None
