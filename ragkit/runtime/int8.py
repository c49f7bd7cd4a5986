"""Post-training quantisation of a graph's linear layers to eight bits (Jacob et al. 2018, equation 3).

    w = s_w q_w,  q_w in -127..127, a scale s_w a row         x = s_x (q_x - z),  q_x in 0..255

A row's scale is its largest weight's, a layer's input range what it was on sample texts: the largest inputs
of transformers carry meaning, and cutting them off costs more than their coarser steps (cosine to single
precision .990 instead of .995 on MiniLM).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ragkit.runtime.openvino_graph import openvino

Range = tuple[float, float]
LEVELS = 256


def input_ranges(network: nn.Module, samples: Iterable[Sequence[Tensor]]) -> dict[str, Range]:
    """The least and the largest input of each linear layer, 0 included, by the layer's name.

    `samples`: inputs of the network, without padding, which would count as well.
    """
    found: dict[str, Range] = {}

    def watch(name: str) -> Any:
        def see(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = found.get(name, (0.0, 0.0))
            found[name] = (min(low, float(inputs[0].min())), max(high, float(inputs[0].max())))

        return see

    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in _linears(network).items()]
    try:
        with torch.inference_mode():
            for sample in samples:
                network(*sample)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def quantise(model: Any, network: nn.Module, ranges: dict[str, Range]) -> int:
    """Rewrites the products of `network`'s linear layers in its OpenVINO model; returns how many.

    A layer whose input was always the same (or never seen) stays as it is.
    """
    layers = _linears(network)
    inputs: dict[tuple[str, int, Range], Any] = {}
    count = 0
    for node in model.get_ordered_ops():
        name = node.get_friendly_name().partition("/")[0].removeprefix("__module.")
        low, high = ranges.get(name, (0.0, 0.0))
        if node.get_type_name() != "MatMul" or name not in layers or low == high:
            continue
        if node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        source = node.input_value(0)
        key = (source.get_node().get_friendly_name(), source.get_index(), (low, high))
        if key not in inputs:  # query, key and value share theirs
            inputs[key] = _rounded(source, low, high)
        node.input(0).replace_source_output(inputs[key])
        node.input(1).replace_source_output(_int8_weight(layers[name], node.get_attributes()["transpose_b"]))
        count += 1
    return count


def _linears(network: nn.Module) -> dict[str, nn.Linear]:
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear)}


def _rounded(source: Any, low: float, high: float) -> Any:
    """The input in 256 steps, one of which is exactly 0."""
    ops = openvino().opset15
    step = (high - low) / (LEVELS - 1)
    zero = round(-low / step)
    ends = [ops.constant(np.float32(x)) for x in (-zero * step, (LEVELS - 1 - zero) * step)]
    return ops.fake_quantize(source, *ends, *ends, LEVELS).output(0)


def _int8_weight(layer: nn.Linear, transposed: bool) -> Any:
    ops = openvino().opset15
    weight = layer.weight.detach().float().numpy()
    scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / 127
    codes = np.rint(weight / scale).astype(np.int8)
    if not transposed:
        codes, scale = codes.T.copy(), scale.T.copy()
    return ops.multiply(
        ops.convert(ops.constant(codes), "f32"), ops.constant(scale.astype(np.float32))
    ).output(0)
