"""`ragkit train NAME` for the recipes of the chapters: a command each, made when it is asked for."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ragkit.errors import RagkitError
from ragkit_cli.console import Stages, print_json, progress
from ragkit_cli.options import Json

if TYPE_CHECKING:
    from ragkit.chapters.chapter import ChapterRecipe
    from ragkit.chapters.experiment import Experiment

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting; may be given repeatedly.")
]
Seed = Annotated[int, typer.Option("--seed", help="What every random number follows from.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of the run: log, curve, weights, pictures; runs/NAME.")
]


class RecipesToo(TyperGroup):
    """A group with commands of its own and one for each recipe."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        return own or (_command(_recipes()[cmd_name]) if cmd_name in _recipes() else None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from ragkit.chapters.registry import nearest

            ctx.fail(f"no recipe {args[0]!r}: {nearest(args[0], [*self.commands, *_recipes()])}")
        return super().resolve_command(ctx, args)


def _recipes() -> dict[str, "ChapterRecipe"]:
    from ragkit.chapters.registry import chapters

    return {recipe.name: recipe for chapter in chapters() for recipe in chapter.recipes}


def _command(recipe: "ChapterRecipe") -> Any:
    class Command(TyperCommand):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            settings = [f"{name}={value}" for name, value in _experiment(recipe).settings.items()]
            self.epilog = f"Settings: {', '.join(settings)}. {self.epilog}"
            super().format_help(ctx, formatter)

    rows = ", ".join(map(str, recipe.rows))
    app = typer.Typer(add_completion=False)

    @app.command(
        recipe.name,
        cls=Command,
        help=f"Train {recipe.summary} (row {rows}). A run that was stopped goes on where it was.",
        epilog=f"Example: ragkit train {recipe.name} --set lr=0.01 --out runs/{recipe.name}",
    )
    def train(set_: Set = None, seed: Seed = 0, out: Out = None, json: Json = False) -> None:
        folder = out or Path("runs") / recipe.name
        experiment = _experiment(recipe).with_settings(_pairs(set_ or [])).with_seed(seed)
        with progress() as bars:
            scores = experiment.run(folder, partial(Stages(bars).step, "training"))
        if json:
            print_json({"out": str(folder), "seed": seed, "scores": scores})
            return
        print(", ".join(f"{name} {value:.4g}" for name, value in scores.items()))
        print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")

    return typer.main.get_command(app)


def _experiment(recipe: "ChapterRecipe") -> "Experiment":
    from ragkit.chapters.check import load

    experiment: Experiment = load(recipe.experiment)()
    return experiment


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise RagkitError(f"--set {text}: expected KEY=VALUE, such as lr=0.01")
        pairs[name.strip()] = value.strip()
    return pairs
