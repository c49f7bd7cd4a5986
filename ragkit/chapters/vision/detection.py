"""One digit on a canvas: which, and where. Row 56."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ragkit.chapters.data import digits
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.tensors import TensorRecipe
from ragkit.chapters.vision.scenes import SIDE, Digits, digits_on_canvas
from ragkit.models.vision.classifier import Image
from ragkit.models.vision.detection import Detection, Detector, detection_loss, iou, smooth_l1
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class DigitDetector(Experiment):
    """`copies` scenes of each digit of the training split; the digits of the test scenes are others."""

    copies: int = 4
    channels: int = 16
    box_weight: float = 5.0
    batch_size: int = 64
    loop: LoopSettings = LoopSettings(learning_rate=3e-3, epochs=12, precision="fp32", validate_every=200)

    def recipe(self) -> Recipe:
        data, test = digits(), held_out_scenes()
        train = digits_on_canvas(data.train_x, data.train_y, self.copies, seed=1)
        return TensorRecipe(
            Detector(Image(1, SIDE, SIDE), 10, [self.channels << stage for stage in range(3)]),
            train,
            lambda model, x, boxes, y: detection_loss(model(x), y, boxes, self.box_weight),
            lambda model: scores(model(test.images), test),
            batch_size=self.batch_size,
            seed=self.loop.seed,
            best_metric="mean IoU",
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        draw(recipe.model.cpu(), held_out_scenes(), out / "boxes.png")
        return {}


def held_out_scenes() -> Digits:
    data = digits()
    return digits_on_canvas(data.test_x, data.test_y, copies=1, seed=0)


def scores(found: Detection, test: Digits) -> dict[str, float]:
    right = found.logits.argmax(dim=1) == test.labels
    return {
        "mean IoU": iou(found.boxes, test.boxes).mean().item(),
        "accuracy": right.double().mean().item(),
    }


def draw(model: nn.Module, test: Digits, file: Path, count: int = 6) -> None:
    """Scenes with the true box in green and the one found in red."""
    with torch.no_grad():
        found = model(test.images[:count])
    figure, axes = panels(count, width=2.0, height=2.3)
    for number, ax in enumerate(axes):
        ax.imshow(test.images[number, 0], cmap="gray")
        for boxes, colour in ((test.boxes, "tab:green"), (found.boxes, "tab:red")):
            left, top, right, bottom = (SIDE * boxes[number] - 0.5).tolist()
            ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=colour)
        guess = int(found.logits[number].argmax())
        ax.set(title=f"{guess}, is {int(test.labels[number])}", xticks=[], yticks=[])
    save(figure, file)


def object_detection() -> dict[str, float | list[float]]:
    """Row 56: IoU against counted pixels, smooth L1 against torch's, then the trained detector."""
    from torch.nn import functional

    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 20, (500, 2, 2, 2), generator=generator).sort(dim=2).values
    boxes = corners.flatten(2).double()
    counted = torch.stack([_pixels(pair) for pair in corners.flatten(2)])
    difference = torch.linspace(-1, 1, 401, dtype=torch.float64)
    theirs = functional.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="none", beta=0.1)
    reached = over_seeds(DigitDetector())
    return {
        "IoU - counted pixels": (iou(boxes[:, 0], boxes[:, 1]) - counted).abs().max().item(),
        "smooth L1 - torch's": (smooth_l1(difference) - theirs).abs().max().item(),
        "mean IoU": reached["mean IoU"],
    }


def _pixels(pair: Tensor) -> Tensor:
    """The IoU of two boxes (2, 4) on whole numbers, by painting them."""
    painted = torch.zeros(2, 20, 20, dtype=torch.bool)
    for canvas, (left, top, right, bottom) in zip(painted, pair.tolist(), strict=True):
        canvas[top:bottom, left:right] = True
    either = int((painted[0] | painted[1]).sum())
    return (painted[0] & painted[1]).sum().double() / max(either, 1)
