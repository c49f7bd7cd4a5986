"""The model that a recipe starts from, however it is stored."""

from pathlib import Path
from typing import Any

from ragkit.errors import RagkitError
from ragkit.models.compress.stored_model import load_stored, stored_kind


def starting_point(auto: Any, folder: str | Path) -> tuple[Any, Any]:
    """(model in float32, fast tokenizer that cuts nothing off) of a folder or hub id, int8 or not.

    Args:
        auto: the auto class of the task, e.g. `AutoModelForQuestionAnswering`.

    Raises:
        RagkitError: if there is no such model, or its tokenizer gives no character offsets.
    """
    import torch
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if stored_kind(Path(folder)):
            model = load_stored(auto, Path(folder))
        else:
            model = auto.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise RagkitError(f"{folder}: not a model to start from: {error}") from error
    if not tokenizer.is_fast:
        raise RagkitError(f"{folder}: its tokenizer gives no character offsets")
    # Sentence encoders are saved with a tokenizer that cuts texts off; recipes cut windows themselves.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return model, tokenizer
