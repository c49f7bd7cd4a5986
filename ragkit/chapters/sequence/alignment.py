"""Row 87: additive attention that learns by itself which place of the input it writes from."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.sequence.parity import double, off
from ragkit.chapters.sequence.strings import (
    BEGIN,
    FIRST,
    PADDING,
    VOCABULARY,
    Strings,
    drawn,
    token_loss,
    written,
)
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.sequence.additive_attention import AdditiveAttention, AttentiveEncoderDecoder
from ragkit.models.sequence.transformer import shifted_right
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class CopyAttention(Experiment):
    """Strings of up to `longest` digits are copied, none tested that was trained on; alignment.png shows
    where four of them were looked at."""

    longest: int = 6
    hidden: int = 32
    width: int = 16
    rows: int = 20_000
    batch_size: int = 96
    loop: LoopSettings = LoopSettings(
        learning_rate=1e-2, max_steps=900, precision="fp32", validate_every=300, weight_decay=0.0
    )

    def strings(self, count: int, held_out: bool) -> Strings:
        found = drawn(count, range(2, self.longest + 1), self.loop.seed, held_out)
        return written(found, lambda string: string)

    def recipe(self) -> Recipe:
        def loss(model: nn.Module, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
            return token_loss(model(source, lengths, shifted_right(target, BEGIN))[0], target)

        def scores(model: nn.Module) -> dict[str, float]:
            logits, weights = model(test.source, test.lengths, shifted_right(test.target, BEGIN))
            digits = test.source != PADDING  # target place t is a copy of source place t
            looked_at = weights[:, : digits.shape[1]].argmax(-1)
            right = logits.argmax(-1) == test.target
            return {
                "loss": float(token_loss(logits, test.target)),
                "copied": right[test.target != PADDING].double().mean().item(),
                "on the right place": (looked_at == torch.arange(self.longest))[digits]
                .double()
                .mean()
                .item(),
            }

        test = self.strings(500, held_out=True)
        return TensorRecipe(
            AttentiveEncoderDecoder(VOCABULARY, VOCABULARY, self.width, self.hidden),
            self.strings(self.rows, held_out=False), loss, scores,
            batch_size=self.batch_size, seed=self.loop.seed,
        )  # fmt: skip

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        test = self.strings(500, held_out=True)
        rows = test.lengths.argsort(descending=True, stable=True)[[0, 1, 2, 3]]
        source, lengths, target = (tensor[rows].to(next(recipe.model.parameters()).device) for tensor in test)
        with torch.no_grad():
            weights = recipe.model(source, lengths, shifted_right(target, BEGIN))[1]
        draw(weights, source, target, out / "alignment.png")
        return {}


def draw(weights: Tensor, source: Tensor, target: Tensor, file: Path) -> None:
    """One panel a string: what is written from top to bottom, what is looked at from left to right.

    Args:
        weights: (strings, target, source).
    """
    figure, axes = panels(len(source), width=2.6, height=2.8)
    for ax, shown, read, wrote in zip(axes, weights.cpu(), source.tolist(), target.tolist(), strict=True):
        across, down = ([named(token) for token in tokens if token != PADDING] for tokens in (read, wrote))
        ax.imshow(shown[: len(down), : len(across)], cmap="gray_r", vmin=0, vmax=1)
        ax.set_xticks(range(len(across)), across)
        ax.set_yticks(range(len(down)), down)
    axes[0].set(xlabel="read", ylabel="written")
    save(figure, file)


def named(token: int) -> str:
    return str(token - FIRST) if token >= FIRST else "end"


def alignment() -> dict[str, float | list[float]]:
    """Row 87."""
    reached = over_seeds(CopyAttention())
    return {
        "context off by": context_error(),
        "copied": reached["copied"],
        "on the right place": reached["on the right place"],
    }


@torch.no_grad()
def context_error() -> float:
    """Context, weights and their sums off the formula, place by place; one row is padded."""
    torch.manual_seed(0)
    layer, query, memory = AdditiveAttention(3, 4, 5).double(), double(2, 3), double(2, 6, 4)
    real = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    context, weights = layer(query, memory, real)
    v, w, b, u = layer.score.weight[0], layer.query.weight, layer.query.bias, layer.memory.weight
    errors = [off(weights.sum(1), torch.ones(2)), off(weights[~real], torch.zeros(4))]
    for row, length in enumerate((6, 2)):
        scores = torch.stack([v @ torch.tanh(w @ query[row] + b + u @ h) for h in memory[row, :length]])
        by_hand = scores.exp() / scores.exp().sum()
        errors.append(off(weights[row, :length], by_hand))
        errors.append(off(context[row], by_hand @ memory[row, :length]))
    return max(errors)
