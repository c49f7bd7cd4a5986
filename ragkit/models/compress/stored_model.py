"""A transformers model on disk with its matrices in 8 or 4 bits, or narrower than its configuration says.

Beside config.json lies one safetensors file, named for what is in it: a matrix as int8 values and
`NAME.int8_scale` (see `int8_storage`), as packed int4 and `NAME.int4_scale` (see `int4_storage`), or as
it is; vectors always as float32. In memory the model is float32 again. A linear layer takes the size that
is stored: heads and hidden units that were pruned away need no word in the configuration.
"""

from pathlib import Path
from typing import Any, Literal

import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.models.compress import int4_storage, int8_storage

Kind = Literal["float32", "int8", "int4"]
KINDS: tuple[Kind, ...] = ("float32", "int8", "int4")
_INT8, _INT4 = ".int8_scale", ".int4_scale"


def file_name(kind: Kind) -> str:
    """The file of the weights, in the model's folder."""
    return f"model.{kind}.safetensors"


def packed(state: dict[str, Tensor], kind: Kind) -> dict[str, Tensor]:
    """A model's tensors as they are stored. Matrices that int4 does not fit are kept as int8.

    Raises:
        ValueError: if a matrix is not finite or too large for a float16 scale.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            tensors[name] = tensor
        elif tensor.ndim < 2 or kind == "float32":
            tensors[name] = tensor.detach().float()
        elif kind == "int4" and int4_storage.fits(tensor):
            tensors[name], tensors[name + _INT4] = int4_storage.quantise(tensor)
        else:
            tensors[name], tensors[name + _INT8] = int8_storage.quantise(tensor)
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def unpacked(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The model's tensors, floats as float32."""
    found = {}
    for name, tensor in stored.items():
        if name + _INT8 in stored:
            found[name] = int8_storage.dequantise(tensor, stored[name + _INT8])
        elif name + _INT4 in stored:
            found[name] = int4_storage.dequantise(int4_storage.Int4(tensor, stored[name + _INT4]))
        elif not name.endswith((_INT8, _INT4)):
            found[name] = tensor
    return found


def save_stored(model: Any, folder: Path, kind: Kind = "int8") -> None:
    """Writes configuration and weights of a transformers model."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(packed(_state(model), kind), folder / file_name(kind))
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)


def stored_kind(folder: Path) -> Kind | None:
    """What `save_stored` wrote there, if it did."""
    return next((kind for kind in KINDS if (folder / file_name(kind)).is_file()), None)


def load_stored(auto: Any, folder: Path) -> transformers.PreTrainedModel:
    """The model in float32 and in evaluation mode.

    Args:
        auto: the auto class that knows the architecture, e.g. `AutoModelForQuestionAnswering`.

    Raises:
        RagkitError: if files are missing or damaged, or weights and configuration do not match.
    """
    try:
        config = transformers.AutoConfig.from_pretrained(folder)
        weights = unpacked(load_file(folder / file_name(stored_kind(folder) or "int8")))
    except (OSError, ValueError, SafetensorError) as error:
        raise RagkitError(f"{folder}: not a stored model: {error}") from error
    model = auto.from_config(config)
    if weights.keys() != _state(model).keys():
        raise RagkitError(f"{folder}: weights and configuration do not belong together")
    _fit_linears(model, weights)
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise RagkitError(f"{folder}: weights and configuration do not belong together") from error
    if model.can_generate() and (folder / "generation_config.json").is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    return model.eval()


def _fit_linears(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Linear layers of the sizes that are stored."""
    for parent_name, parent in list(model.named_modules()):
        for name, layer in list(parent.named_children()):
            weight = weights.get(f"{parent_name}.{name}.weight".lstrip("."))
            if not isinstance(layer, nn.Linear) or weight is None or weight.shape == layer.weight.shape:
                continue
            if weight.ndim == 2:
                setattr(parent, name, nn.Linear(weight.shape[1], weight.shape[0], layer.bias is not None))


def _state(model: Any) -> dict[str, Tensor]:
    """The state of a model, tensors that share their memory (tied embeddings) once."""
    seen: set[int] = set()
    kept = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            kept[name] = tensor
    return kept
