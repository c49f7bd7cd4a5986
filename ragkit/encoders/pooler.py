"""A layer that is in no file: BERT's pooler, where a model was saved for masked language modelling."""

from pathlib import Path
from typing import Any

from safetensors import safe_open


def drop_random_pooler(model: Any, folder: Path) -> None:
    """Takes the pooler out of a SentenceTransformer's networks if `folder` holds no weights of one.

    transformers draws the missing weights at random, others at each loading. No vector passes through them,
    but they would make another encoder of the same folder every time: an index would refuse its own.
    """
    if any("pooler." in name for file in folder.rglob("*.safetensors") for name in _names(file)):
        return
    for module in model.modules():
        network: Any = getattr(module, "auto_model", None)
        if getattr(network, "pooler", None) is not None:
            network.pooler = None


def _names(file: Path) -> list[str]:
    with safe_open(file, "pt") as tensors:
        return list(tensors.keys())
