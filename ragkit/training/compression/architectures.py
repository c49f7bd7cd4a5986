"""Where the blocks of a transformer keep their hidden units, their heads, and each other.

Known are models with BERT's layers (RoBERTa, MiniLM, the packaged ones), T5's and Llama's (Qwen, Mistral).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ragkit.errors import RagkitError


@dataclass(frozen=True)
class Units:
    """One set of units: the layers that lead into them, (owner, attribute) each, and the one out of them."""

    into: tuple[tuple[nn.Module, str], ...]
    out_of: tuple[nn.Module, str]
    size: int = 1

    @property
    def count(self) -> int:
        return int(self.last.in_features) // self.size

    @property
    def first(self) -> list[nn.Linear]:
        return [getattr(owner, name) for owner, name in self.into]

    @property
    def last(self) -> nn.Linear:
        found: nn.Linear = getattr(*self.out_of)
        return found

    def replace(self, into: Sequence[nn.Linear], out_of: nn.Linear) -> None:
        for (owner, name), layer in zip(self.into, into, strict=True):
            setattr(owner, name, layer)
        setattr(*self.out_of, out_of)


def hidden_units(model: nn.Module) -> list[Units]:
    """Of each block's feed-forward part.

    Raises:
        RagkitError: if the model has no block of a known kind.
    """
    return _known(list(_hidden(model)), "feed-forward units")


def heads(model: nn.Module) -> list[Units]:
    """Of each attention of BERT's kind: the others tie heads to their configuration.

    Raises:
        RagkitError: if the model has none.
    """
    return _known(list(_heads(model)), "heads of attention")


def stacks(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """The lists of blocks, as (owner, attribute): BERT's `layer`, T5's `block`, Llama's `layers`.

    Raises:
        RagkitError: if there is none.
    """
    found = [
        (owner, name)
        for owner in model.modules()
        for name in ("layer", "block", "layers")
        if isinstance(getattr(owner, name, None), nn.ModuleList)
        and any(True for _ in _hidden(getattr(owner, name)[0]))
    ]
    return _known(found, "layers")


def set_hidden_size(config: Any, size: int) -> bool:
    """Tells the configuration, where it has a word for it; whether it had."""
    for name in ("intermediate_size", "d_ff"):
        if hasattr(config, name):
            setattr(config, name, size)
            return True
    return False


def _hidden(model: nn.Module) -> Iterator[Units]:
    for block in model.modules():
        inner, outer = getattr(block, "intermediate", None), getattr(block, "output", None)
        if isinstance(getattr(inner, "dense", None), nn.Linear) and hasattr(outer, "dense"):
            yield Units(((inner, "dense"),), (outer, "dense"))  # type: ignore[arg-type]
        for gates, last in (
            (("wi",), "wo"),
            (("wi_0", "wi_1"), "wo"),
            (("gate_proj", "up_proj"), "down_proj"),
        ):
            if all(isinstance(getattr(block, name, None), nn.Linear) for name in (*gates, last)):
                yield Units(tuple((block, name) for name in gates), (block, last))


def _heads(model: nn.Module) -> Iterator[Units]:
    for block in model.modules():
        inner, outer = getattr(block, "self", None), getattr(block, "output", None)
        size = getattr(inner, "attention_head_size", None)
        if size and isinstance(getattr(outer, "dense", None), nn.Linear):
            into = tuple((inner, name) for name in ("query", "key", "value"))
            yield Units(into, (outer, "dense"), int(size))  # type: ignore[arg-type]


def _known(found: list[Any], what: str) -> list[Any]:
    if not found:
        raise RagkitError(f"this model has no {what} that can be pruned: those of BERT, T5 and Llama can")
    return found
