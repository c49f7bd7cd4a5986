"""What a model made of prompts, kept for the next question over the same passages."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.generation.generator import Tokens

Key = bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A prompt's tokens and what was made of them."""

    tokens: Tokens
    tensors: dict[str, Tensor]

    @property
    def size(self) -> int:
        """Bytes of the tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


class PromptCache:
    """Prompts by key, up to so many bytes of tensors; those asked for longest ago make room for new ones.

    Raises RagkitError for a negative limit.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise RagkitError(f"a cache of {limit} bytes: give 0 for none, or more")
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[Key, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> Kept | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: Key, kept: Kept) -> None:
        """Keeps it in place of what the key stood for. What is larger than the limit is not kept."""
        before = self._kept.pop(key, None)
        self.size -= 0 if before is None else before.size
        if kept.size > self.limit:
            return
        self._kept[key] = kept
        self.size += kept.size
        while self.size > self.limit:
            self.size -= self._kept.popitem(last=False)[1].size


def key_of(*texts: str | Sequence[int]) -> Key:
    """A hash by which texts or tokens are told apart."""
    return blake2b(repr(texts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def shared_length(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
