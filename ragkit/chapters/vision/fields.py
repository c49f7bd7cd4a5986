"""Measure of row 49: receptive fields by the formula and by gradients."""

import torch
from torch import nn

from ragkit.models.vision.receptive_field import measured_span, receptive_field, windows


def fields() -> dict[str, float]:
    """Row 49: 20 random nets of one to five layers, ten of them with padding."""
    generator = torch.Generator().manual_seed(0)

    def drawn(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    off = 0
    for number in range(20):
        layers: list[nn.Module] = []
        for _ in range(drawn(1, 5)):
            kernel, stride = drawn(1, 4), drawn(1, 2)
            padding = drawn(0, kernel // 2) if number % 2 else 0
            if drawn(0, 2):
                layers.append(nn.Conv1d(1, 1, kernel, stride, padding, dilation=drawn(1, 3)))
            else:
                layers.append(nn.AvgPool1d(kernel, stride, padding))
        net = nn.Sequential(*layers).double()
        for parameter in net.parameters():
            nn.init.ones_(parameter)  # positive weights, so that no two paths cancel
        x = torch.ones(1, 1, 400, dtype=torch.float64)
        position = net(x).shape[-1] // 2
        off += measured_span(net, x, (position,)) != [receptive_field(windows(layers)).span(position)]
    return {"nets off": off}
