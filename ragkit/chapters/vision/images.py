"""Small images with a class each: sklearn's digits, MNIST and Fashion-MNIST of the public data sets, and any
set of the Hugging Face hub."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ragkit.chapters.data import Split, data_folder, digits
from ragkit.errors import RagkitError

NAMES = ("digits", "mnist10k", "fashion_mnist")


def images(name: str) -> Split:
    """Images (items, channels, rows, columns) in [0, 1] of a set in `NAMES`, 30 % of them held out, the same
    ones each time; or of "hf:NAME", a set of the hub or a folder that `save_to_disk` wrote, in its own
    splits.

    Raises:
        MissingError: if the set is not on this machine.
        RagkitError: if there is no such set, or its files are not what they are called.
    """
    if name.startswith("hf:"):
        return hub_images(name.removeprefix("hf:"))
    if name not in NAMES:
        raise RagkitError(f"no images {name!r}: there are {', '.join(NAMES)} and hf:NAME")
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


def hub_images(name: str) -> Split:
    """The splits "train" and "test" of a data set with an image and a class a row."""
    import datasets

    try:
        saved = (Path(name).expanduser() / "dataset_dict.json").is_file()
        loaded = (
            datasets.load_from_disk(str(Path(name).expanduser())) if saved else datasets.load_dataset(name)
        )
    except Exception as error:  # connection, file format: each library its own
        first_line = (str(error).splitlines() or [""])[0]
        raise RagkitError(
            f"hf:{name}: no data set could be loaded ({type(error).__name__}: {first_line}); "
            "give a local path, or check the name and that the hub is in reach"
        ) from error
    if missing := {"train", "test"} - set(loaded):
        raise RagkitError(
            f"hf:{name}: no split {' or '.join(sorted(missing))}; there are {', '.join(loaded)}"
        )
    kinds = {type(feature): column for column, feature in loaded["train"].features.items()}
    if not {datasets.Image, datasets.ClassLabel} <= kinds.keys():
        raise RagkitError(f"hf:{name}: expected a column of images and one of class labels")
    image, label = kinds[datasets.Image], kinds[datasets.ClassLabel]
    parts: list[torch.Tensor] = []
    for rows in (loaded["train"], loaded["test"]):
        pixels = np.stack([np.atleast_3d(np.asarray(one)) for one in rows[image]])
        parts += [torch.as_tensor(pixels).permute(0, 3, 1, 2).float() / 255, torch.tensor(rows[label])]
    return Split(*parts)


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
