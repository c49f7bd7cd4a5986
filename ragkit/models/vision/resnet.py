"""ResNet of images: four stages of residual blocks h ← ReLU[s[h] + f[h]], s the identity or a 1x1. Row 58.

    basic        f = BN 3x3 · ReLU · BN 3x3                          ResNet-18, 34
    bottleneck   f = BN 1x1 · ReLU · BN 3x3 · ReLU · BN 1x1 (x4)     ResNet-50, 101, 152

(He et al. 2015.) Where a stage halves the map and widens it, s is a 1x1 convolution of stride 2. The ReLU
after the sum is this paper's; the notes' order (row 59) is that of its successor. 11,689,512 and 25,557,032
parameters at depths 18 and 50. Bottlenecks stride in the 3x3, and layers are named, as in torchvision, whose
weights load.
"""

from torch import Tensor, nn

from ragkit.errors import RagkitError
from ragkit.models.vision.classifier import he_initialised

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of each stage, by the number of layers with weights."""


class Basic(nn.Module):
    widening = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, h: Tensor) -> Tensor:
        f = self.bn2(self.conv2(self.bn1(self.conv1(h)).relu()))
        return (self.downsample(h) + f).relu()


class Bottleneck(nn.Module):
    widening = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.widening, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.widening)
        self.downsample = shortcut(inputs, width * self.widening, stride)

    def forward(self, h: Tensor) -> Tensor:
        f = self.bn1(self.conv1(h)).relu()
        f = self.bn2(self.conv2(f)).relu()
        return (self.downsample(h) + self.bn3(self.conv3(f))).relu()


class ResNet(nn.Module):
    """For images (batch, 3, rows, columns) of any size; 224x224 is what it was made for.

    Raises:
        RagkitError: if there is none of this depth.
    """

    def __init__(self, depth: int = 18, classes: int = 1000) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise RagkitError(f"no ResNet of depth {depth}: expected {', '.join(map(str, BLOCKS))}")
        block = Basic if depth < 50 else Bottleneck
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        inputs, stages = 64, []
        for stage, count in enumerate(BLOCKS[depth]):
            width, blocks = 64 << stage, []
            for number in range(count):
                blocks.append(block(inputs, width, stride=2 if stage and not number else 1))
                inputs = width * block.widening
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(inputs, classes)
        he_initialised(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        if x.ndim != 4 or x.shape[1] != 3:
            raise RagkitError(f"input {tuple(x.shape)}: expected images (batch, 3, rows, columns)")
        h = self.maxpool(self.bn1(self.conv1(x)).relu())
        h = self.layer4(self.layer3(self.layer2(self.layer1(h))))
        logits: Tensor = self.fc(h.mean(dim=(2, 3)))
        return logits


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The identity, or the 1x1 convolution where it does not fit."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
