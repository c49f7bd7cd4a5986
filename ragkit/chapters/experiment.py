"""An experiment: the settings of a chapter's recipe, and what is done with them.

`ragkit train NAME --set key=value` fills the settings in; the one loop trains what they describe.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

import torch

from ragkit.chapters.registry import nearest
from ragkit.errors import RagkitError
from ragkit.training.loop import train
from ragkit.training.recipe import LoopSettings, OnEvent, Recipe

SHORT = {"lr": "learning_rate"}
"""Names of settings that everybody writes shorter."""


@dataclass(frozen=True, kw_only=True)
class Experiment(ABC):
    """Subclasses are frozen dataclasses: their fields are the settings, `loop` how the loop trains."""

    loop: LoopSettings = LoopSettings(learning_rate=1e-3, precision="fp32", validate_every=100)

    @abstractmethod
    def recipe(self) -> Recipe:
        """Model and data. Torch's generator is seeded when this is called."""

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        """Numbers that validation does not give; writes pictures into `out`."""
        return {}

    def run(self, out: Path, on_event: OnEvent | None = None) -> dict[str, float]:
        """Trains into `out`, going on where a run that was stopped left off, and returns all numbers."""
        torch.manual_seed(self.loop.seed)
        recipe = self.recipe()
        result = train(recipe, out, self.loop, on_event, fingerprint=asdict(self))
        recipe.model.eval()
        scores = {name: value for name, value in result.scores.items() if name != "step"}
        return scores | self.finish(recipe, out)

    @property
    def settings(self) -> dict[str, Any]:
        """What `with_settings` can change, with its values: its own settings, then the loop's."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "loop"}
        return own | {f.name: getattr(self.loop, f.name) for f in fields(self.loop) if f.name != "seed"}

    def with_seed(self, seed: int) -> Self:
        return replace(self, loop=replace(self.loop, seed=seed))

    def with_settings(self, given: Mapping[str, str]) -> Self:
        """The same with settings given as text, its own ones or the loop's.

        Raises:
            RagkitError: if a name is unknown (the nearest is suggested) or a value does not fit.
        """
        own = {f.name for f in fields(self)} - {"loop"}
        changed: dict[str, Any] = {}
        of_loop: dict[str, Any] = {}
        for short, text in given.items():
            name = SHORT.get(short, short)
            if name not in self.settings:
                raise RagkitError(f"no setting {short!r}: {nearest(name, list(self.settings))}")
            types = get_type_hints(type(self) if name in own else LoopSettings)
            (changed if name in own else of_loop)[name] = _parsed(name, text, types[name])
        return replace(self, **changed, loop=replace(self.loop, **of_loop))


def over_seeds(experiment: Experiment, seeds: Sequence[int] = (0, 1, 2)) -> dict[str, list[float]]:
    """Runs the experiment once a seed, in folders that are removed again: the numbers of all seeds."""
    runs = []
    for seed in seeds:
        with TemporaryDirectory() as folder:
            runs.append(experiment.with_seed(seed).run(Path(folder)))
    return {name: [run[name] for run in runs] for name in runs[0]}


def _parsed(name: str, text: str, kind: Any) -> Any:
    """`text` as a value of the type that the setting is declared with."""
    options = [kind] if get_origin(kind) is Literal else list(get_args(kind) or (kind,))
    for option in options:
        if option is NoneType and text.lower() == "none":
            return None
        if get_origin(option) is Literal and text in get_args(option):
            return text
        if option is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if option in (int, float, str):
            try:
                return option(text)
            except ValueError:
                continue
    wanted = " or ".join(
        ", ".join(get_args(o)) if get_origin(o) is Literal else "none" if o is NoneType else o.__name__
        for o in options
    )
    raise RagkitError(f"{name}={text}: expected {wanted}")
