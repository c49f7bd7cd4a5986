"""The scenes and images that chapter 4 trains on."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from ragkit.chapters.check import MissingError
from ragkit.chapters.data import digits
from ragkit.chapters.vision.images import images, read_idx
from ragkit.chapters.vision.scenes import SHAPES, SIDE, digits_on_canvas, shapes
from ragkit.errors import RagkitError


def test_the_box_frames_the_ink() -> None:
    data = digits()
    made = digits_on_canvas(data.test_x[:50], data.test_y[:50], copies=2, seed=3)
    assert made.images.shape == (100, 1, SIDE, SIDE) and made.images.min() >= 0 and made.images.max() <= 1
    for image, box in zip(made.images[:, 0], (made.boxes * SIDE).round().int().tolist(), strict=True):
        left, top, right, bottom = box
        outside = image.clone()
        outside[top:bottom, left:right] = 0
        # Noise reaches 0.2, and ink that is fainter than a quarter adds at most 0.2 outside of the box.
        assert outside.max() <= 0.4 < image[top:bottom, left:right].max()
    assert torch.equal(made.labels, data.test_y[:50].repeat(2))


@pytest.mark.parametrize("seed", [0, 1])
def test_scenes_follow_from_their_seed(seed: int) -> None:
    first, again, other = shapes(6, seed), shapes(6, seed), shapes(6, seed + 1)
    assert torch.equal(first.images, again.images) and torch.equal(first.classes, again.classes)
    assert not torch.equal(first.classes, other.classes)


def test_shapes_are_brighter_than_what_is_behind_them() -> None:
    made = shapes(100, 0)
    assert made.classes.unique().tolist() == list(range(len(SHAPES)))
    ink = made.images[:, 0][made.classes > 0]
    assert ink.mean() > 0.6 and made.images[:, 0][made.classes == 0].mean().abs() < 0.05


def test_the_digits_as_images() -> None:
    split = images("digits")
    assert split.train_x.shape[1:] == (1, 8, 8) and split.train_x.max() == 1
    assert torch.equal(split.test_x.flatten(1), digits().test_x)


@pytest.mark.parametrize("name, count", [("mnist10k", 10_000), ("fashion_mnist", 900)])
def test_public_images(name: str, count: int, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGKIT_DATA", str(shared_data))
    split = images(name)
    assert len(split.train_x) + len(split.test_x) == count and len(split.test_x) == 0.3 * count
    assert split.train_x.shape[1:] == (1, 28, 28) and 0 <= split.train_x.min() < split.train_x.max() <= 1
    assert split.test_y.unique().tolist() == list(range(10))


def test_images_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAGKIT_DATA", str(tmp_path))
    with pytest.raises(MissingError, match="no mnist10k"):
        images("mnist10k")
    monkeypatch.delenv("RAGKIT_DATA")
    with pytest.raises(MissingError, match="set RAGKIT_DATA"):
        images("fashion_mnist")


def test_idx_files(tmp_path: Path) -> None:
    header = b"\0\0\x08\x02" + (2).to_bytes(4, "big") + (3).to_bytes(4, "big")
    for name, data in (("good", header + bytes(range(6))), ("short", header + b"12"), ("other", b"PK\3\4")):
        (tmp_path / name).write_bytes(gzip.compress(data))
    (tmp_path / "plain").write_bytes(header + bytes(range(6)))
    assert np.array_equal(read_idx(tmp_path / "good"), np.arange(6).reshape(2, 3))
    with pytest.raises(RagkitError, match="2 bytes, expected 2 x 3"):
        read_idx(tmp_path / "short")
    for name in ("other", "plain"):
        with pytest.raises(RagkitError, match="expected a"):
            read_idx(tmp_path / name)
