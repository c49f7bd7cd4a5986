"""Which calls are kept, against the definition and transformers' own loss."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from ragkit.chapters.rag.toolformer import character_tokenizer, examples, small_model
from ragkit.generation.causal import CausalGenerator
from ragkit.generation.tools.tool import ToolCall
from ragkit.training.tools import filtering
from ragkit.training.tools.filtering import Proposal, answer_losses, keep_helpful


def generator() -> CausalGenerator:
    torch.manual_seed(0)
    tokenizer = character_tokenizer()
    return CausalGenerator(small_model(tokenizer, width=16, layers=1).eval(), tokenizer)


@pytest.mark.row(110)
def test_losses_are_those_of_transformers() -> None:
    tokenizer, model = character_tokenizer(), generator()
    pairs = [("what is 1 plus 2?", "3"), ("add 20 to 5", "25"), ("7 - 9 = ?", "-2")]
    losses = answer_losses(model, tokenizer, *map(list, zip(*pairs, strict=True)))
    for loss, (question, answer) in zip(losses, pairs, strict=True):
        tokens, labels = examples(tokenizer, [(question, answer)])
        with torch.no_grad():
            mean = model.model(input_ids=tokens, labels=labels).loss.item()
        assert loss == pytest.approx(mean * (len(answer) + 1), rel=1e-4)  # its end counts
    assert len(answer_losses(model, tokenizer, [], [])) == 0


@pytest.mark.row(110)
def test_a_call_is_kept_where_its_result_lowers_the_loss_by_the_threshold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # -log p of the answer after each beginning of a prompt, the longest that fits counting
    table = {
        "a": 5.0, "a [t(1)->]": 6.0, "a [t(1)->x]": 3.0,  # 5 - 3 = 2
        "a [t(2)->]": 1.0, "a [t(2)->x]": 0.5,  # the call alone helps: 1 - 0.5
        "a [t(3)->]": 9.0, "a [t(3)->x]": 2.0,  # 5 - 2 = 3: the best of the question
        "b": 1.0, "b [t(1)->]": 4.0, "b [t(1)->x]": 2.0,  # better without
    }  # fmt: skip

    def losses(
        model: object, tokenizer: object, questions: Sequence[str], answers: Sequence[str]
    ) -> np.ndarray:
        return np.array([table[question] for question in questions])

    monkeypatch.setattr(filtering, "answer_losses", losses)
    proposals = [
        Proposal(question, "y", ToolCall("t", argument, "x"))
        for question, argument in (("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"))
    ]

    def kept(threshold: float) -> list[tuple[str, str, float]]:
        found = keep_helpful(generator(), None, proposals, threshold)
        return [(one.question, one.call.argument, gain) for one, gain in found]

    assert kept(2.0) == [("a", "3", 3.0)] and kept(3.0) == [("a", "3", 3.0)] and kept(3.1) == []
    assert kept(-math.inf) == [("a", "3", 3.0), ("b", "1", -1.0)]
