"""Small images with a class each: sklearn's digits, and MNIST and Fashion-MNIST of the public data sets."""

import gzip
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ragkit.chapters.data import Split, data_folder, digits
from ragkit.errors import RagkitError

Images = Literal["digits", "mnist10k", "fashion_mnist"]


def images(name: Images) -> Split:
    """Images (items, 1, rows, columns) in [0, 1], 30 % of them held out, the same ones each time.

    Raises:
        MissingError: if the set is not on this machine.
        RagkitError: if its files are not what they are called.
    """
    if name == "digits":
        split = digits()
        return split._replace(train_x=split.train_x.view(-1, 1, 8, 8), test_x=split.test_x.view(-1, 1, 8, 8))
    if name == "mnist10k":
        folder = data_folder("mnist10k")
        pixels = read_idx(folder / "t10k-images-idx3-ubyte.gz")
        labels = read_idx(folder / "t10k-labels-idx1-ubyte.gz")
    else:
        with np.load(data_folder("fashion_mnist_900") / "fashion_mnist_900.npz") as arrays:
            pixels, labels = arrays["images"], arrays["labels"]
    return held_out(pixels, labels)


def held_out(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    """Pixels (items, rows, columns) of 0 to 255 and labels, split at random with equal shares of classes."""
    from sklearn.model_selection import train_test_split

    parts = train_test_split(pixels[:, None] / 255, labels, test_size=0.3, random_state=0, stratify=labels)
    train_x, test_x, train_y, test_y = map(torch.as_tensor, parts)
    return Split(train_x.float(), train_y.long(), test_x.float(), test_y.long())


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of bytes in a gzipped idx file: two zeros, type 8, the number of axes, each size as four
    bytes, the largest first, then the array.

    Raises:
        RagkitError: if the file is none.
    """
    try:
        with gzip.open(path) as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise RagkitError(f"{path}: {error}; expected a gzipped idx file") from None
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise RagkitError(f"{path}: expected an idx file of bytes")
    sizes = [int(size) for size in np.frombuffer(data, ">u4", count=data[3], offset=4)]
    body = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if len(body) != np.prod(sizes):
        raise RagkitError(f"{path}: {len(body)} bytes, expected {' x '.join(map(str, sizes))}")
    return body.reshape(sizes)
