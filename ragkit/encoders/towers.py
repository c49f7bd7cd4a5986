"""One tower of an encoder that has two, and passages' towers that stayed as they were."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ragkit.encoders.passport import Passport
from ragkit.errors import RagkitError

if TYPE_CHECKING:
    from torch import nn

KEPT = "passages.json"
"""In the folder of a model whose question tower was trained while the passage tower stayed as it was: the
passport of the encoder that the passage tower came from. An index of that encoder serves this one, too."""

Task = Literal["query", "document"]
"""The routes of sentence-transformers' `Router`."""


def tower(model: Any, task: Task) -> "nn.Sequential":
    """The modules that a text of the task runs through, first to last, weights shared with the model.

    Args:
        model: a SentenceTransformer, with one tower for both tasks or with a `Router` in front.
    """
    from sentence_transformers.base.modules import Router
    from torch import nn

    first, *rest = list(model)
    return nn.Sequential(*(first.sub_modules[task] if isinstance(first, Router) else [first]), *rest)


def kept_passport(folder: Path) -> Passport | None:
    """The passport in `KEPT`; None where the folder has none. Raises RagkitError where it is damaged."""
    path = folder / KEPT
    if not path.is_file():
        return None
    try:
        return Passport.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RagkitError(f"{path}: damaged ({error}); train the model again") from error


def keep_passport(folder: Path, passport: Passport) -> None:
    """Writes `KEPT`."""
    (folder / KEPT).write_text(json.dumps(passport.to_json(), indent=1) + "\n", encoding="utf-8")
