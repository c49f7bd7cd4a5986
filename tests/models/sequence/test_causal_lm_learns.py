"""What the causal language model learns of real text: row 94. Minutes of training: `-m slow`."""

import gzip
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ragkit.models.sequence.byte_pair import BytePairEncoding
from ragkit.models.sequence.causal_lm import CausalLM

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("seed", [0, 1, 2])]


def wikitext(folder: Path, part: str) -> list[list[str]]:
    """The lines of WikiText-2 that are text, as words."""
    with gzip.open(folder / "text" / f"wikitext2_{part}.txt.gz", "rt", encoding="utf-8") as lines:
        return [words for line in lines if len(words := line.split()) > 3 and words[0] != "="]


def train(model: nn.Module, loss: Callable[[int], Tensor], steps: int, rate: float) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


@pytest.mark.row(94)
def test_causal_model_is_three_times_better_than_the_unigram(shared_data: Path, seed: int) -> None:
    """Byte pairs learnt on the validation part, perplexity on the test part, in tokens of 300 kinds."""
    torch.manual_seed(seed)
    train_text = "\n".join(" ".join(words) for words in wikitext(shared_data, "valid"))
    test_text = "\n".join(" ".join(words) for words in wikitext(shared_data, "test"))[:60_000]
    tokens = BytePairEncoding.train([train_text[:100_000]], 44)
    learnt, held = (torch.tensor(tokens.encode(text)) for text in (train_text, test_text))
    counts = torch.bincount(learnt, minlength=300) + 1.0
    unigram = -(counts / counts.sum()).log()[held].mean()
    model = CausalLM(300, width=96, layers=2, heads=4, positions=64, dropout=0.0)

    def loss(step: int) -> Tensor:
        starts = torch.randint(len(learnt) - 64, (24,))
        return model.loss(learnt[starts[:, None] + torch.arange(64)])

    train(model, loss, 900, 3e-3)
    with torch.no_grad():
        found = model.loss(held[: len(held) // 64 * 64].view(-1, 64))
    assert math.exp(found) < math.exp(unigram) / 3
