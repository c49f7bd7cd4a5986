"""VGG: stages of 3x3 convolutions that keep the size, a 2x2 max pool after each. Row 55.

    (3x3 c)·n · pool   for c = 64, 128, 256, 512, 512, then 4096 · 4096 · classes

(Simonyan and Zisserman 2015.) Two 3x3 convolutions see 5x5, three 7x7, with fewer weights than one kernel of
that size and a ReLU between. 138,357,544 parameters at depth 16. Layers are named as in torchvision, whose
weights load.
"""

from torch import nn

from ragkit.errors import RagkitError
from ragkit.models.vision.classifier import Image, ImageClassifier, he_initialised

IMAGE = Image(3, 224, 224)
WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions of each stage, by the number of layers with weights (the paper's A, B, D and E)."""


def vgg(depth: int = 16, classes: int = 1000) -> ImageClassifier:
    """For images (batch, 3, 224, 224).

    Raises:
        RagkitError: if there is none of this depth.
    """
    if depth not in CONVOLUTIONS:
        raise RagkitError(f"no VGG of depth {depth}: expected {', '.join(map(str, CONVOLUTIONS))}")
    layers: list[nn.Module] = []
    inputs = 3
    for width, count in zip(WIDTHS, CONVOLUTIONS[depth], strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    classifier = nn.Sequential(
        nn.Linear(512 * 7 * 7, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, classes),
    )
    return he_initialised(ImageClassifier(IMAGE, nn.Sequential(*layers), classifier))
