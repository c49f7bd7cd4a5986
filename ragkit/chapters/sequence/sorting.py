"""Row 93: a Transformer that sorts or reverses strings of digits."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.sequence.alignment import draw
from ragkit.chapters.sequence.blocks import transformer_error
from ragkit.chapters.sequence.strings import (
    BEGIN,
    END,
    VOCABULARY,
    Strings,
    drawn,
    exact,
    token_loss,
    written,
)
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.sequence.decoder_block import DecoderBlock
from ragkit.models.sequence.decoding import Ends, greedy
from ragkit.models.sequence.encoder_block import Norm
from ragkit.models.sequence.transformer import Transformer, shifted_right
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class SortTransformer(Experiment):
    """Strings of up to `longest` digits, none tested that was trained on; attention.png shows what the last
    block reads of four of them, the mean of its heads."""

    task: Literal["sort", "reverse"] = "sort"
    longest: int = 6
    width: int = 48
    layers: int = 2
    heads: int = 4
    norm: Norm = "pre"
    rows: int = 50_000
    batch_size: int = 128
    loop: LoopSettings = LoopSettings(
        learning_rate=2e-3,
        max_steps=1000,
        precision="fp32",
        validate_every=250,
        warm_up=0.2,
        weight_decay=0.0,
    )

    def strings(self, count: int, held_out: bool) -> Strings:
        found = drawn(count, range(1, self.longest + 1), self.loop.seed, held_out)
        return written(found, sorted if self.task == "sort" else lambda string: string[::-1])

    def recipe(self) -> Recipe:
        def loss(model: nn.Module, source: Tensor, target: Tensor) -> Tensor:
            return token_loss(model(source, shifted_right(target, BEGIN)), target)

        def scores(model: nn.Module) -> dict[str, float]:
            assert isinstance(model, Transformer)
            ends = Ends(BEGIN, END, self.longest + 2)
            found = greedy(model.step, model.start(test.source), len(test.source), ends)
            return {"loss": float(loss(model, test.source, test.target)), "exact": exact(found, test.target)}

        train, test = self.strings(self.rows, held_out=False), self.strings(500, held_out=True)
        model = Transformer(
            VOCABULARY, self.width, self.layers, self.heads, 2 * self.width, dropout=0.0, norm=self.norm
        )
        return TensorRecipe(
            model, (train.source, train.target), loss, scores,
            batch_size=self.batch_size, seed=self.loop.seed,
        )  # fmt: skip

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        model, test = recipe.model, self.strings(500, held_out=True)
        assert isinstance(model, Transformer)
        rows = test.lengths.argsort(descending=True, stable=True)[[0, 1, 2, 3]]
        device = model.tokens.weight.device
        source, target = test.source[rows].to(device), test.target[rows].to(device)
        draw(read_by_last_block(model, source, target), source, target, out / "attention.png")
        return {}


@torch.no_grad()
def read_by_last_block(model: Transformer, source: Tensor, target: Tensor) -> Tensor:
    """(batch, target, source): the weights of the last block's attention to the encoder, its heads' mean.

    Args:
        source: without padding.
    """
    asked: list[Tensor] = []
    last = model.decoder[-1]
    assert isinstance(last, DecoderBlock)
    # What the queries are made of: before the norm that follows, or behind the one that goes before.
    norm = last.cross_norm if last.norm == "pre" else last.self_norm
    handle = norm.register_forward_hook(lambda _module, _inputs, output: asked.append(output))
    try:
        model(source, shifted_right(target, BEGIN))
    finally:
        handle.remove()
    return last.cross_attention.weights(asked[0], model.encode(source)).mean(dim=1)


def digit_strings() -> dict[str, float | list[float]]:
    """Row 93."""
    sort = SortTransformer()
    return {
        "error": transformer_error(),
        "strings sorted": over_seeds(sort)["exact"],
        "strings reversed": over_seeds(replace(sort, task="reverse"))["exact"],
    }
