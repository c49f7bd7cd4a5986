"""Settings given as text, and a run that trains, reports and resumes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.tensors import TensorRecipe
from ragkit.errors import RagkitError
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class Line(Experiment):
    """y = 2x by gradient descent."""

    size: int = 8
    kind: Literal["plain", "fancy"] = "plain"
    shuffled: bool = True
    loop: LoopSettings = LoopSettings(learning_rate=0.1, epochs=3, precision="fp32")

    def recipe(self) -> Recipe:
        x = torch.linspace(-1, 1, self.size)[:, None]
        return TensorRecipe(
            nn.Linear(1, 1),
            (x, 2 * x),
            lambda model, a, b: ((model(a) - b) ** 2).mean(),
            lambda model: {"loss": float(((model(x) - 2 * x) ** 2).mean())},
            batch_size=3,
            seed=self.loop.seed,
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        (out / "note.txt").write_text("done")
        return {"weights": float(sum(p.numel() for p in recipe.model.parameters()))}


def test_settings_are_read_from_text() -> None:
    given = {"size": "4", "kind": "fancy", "shuffled": "false", "lr": "0.5", "max_steps": "7"}
    found = Line().with_settings(given).with_seed(3)
    assert (found.size, found.kind, found.shuffled) == (4, "fancy", False)
    assert (found.loop.learning_rate, found.loop.max_steps, found.loop.seed) == (0.5, 7, 3)
    assert found.with_settings({"max_steps": "none"}).loop.max_steps is None
    assert found.settings["learning_rate"] == 0.5


@pytest.mark.parametrize(
    "given, message",
    [
        ({"sice": "4"}, "did you mean size"),
        ({"learning_rat": "4"}, "did you mean learning_rate"),
        ({"size": "four"}, "expected int"),
        ({"kind": "odd"}, "expected plain, fancy"),
        ({"shuffled": "yes"}, "expected bool"),
        ({"max_steps": "1.5"}, "expected int or none"),
        ({"loop": "x"}, "no setting"),
        ({"seed": "1"}, "no setting"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(RagkitError, match=message):
        Line().with_settings(given)


def test_a_run_is_repeatable_and_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Line().run(tmp_path / "a")
    assert first["weights"] == 2
    assert {path.name for path in (tmp_path / "a").iterdir()} >= {"note.txt", "curve.png", "log.jsonl"}
    assert Line().run(tmp_path / "a") == first == Line().run(tmp_path / "b")
    assert Line().with_seed(1).run(tmp_path / "c") != first
    with pytest.raises(RagkitError, match="other settings"):
        Line(size=9).run(tmp_path / "a")


def test_numbers_of_all_seeds_are_kept_apart() -> None:
    found = over_seeds(Line(), seeds=(0, 1))
    assert len(found["loss"]) == 2 and found["loss"][0] != found["loss"][1]


def test_data_that_would_spoil_every_weight_are_named() -> None:
    def recipe(*data: torch.Tensor) -> TensorRecipe:
        return TensorRecipe(
            nn.Linear(1, 1), data, lambda *_: torch.zeros(()), lambda _: {}, batch_size=2, seed=0
        )

    x = torch.linspace(-1, 1, 6)[:, None]
    for bad in (torch.nan, torch.inf):
        y = x.clone()
        y[4] = bad
        with pytest.raises(RagkitError, match=rf"tensor 2 .* {bad} in row 4 \(1 of 6 rows"):
            recipe(x, y)
    with pytest.raises(RagkitError, match="6, 5 rows"):
        recipe(x, x[:5])
    with pytest.raises(RagkitError, match="0 rows"):
        recipe(x[:0])
