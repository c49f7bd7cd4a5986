"""Weights of allenai/bilm-tf (TensorFlow) under our names. Row 83."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ragkit.models.sequence.bilm import BilmConfig

_LAYER = re.compile(r"RNN_(\d)/RNN/MultiRNNCell/Cell(\d+)/LSTMCell/(W_0|B|W_P_0)")
_HIGHWAY = re.compile(r"CNN_high_(\d+)/(W|b)_(carry|transform)")
_CONVOLUTION = re.compile(r"CNN/(W|b)_cnn_(\d+)")


def config_from_options(options: Mapping[str, Any]) -> BilmConfig:
    """Sizes from options.json; published models have a projection and no softmax among their weights."""
    lstm, cnn = options["lstm"], options["char_cnn"]
    return BilmConfig(
        width=lstm["projection_dim"],
        cells=lstm["dim"],
        layers=lstm["n_layers"],
        filters=tuple((width, count) for width, count in cnn["filters"]),
        character_width=cnn["embedding"]["dim"],
        word_length=cnn["max_characters_per_token"],
        highways=cnn["n_highway"],
        cell_clip=lstm.get("cell_clip"),
        projection_clip=lstm.get("proj_clip"),
        skip_connections=lstm["use_skip_connections"],
        dropout=0.0,
    )


def state_from_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of `Bilm` from the file's data sets, by path."""
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if match := _LAYER.fullmatch(name):
            direction = "back" if match[1] == "1" else "ahead"
            state |= _cell(f"{direction}.{match[2]}", match[3], tensor)
        elif match := _HIGHWAY.fullmatch(name):
            part = "gate" if match[3] == "carry" else "transform"
            state[f"words.highways.{match[1]}.{part}.{_kind(match[2])}"] = (
                tensor.mT if tensor.ndim > 1 else tensor
            )
        elif match := _CONVOLUTION.fullmatch(name):
            filters = tensor[0].permute(2, 1, 0) if match[1] == "W" else tensor
            state[f"words.convolutions.{match[2]}.{_kind(match[1])}"] = filters
        elif name == "char_embed":  # our row 0 is the word that is not there
            state["words.characters.weight"] = torch.cat([tensor.new_zeros(1, tensor.shape[1]), tensor])
        elif name in ("CNN_proj/W_proj", "CNN_proj/b_proj"):
            state[f"words.projection.{_kind(name[9])}"] = tensor.mT if tensor.ndim > 1 else tensor
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _kind(letter: str) -> str:
    return "weight" if letter == "W" else "bias"


def _cell(stem: str, part: str, tensor: Tensor) -> dict[str, Tensor]:
    if part == "W_P_0":
        return {f"{stem}.projection.weight": tensor.T}
    # TensorFlow orders the gates i, g, f, o and adds a 1 to f that is not in its bias.
    i, g, f, o = tensor.T.chunk(4) if part == "W_0" else tensor.chunk(4)
    if part == "B":
        return {f"{stem}.input.bias": torch.cat([i, f + 1, g, o])}
    joint = torch.cat([i, f, g, o])
    width = joint.shape[1] // 2  # a layer's input and its output are equally wide
    return {f"{stem}.input.weight": joint[:, :width], f"{stem}.recurrent.weight": joint[:, width:]}
