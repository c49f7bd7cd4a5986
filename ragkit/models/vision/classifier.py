"""CNN classifier: (convolution, ReLU, max pool) again and again, then fully connected layers. Row 54.

The maps become smaller and more numerous until they are a vector, from which an MLP tells the class; the loss
is the categorical one (row 22). The layers are torch's, to which rows 46-50 prove ours equal.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

from torch import Tensor, nn

from ragkit.errors import RagkitError

Net = TypeVar("Net", bound=nn.Module)


class Image(NamedTuple):
    """The shape of one."""

    channels: int
    rows: int
    columns: int


class ImageClassifier(nn.Module):
    """`features` make maps, `classifier` logits from the maps as one vector."""

    def __init__(self, image: Image, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.image, self.features, self.classifier = image, features, classifier

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, columns) to logits (batch, classes).

        Raises:
            RagkitError: if the images are of another shape.
        """
        check_images(x, self.image)
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


def cnn(
    image: Image, classes: int = 10, channels: Sequence[int] = (32, 64), hidden: int = 128
) -> ImageClassifier:
    """A stage of 3x3 convolution, ReLU and 2x2 max pool for each of `channels`, then one hidden layer.

    Raises:
        RagkitError: if the image is too small to be halved so often.
    """
    rows, columns = image.rows >> len(channels), image.columns >> len(channels)
    if rows < 1 or columns < 1:
        raise RagkitError(
            f"an image of {image.rows}x{image.columns} halved {len(channels)} times leaves nothing: "
            f"expected {2 ** len(channels)} pixels a side or more"
        )
    stages: list[nn.Module] = []
    for inputs, outputs in pairwise([image.channels, *channels]):
        stages += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    head = nn.Sequential(
        nn.Linear(channels[-1] * rows * columns, hidden), nn.ReLU(), nn.Linear(hidden, classes)
    )
    return he_initialised(ImageClassifier(image, nn.Sequential(*stages), head))


def he_initialised(net: Net) -> Net:
    """Gives the convolutions and linear layers He's weights (row 35) and biases 0."""
    for layer in net.modules():
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def check_images(x: Tensor, image: Image) -> None:
    """
    Raises:
        RagkitError: if x is no batch of such images.
    """
    if x.ndim != 4 or tuple(x.shape[1:]) != tuple(image):
        raise RagkitError(f"input {tuple(x.shape)}: expected images (batch, {', '.join(map(str, image))})")
