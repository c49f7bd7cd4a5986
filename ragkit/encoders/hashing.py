"""SHA-256 sums of what decides a model's vectors, taken from the loaded model: the same for one file or
many shards, for a folder or a hub id."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def hash_weights(*modules: "nn.Module") -> str:
    """Names, types, shapes and bytes of all parameters and saved buffers, tensor by tensor."""
    import torch

    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(memoryview(flat.view(torch.uint8).numpy()))
    return digest.hexdigest()


def hash_tokenizer(tokenizer: Any, limit: int | None) -> str:
    """Vocabulary, normalisation and splitting rules, and the length at which texts are cut.

    Takes a transformers tokenizer, fast or slow, or a `tokenizers.Tokenizer`. What a call leaves behind in
    a fast one (padding, truncation) does not enter.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(backend, "to_str"):
        rules = json.loads(backend.to_str())
        rules.pop("padding", None)
        rules.pop("truncation", None)
    else:
        rules = [type(tokenizer).__name__, tokenizer.get_vocab()]
    return hash_json([rules, limit])


def hash_json(value: Any) -> str:
    """Of a JSON value, whatever the order of its keys; other objects enter by their text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
