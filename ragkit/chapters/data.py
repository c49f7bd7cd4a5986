"""Data of the chapters: sets that ship with scikit-learn, and the folder of public ones."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ragkit.chapters.check import MissingError


class Split(NamedTuple):
    """Inputs (items, ...) and targets (items, ...) to train on and to test on."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def digits(test_share: float = 0.3) -> Split:
    """scikit-learn's 1,797 digits of 8x8 pixels: inputs (items, 64) in [0, 1], the same split each time."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x / 16, y, test_size=test_share, random_state=0, stratify=y)
    train_x, test_x, train_y, test_y = (torch.as_tensor(part) for part in parts)
    return Split(train_x.float(), train_y.long(), test_x.float(), test_y.long())


def mnist1d() -> Split:
    """MNIST-1D (Greydanus 2020): 4,000 signals of 40 numbers to train on, 1,000 to test on, ten classes.

    Made on the spot by its authors' generator, the same each time.

    Raises:
        MissingError: if the package mnist1d is not installed.
    """
    try:
        from mnist1d.data import make_dataset
    except ImportError:
        raise MissingError("needs MNIST-1D: pip install mnist1d") from None
    state = np.random.get_state()  # the generator seeds numpy's own
    try:
        made = make_dataset()
    finally:
        np.random.set_state(state)
    train_x, test_x = (torch.as_tensor(made[part]).float() for part in ("x", "x_test"))
    train_y, test_y = (torch.as_tensor(made[part]).long() for part in ("y", "y_test"))
    return Split(train_x, train_y, test_x, test_y)


def data_folder(name: str = "") -> Path:
    """The folder `name` of the public data sets, whose place is in the environment variable RAGKIT_DATA.

    Raises:
        MissingError: if it is not there.
    """
    root = os.environ.get("RAGKIT_DATA")
    if not root:
        raise MissingError(f"needs the data sets ({name or 'any'}): set RAGKIT_DATA to their folder")
    if not (Path(root) / name).exists():
        raise MissingError(f"no {name} in {root}")
    return Path(root) / name
