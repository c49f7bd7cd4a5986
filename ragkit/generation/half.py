"""A generator's matrix products in bfloat16, where the processor multiplies it natively."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO, check_choice, computes_bf16


def in_precision(model: PreTrainedModel, precision: str) -> tuple[PreTrainedModel, bool]:
    """The model to compute with, which shares all its weights, and whether it multiplies in bfloat16.

    Args:
        precision: "fp32", "bf16", or "auto": bfloat16 where the device multiplies it natively, as long as the
            weights are in float32. The layer that gives the logits stays in float32.

    Raises RagkitError for any other precision, and for bf16 where the model has no linear layers of torch.
    """
    check_choice(AUTO, precision)
    if precision == "int8":
        raise RagkitError("a decoder computes in fp32 or bf16; int8 is for encoders, readers and rerankers")
    if precision == "fp32" or model.dtype != torch.float32:
        return model, False
    if precision == AUTO and not computes_bf16(model.device):
        return model, False
    tensors = [*model.parameters(), *model.buffers()]
    twin = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    for module in twin.modules():
        if type(module) is nn.Linear and module is not twin.get_output_embeddings():
            module.__class__ = _HalfLinear
    if any(isinstance(module, _HalfLinear) for module in twin.modules()):
        return twin, True
    if precision == AUTO:
        return model, False
    raise RagkitError(f"a model of type {model.config.model_type} is computed in fp32 only")


class _HalfLinear(nn.Linear):
    """Multiplies by a copy of its weights in bfloat16, which is made anew when they have changed."""

    _made_of: tuple[int, int] | None = None

    def forward(self, input: Tensor) -> Tensor:
        # An optimiser counts a weight's version up; one that was exchanged is another object.
        now = id(self.weight), self.weight._version
        if self._made_of != now:
            self._made_of = now
            self._half = (
                self.weight.detach().bfloat16(),
                None if self.bias is None else self.bias.detach().bfloat16(),
            )
        output = functional.linear(input.to(torch.bfloat16), *self._half)
        return output if torch.is_autocast_enabled(input.device.type) else output.to(input.dtype)
