"""The encoder of the few-shot papers: blocks of 3x3 convolution, batch norm, ReLU and 2x2 max pool.

Vinyals et al. 2016, section 4.1: four blocks of 64 channels for 28x28 images. Rows 154-156, 158.
"""

from torch import Tensor, nn


class ConvEncoder(nn.Module):
    """Images (items, 1, rows, columns) to maps (items, channels, rows / 2^blocks, columns / 2^blocks), or,
    with `flat`, to vectors.

    `running=False` normalises with each batch's own mean and variance at all times, as MAML does: a task has
    no running ones yet.
    """

    def __init__(self, channels: int, blocks: int, *, flat: bool = True, running: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for block in range(blocks):
            layers += [
                nn.Conv2d(channels if block else 1, channels, 3, padding=1),
                nn.BatchNorm2d(channels, track_running_stats=running),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.layers = nn.Sequential(*layers, *([nn.Flatten()] if flat else []))

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layers(images)
        return maps
