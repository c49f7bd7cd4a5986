"""Weights stored as int8 with one scale for each output channel.

    w_oi ~ s_o q_oi,   s_o = max_i |w_oi| / 127,   q_oi = round(w_oi / s_o)

(symmetric per-channel weight quantisation, Jacob et al. 2018; Krishnamoorthi 2018). The scale is kept in
float16, rounded up, so that |q| never exceeds 127 and the error never exceeds s_o / 2. A quarter of the
size of float32 on disk; in memory the model is float32 again.
"""

from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ragkit.errors import RagkitError

FILE_NAME = "model.int8.safetensors"
_SCALE = ".int8_scale"


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 values of the weight's shape, and float16 scales of its first dimension, (channels,).

    Raises:
        ValueError: if the weight has fewer than 2 dimensions, is not finite, or is too large for float16.
    """
    if weight.ndim < 2:
        raise ValueError("only weights of at least 2 dimensions have channels")
    rows = weight.detach().float().flatten(1)
    exact = rows.abs().amax(1) / 127
    scale = exact.to(torch.float16)
    scale = torch.where(
        scale.float() < exact, torch.nextafter(scale, torch.full_like(scale, torch.inf)), scale
    )
    if not torch.isfinite(scale).all():
        raise ValueError("the weight is not finite or too large for a float16 scale")
    # A channel of zeros has the scale 0: any divisor gives its zeros.
    steps = torch.where(scale > 0, scale, torch.ones_like(scale)).float()
    return (rows / steps[:, None]).round().clamp(-127, 127).to(torch.int8).view_as(weight), scale


def dequantise(values: Tensor, scale: Tensor) -> Tensor:
    """The float32 weight: values (channels, ...) times scale (channels,)."""
    return values.float() * scale.float().view(-1, *[1] * (values.ndim - 1))


def save_quantised(model: Any, folder: Path) -> None:
    """Writes configuration and weights of a transformers model: matrices as int8, vectors as float32."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, tensor in _stored(model).items():
        if tensor.is_floating_point() and tensor.ndim >= 2:
            tensors[name], tensors[name + _SCALE] = quantise(tensor)
        else:
            tensors[name] = tensor.detach().float() if tensor.is_floating_point() else tensor
    save_file({name: t.cpu().contiguous() for name, t in tensors.items()}, folder / FILE_NAME)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)


def is_quantised(folder: Path) -> bool:
    """Whether the folder holds weights that `save_quantised` wrote."""
    return (folder / FILE_NAME).is_file()


def load_quantised(auto: Any, folder: Path) -> transformers.PreTrainedModel:
    """The model in float32 and in evaluation mode.

    Args:
        auto: the auto class that knows the architecture, e.g. `AutoModelForQuestionAnswering`.

    Raises:
        RagkitError: if files are missing or damaged, or weights and configuration do not match.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(folder)
        stored = load_file(folder / FILE_NAME)
    except (OSError, ValueError, SafetensorError) as error:
        raise RagkitError(f"{folder}: not a stored model: {error}") from error
    weights = {
        name: dequantise(tensor, stored[name + _SCALE]) if name + _SCALE in stored else tensor
        for name, tensor in stored.items()
        if not name.endswith(_SCALE)
    }
    model = auto.from_config(config)
    if weights.keys() != _stored(model).keys():
        raise RagkitError(f"{folder}: weights and configuration do not belong together")
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise RagkitError(f"{folder}: weights and configuration do not belong together") from error
    if model.can_generate() and (folder / "generation_config.json").is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    return model.eval()


def _stored(model: Any) -> dict[str, Tensor]:
    """The state of a model, tensors that share their memory (tied embeddings) once."""
    seen: set[int] = set()
    kept = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            kept[name] = tensor
    return kept
