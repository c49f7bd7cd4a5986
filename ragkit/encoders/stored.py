"""Sentence-transformers folders whose transformer is stored as `ragkit compress` does: in 8 or 4 bits, or
narrower than its configuration says."""

import json
from pathlib import Path
from typing import Any

MODULES = "modules.json"
OURS = "sentence_transformers."


def transformer_folder(folder: Path) -> Path | None:
    """Where in a sentence-transformers folder a stored transformer lies; None where there is none."""
    if not any(folder.rglob("model.*.safetensors")):
        return None
    from ragkit.models.compress.stored_model import stored_kind

    try:
        parts = json.loads((folder / MODULES).read_text(encoding="utf-8"))
        places = [folder / str(part["path"]) for part in parts]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return next((place for place in places if stored_kind(place) is not None), None)


def load_stored_encoder(folder: Path) -> Any:
    """The SentenceTransformer in float32. Modules are sentence-transformers' own; no other code is run.

    Raises ValueError for other modules, and RagkitError as `load_stored`.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.util import import_from_string
    from transformers import AutoModel

    from ragkit.models.compress.stored_model import load_stored

    class StoredTransformer(Transformer):
        def _load_model(self, model_name_or_path: str, *_: Any, **__: Any) -> Any:
            return load_stored(AutoModel, Path(model_name_or_path))

    stored = transformer_folder(folder)
    modules = []
    for part in json.loads((folder / MODULES).read_text(encoding="utf-8")):
        if not part["type"].startswith(OURS):
            raise ValueError(f"it asks for code of its own, {part['type']}")
        place = folder / part["path"]
        kind = StoredTransformer if place == stored else import_from_string(part["type"])
        modules.append(kind.load(str(place)))
    settings = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
    return SentenceTransformer(
        modules=modules,
        prompts=settings.get("prompts"),
        default_prompt_name=settings.get("default_prompt_name"),
        similarity_fn_name=settings.get("similarity_fn_name"),
    )
