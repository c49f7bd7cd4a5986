"""Hugging Face data sets, by hub name or local path, streamed through `datasets`."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ragkit.corpus.records import Located, as_document
from ragkit.errors import RagkitError

_FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv", ".arrow": "arrow"}


def read_hub(specification: str) -> Iterator[Located]:
    """Documents of `NAME_OR_PATH`, `NAME_OR_PATH:SPLIT` or `NAME_OR_PATH:CONFIG:SPLIT`, a row each.

    A path is a folder that `save_to_disk` wrote, a folder of data files, or a .parquet, .json(l), .csv or
    .arrow file. The split defaults to the only one, else `train`. A row without an id is called by its
    data set, split and number. Raises `RagkitError` where there is no such data set, or no hub in reach.
    """
    name, *rest = specification.split(":")
    if not name or len(rest) > 2:
        raise RagkitError(f"hf:{specification}: write hf:NAME, hf:NAME:SPLIT or hf:NAME:CONFIG:SPLIT")
    config = rest[0] if len(rest) == 2 else None
    try:
        loaded = _load(name, config)
    except Exception as error:  # connection, file format, missing configuration: each library its own
        first_line = (str(error).splitlines() or [""])[0]
        raise RagkitError(
            f"hf:{name}: no data set could be loaded ({type(error).__name__}: {first_line}); "
            "give a local path, or check the name and that the hub is in reach"
        ) from error
    rows, split = _choose_split(loaded, rest[-1] if rest else None, name)
    for number, row in enumerate(rows):
        place = f"hf:{name}, {split}, row {number}"
        yield (
            as_document(
                {key: _plain(value) for key, value in row.items()}, place, f"{name}:{split}:{number}"
            ),
            place,
        )


def _load(name: str, config: str | None) -> Any:
    import datasets

    path = Path(name).expanduser()
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        return datasets.load_from_disk(str(path))
    if path.is_file():
        kind = _FORMATS.get(path.suffix.lower())
        if kind is None:
            raise ValueError(f"not one of {' '.join(_FORMATS)}")
        return datasets.load_dataset(kind, data_files=str(path), streaming=True)
    return datasets.load_dataset(str(path) if path.is_dir() else name, config, streaming=True)


def _choose_split(loaded: Any, split: str | None, name: str) -> tuple[Any, str]:
    if not isinstance(loaded, dict):  # one Dataset, as `save_to_disk` wrote it
        loaded = {str(loaded.split or "train"): loaded}
    if split is None:
        split = next(iter(loaded)) if len(loaded) == 1 else "train"
    if split not in loaded:
        raise RagkitError(f"hf:{name}: no split {split!r}; there are {', '.join(loaded)}")
    return loaded[split], split


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: what is no text or number (pictures, sound) is left out."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) else None
