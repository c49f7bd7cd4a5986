"""Row 94: a causal language model of WikiText-2, learnt on the validation part, tested on the test part."""

import gzip
import math
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from ragkit.chapters.data import data_folder
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.sequence.blocks import gpt2_error
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.sequence.byte_pair import BytePairEncoding
from ragkit.models.sequence.causal_lm import CausalLM
from ragkit.models.sequence.decoding import Ends, sample
from ragkit.training.recipe import LoopSettings, Recipe

NEW_LINE = "\n"


def wikitext(part: str) -> list[list[str]]:
    """The paragraphs of a part of WikiText-2, as words; headings are left out."""
    return list(chain(*wikitext_articles(part)))


def wikitext_articles(part: str) -> list[list[list[str]]]:
    """The same, article by article: a heading of the first level begins one."""
    articles: list[list[list[str]]] = []
    with gzip.open(data_folder("text") / f"wikitext2_{part}.txt.gz", "rt", encoding="utf-8") as lines:
        for words in map(str.split, lines):
            if not articles or (words[:1] == ["="] and words[1] != "="):
                articles.append([])
            if len(words) > 3 and words[0] != "=":
                articles[-1].append(words)
    return [article for article in articles if article]


@dataclass(frozen=True, kw_only=True)
class TinyCausalLM(Experiment):
    """Byte pairs learnt from the same text; sample.txt is what the model writes afterwards."""

    merges: int = 44
    width: int = 96
    layers: int = 2
    heads: int = 4
    tokens: int = 64
    batch_size: int = 24
    loop: LoopSettings = LoopSettings(
        learning_rate=3e-3, max_steps=600, precision="fp32", validate_every=300, warm_up=0.1
    )

    def recipe(self) -> Recipe:
        pairs, learnt = self.text()
        held = torch.tensor(pairs.encode(_joined("test")[:60_000]))
        counts = torch.bincount(learnt, minlength=len(pairs.vocabulary)) + 1.0
        unigram = float(-(counts / counts.sum()).log()[held].mean())

        def loss(model: nn.Module, tokens: Tensor) -> Tensor:
            assert isinstance(model, CausalLM)
            return model.loss(tokens)

        def scores(model: nn.Module) -> dict[str, float]:
            value = float(loss(model, held[: len(held) // self.tokens * self.tokens].view(-1, self.tokens)))
            return {
                "loss": value,
                "perplexity": math.exp(value),
                "unigram / model": math.exp(unigram - value),
            }

        # Every stretch of the text, wherever it begins.
        windows = learnt.unfold(0, self.tokens, 1)
        model = CausalLM(len(pairs.vocabulary), self.width, self.layers, self.heads, self.tokens, dropout=0.0)
        return TensorRecipe(model, (windows,), loss, scores, batch_size=self.batch_size, seed=self.loop.seed)

    def text(self) -> tuple[BytePairEncoding, Tensor]:
        text = _joined("valid")
        pairs = BytePairEncoding.train([text[:100_000]], self.merges)
        return pairs, torch.tensor(pairs.encode(text))

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        model, (pairs, _) = recipe.model, self.text()
        assert isinstance(model, CausalLM)
        begin = pairs.encode(NEW_LINE)[0]
        with torch.no_grad():
            lines = sample(model.step, model.start(), 5, Ends(begin, begin, self.tokens), temperature=0.8)
        (out / "sample.txt").write_text(
            "".join(pairs.decode(line) + "\n" for line in lines), encoding="utf-8"
        )
        return {}


def _joined(part: str) -> str:
    return NEW_LINE.join(" ".join(words) for words in wikitext(part))


def causal() -> dict[str, float | list[float]]:
    """Row 94: GPT-2 from copied weights, and three seeds."""
    reached = over_seeds(TinyCausalLM())
    return {"off GPT-2": gpt2_error(), "unigram's perplexity / the model's": reached["unigram / model"]}
