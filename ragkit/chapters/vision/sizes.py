"""Measure of row 55: parameters of published networks, built without memory for their weights."""

import torch
from torch import nn

from ragkit.models.vision.alexnet import alexnet
from ragkit.models.vision.receptive_field import receptive_field, windows
from ragkit.models.vision.vgg import vgg


def published_sizes() -> dict[str, float]:
    """Row 55, and the receptive fields that Araujo et al. (2019) print."""
    with torch.device("meta"):
        small, large = alexnet(), vgg(16)
        logits = [net(torch.empty(2, 3, 224, 224)) for net in (small, large)]
    fields = [receptive_field(windows(net.features)).size for net in (small, large)]
    return {
        "AlexNet's parameters - 61,100,840": parameters(small) - 61_100_840,
        "VGG-16's parameters - 138,357,544": parameters(large) - 138_357_544,
        "logits of another shape": sum(given.shape != (2, 1000) for given in logits),
        "AlexNet's receptive field": fields[0],
        "VGG-16's receptive field": fields[1],
    }


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())
