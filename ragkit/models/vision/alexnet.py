"""AlexNet: five convolutions that squeeze the image quickly, then three fully connected layers. Row 55.

    11x11/4 64 · pool · 5x5 192 · pool · 3x3 384 · 3x3 256 · 3x3 256 · pool · 4096 · 4096 · classes

61,100,840 parameters for 1,000 classes, 58.6 million of them in the fully connected layers. This is the
network of Krizhevsky 2014 (One weird trick for parallelizing convolutional neural networks), which everybody
trains; the one of 2012 was cut into two halves for two GPUs. Layers are named as in torchvision, whose
weights load.
"""

from torch import nn

from ragkit.models.vision.classifier import Image, ImageClassifier, he_initialised

IMAGE = Image(3, 224, 224)


def alexnet(classes: int = 1000) -> ImageClassifier:
    """For images (batch, 3, 224, 224)."""
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
    )
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, classes),
    )
    return he_initialised(ImageClassifier(IMAGE, features, classifier))
