"""Row 77: three ways to read and write sequences, each on a task that its kind can learn in seconds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.sequence.strings import (
    BEGIN,
    END,
    VOCABULARY,
    Digits,
    drawn,
    exact,
    token_loss,
    written,
)
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.sequence.decoding import Ends, greedy
from ragkit.models.sequence.encoder_decoder import EncoderDecoder
from ragkit.models.sequence.many_to_one import ManyToOne
from ragkit.models.sequence.one_to_many import OneToMany
from ragkit.models.sequence.transformer import shifted_right
from ragkit.training.recipe import LoopSettings, Recipe

Task = Literal["parity", "count", "reverse"]


@dataclass(frozen=True, kw_only=True)
class SequenceTasks(Experiment):
    """parity, many to one: is the number of ones in up to ten bits odd? count, one to many: from a digit up
    to 9. reverse, many to many: up to three digits backwards, each twice.

    Strings that are tested are never trained on; of the ten digits to count from there are no others.
    """

    task: Task = "reverse"
    hidden: int = 96
    width: int = 32
    rows: int = 20_000
    batch_size: int = 128
    loop: LoopSettings = LoopSettings(
        learning_rate=1e-2, max_steps=1200, precision="fp32", validate_every=400, weight_decay=0.0
    )

    def recipe(self) -> Recipe:
        recipes = {"parity": self._parity, "count": self._count, "reverse": self._reverse}
        return recipes[self.task]()

    def _parity(self) -> Recipe:
        def bits(count: int, held_out: bool) -> tuple[Tensor, Tensor, Tensor]:
            strings = drawn(count, range(1, 11), self.loop.seed, held_out, digits=2)
            data = written(strings, lambda string: string)
            return data.source, data.lengths, torch.tensor([sum(string) % 2 for string in strings])

        def loss(model: nn.Module, tokens: Tensor, lengths: Tensor, odd: Tensor) -> Tensor:
            return functional.cross_entropy(model(tokens, lengths), odd)

        def right(model: nn.Module) -> float:
            tokens, lengths, odd = test
            return (model(tokens, lengths).argmax(1) == odd).double().mean().item()

        train, test = bits(self.rows, False), bits(1000, True)
        model = ManyToOne(VOCABULARY, self.width, self.hidden, 2)
        return self._trained(model, train, test, loss, right)

    def _count(self) -> Recipe:
        strings: list[Digits] = [[digit] for digit in range(10)]
        objects, _, target = written(strings, lambda string: range(string[0], 10))
        model = OneToMany(VOCABULARY, VOCABULARY, self.width, self.hidden)

        def loss(model: nn.Module, objects: Tensor, target: Tensor) -> Tensor:
            return token_loss(model(objects, shifted_right(target, BEGIN)), target)

        def right(model: nn.Module) -> float:
            assert isinstance(model, OneToMany)
            state = model.start(objects[:, 0])
            return exact(greedy(model.decoder.step, state, 10, Ends(BEGIN, END, 12)), target)

        data = objects[:, 0], target
        return self._trained(model, data, data, loss, right)

    def _reverse(self) -> Recipe:
        def strings(count: int, held_out: bool) -> tuple[Tensor, Tensor, Tensor]:
            found = drawn(count, range(1, 4), self.loop.seed, held_out)
            return written(found, lambda string: [digit for digit in reversed(string) for _ in range(2)])

        def loss(model: nn.Module, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
            return token_loss(model(source, lengths, shifted_right(target, BEGIN)), target)

        def right(model: nn.Module) -> float:
            assert isinstance(model, EncoderDecoder)
            source, lengths, target = test
            state = model.start(source, lengths)
            return exact(greedy(model.decoder.step, state, len(source), Ends(BEGIN, END, 8)), target)

        train, test = strings(self.rows, False), strings(500, True)
        model = EncoderDecoder(VOCABULARY, VOCABULARY, self.width, self.hidden)
        return self._trained(model, train, test, loss, right)

    def _trained(
        self,
        model: nn.Module,
        train: tuple[Tensor, ...],
        test: tuple[Tensor, ...],
        loss: Callable[..., Tensor],
        right: Callable[[nn.Module], float],
    ) -> Recipe:
        return TensorRecipe(
            model, train, loss,
            lambda model: {"loss": float(loss(model, *test)), "accuracy": right(model)},
            batch_size=self.batch_size, seed=self.loop.seed,
        )  # fmt: skip


def three_kinds() -> dict[str, list[float]]:
    """Row 77."""
    small = SequenceTasks(task="parity", hidden=24, width=8)
    count = replace(small, task="count", loop=replace(small.loop, max_steps=400))
    kinds = {
        "parity of bits": small,
        "digits counted up from": count,
        "strings backwards, doubled": SequenceTasks(),
    }
    return {name: over_seeds(experiment)["accuracy"] for name, experiment in kinds.items()}
