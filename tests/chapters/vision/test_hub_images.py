"""Image sets as the hub has them, from a folder that `save_to_disk` wrote."""

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from ragkit.chapters.vision.classification import ImageCnn
from ragkit.chapters.vision.images import images
from ragkit.errors import RagkitError


def saved(folder: Path, shape: tuple[int, ...], splits: tuple[str, ...] = ("train", "test")) -> Path:
    rng = np.random.default_rng(0)
    features = datasets.Features(
        {"picture": datasets.Image(), "name": datasets.ClassLabel(names=["cat", "dog", "owl"])}
    )
    made = {}
    for split in splits:
        rows = {
            "picture": [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(12)],
            "name": [i % 3 for i in range(12)],
        }
        made[split] = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(made).save_to_disk(str(folder))
    return folder


@pytest.mark.row(54)
@pytest.mark.parametrize("shape, channels", [((8, 8), 1), ((8, 8, 3), 3)])
def test_a_saved_set_is_read_and_trained_on(tmp_path: Path, shape: tuple[int, ...], channels: int) -> None:
    folder = saved(tmp_path / "pets", shape)
    split = images(f"hf:{folder}")
    assert split.train_x.shape == (12, channels, 8, 8) and split.train_y.tolist()[:4] == [0, 1, 2, 0]
    first = np.asarray(datasets.load_from_disk(str(folder))["test"][0]["picture"])
    torch.testing.assert_close(
        split.test_x[0].permute(1, 2, 0).squeeze(-1), torch.tensor(first).float() / 255
    )
    settings = {"data": f"hf:{folder}", "max_steps": "2", "batch_size": "4", "channels": "2", "hidden": "4"}
    scores = ImageCnn().with_settings(settings).run(tmp_path / "run")
    assert 0 <= scores["accuracy"] <= 1 and (tmp_path / "run" / "receptive-fields.png").is_file()


def test_what_is_no_image_set_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = saved(tmp_path / "pets", (8, 8), splits=("train", "validation"))
    texts = datasets.DatasetDict(
        {split: datasets.Dataset.from_dict({"text": ["a"]}) for split in ("train", "test")}
    )
    texts.save_to_disk(str(tmp_path / "texts"))
    for name, said in (
        ("mnist", "there are digits, mnist10k, fashion_mnist and hf:NAME"),
        (f"hf:{tmp_path / 'none'}", "no data set could be loaded"),
        (f"hf:{folder}", "no split test; there are train, validation"),
        (f"hf:{tmp_path / 'texts'}", "expected a column of images"),
    ):
        with pytest.raises(RagkitError, match=said) as error:
            images(name)
        assert "\n" not in str(error.value)
