"""From what a user names as a model to a folder on this machine that holds it, without pickles."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragkit.errors import RagkitError
from ragkit.runtime.quiet import quiet

SAFE_FILES = ["*.json", "*.jinja", "*.model", "*.safetensors", "*.txt"]
"""All that is ever fetched from a hub: weights only as safetensors."""

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def model_folder(spec: str | Path) -> Path:
    """The folder of the model `spec`: a folder itself, or a hub id, from the hub's cache or the hub.

    Raises RagkitError where there is no such folder, where the hub has no such model or is out of reach,
    and where the weights are pickled (loading a pickle can run any program).
    """
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return _refuse_pickles(folder)
    if folder.is_file():
        raise RagkitError(f"{spec} is a file: give the folder that holds the model")
    if not _is_hub_id(str(spec)):
        raise RagkitError(f"no such model folder: {spec}")
    return _refuse_pickles(_snapshot(str(spec)))


def _is_hub_id(spec: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(spec)
    except HFValidationError:
        return False
    return not spec.startswith(".")


def _snapshot(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        cached = Path(snapshot_download(repository, local_files_only=True))
        if any(cached.rglob("*.safetensors")):
            return cached
    except LocalEntryNotFoundError:
        pass
    absent = f"no model {repository!r}: no such folder, not in the hub's cache"
    advice = "give a folder that holds the model, or leave the option out for the packaged one"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise RagkitError(
            f"{absent}, and no hub is asked (HF_HUB_OFFLINE is set; on the command line, --online lifts it); "
            f"{advice}"
        )
    try:
        return Path(snapshot_download(repository, allow_patterns=SAFE_FILES, etag_timeout=5))
    except GatedRepoError as error:
        raise RagkitError(
            f"the hub gives {repository!r} only to those who accepted its terms: do so there, "
            "then log in with `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise RagkitError(f"{absent}, and not on the hub; {advice}") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise RagkitError(f"{absent}, and the hub is out of reach; {advice}") from error


def _refuse_pickles(folder: Path) -> Path:
    for pattern in PICKLED:
        for path in folder.rglob(pattern):
            if path.name != "training_args.bin" and not any(path.parent.glob("*.safetensors")):
                raise RagkitError(
                    f"{path} is pickled, and no safetensors lie beside it: loading it could run any program; "
                    "save the model anew with save_pretrained() where you trust it"
                )
    return folder


def first_line(error: Exception) -> str:
    """What an exception of another library says, on one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def loading(spec: object, kind: str) -> Iterator[None]:
    """Keeps what transformers tells to itself, and turns what it raises into one line: RagkitError."""
    with quiet():
        try:
            yield
        except RagkitError:
            raise
        except Exception as error:
            raise RagkitError(f"{spec} does not load as {kind}: {first_line(error)}") from error


def whole_model(auto: Any, folder: Path) -> Any:
    """The model of a folder, stored in fewer bits or not, in float32.

    Args:
        auto: the auto class of the task, e.g. `AutoModelForQuestionAnswering`.

    Raises RagkitError where the folder lacks weights of it: transformers would draw them at random.
    """
    import torch

    from ragkit.models.compress.stored_model import load_stored, stored_kind

    if stored_kind(folder):
        return load_stored(auto, folder)
    model, found = auto.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
    )
    if missing := sorted(found["missing_keys"]):
        raise RagkitError(
            f"{folder} holds a model that was not trained for this: no weights {missing[0]} in it"
        )
    return model
