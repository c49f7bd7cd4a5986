"""Rows 57, 61: segmentation networks, their loss and their score beyond what the row checks measure."""

import pytest
import torch

from ragkit.errors import RagkitError
from ragkit.models.vision.segmentation import SegNet, mean_iou, pixel_loss
from ragkit.models.vision.u_net import PAPER, Skip, UNet


@pytest.mark.row(57)
def test_segnet_gives_a_class_to_each_pixel() -> None:
    net = SegNet(3, 5, widths=(4, 6, 8)).eval()
    assert net(torch.rand(2, 3, 16, 24)).shape == (2, 5, 16, 24)
    with pytest.raises(RagkitError, match="multiples of 8"):
        net(torch.rand(2, 3, 16, 20))
    with pytest.raises(RagkitError, match=r"batch, 3, rows"):
        net(torch.rand(2, 1, 16, 24))


@pytest.mark.row(57)
def test_iou_by_hand() -> None:
    true, guess = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 1]])
    assert mean_iou(guess, true, 2) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert mean_iou(guess, true, 7) == pytest.approx((1 / 2 + 2 / 3) / 2), (
        "classes that never occur do not count"
    )
    assert mean_iou(true, true, 2) == 1


@pytest.mark.row(57)
def test_classes_that_there_are_not_are_refused() -> None:
    logits, classes = torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long)
    for wrong in (classes + 3, classes - 1, classes.float()):
        with pytest.raises(RagkitError, match="whole numbers from 0 to 2"):
            pixel_loss(logits, wrong)
    with pytest.raises(RagkitError, match=r"expected .batch, classes"):
        pixel_loss(logits, classes[:, :1])
    with pytest.raises(RagkitError, match="expected the same"):
        mean_iou(classes, classes[:, :1], 3)


@pytest.mark.row(61)
@pytest.mark.parametrize("skip", ["concat", "add", "none"])
def test_a_walk_through_the_levels(skip: Skip) -> None:
    net = UNet(2, 3, widths=(4, 8, 16), skip=skip)
    walked: list[tuple[int, ...]] = []
    for part in (*net.down, *net.grow, *net.up):
        part.register_forward_hook(lambda module, given, output: walked.append(tuple(output.shape[1:])))
    assert net(torch.rand(1, 2, 8, 12)).shape == (1, 3, 8, 12)
    down, up = [(4, 8, 12), (8, 4, 6), (16, 2, 3)], [(8, 4, 6), (8, 4, 6), (4, 8, 12), (4, 8, 12)]
    assert walked == down + up


@pytest.mark.row(61)
@pytest.mark.parametrize("skip, passes", [("concat", True), ("add", True), ("none", False)])
def test_only_a_skip_goes_round_the_bottom(skip: Skip, passes: bool) -> None:
    """With the bottom cut off, detail of the input still reaches the output through the skips."""
    torch.manual_seed(0)
    net = UNet(1, 2, widths=(4, 8), skip=skip)
    torch.nn.init.zeros_(net.grow[0].weight)  # type: ignore[arg-type]
    a, b = net(torch.rand(1, 1, 8, 8)), net(torch.rand(1, 1, 8, 8))
    assert torch.equal(a, b) is not passes


@pytest.mark.row(61)
def test_the_size_of_the_paper_and_images_that_do_not_fit() -> None:
    with torch.device("meta"):
        concat, add = (UNet(1, 1, PAPER, skip) for skip in ("concat", "add"))
        sizes = [sum(p.numel() for p in net.parameters()) for net in (concat, add)]
        assert sizes[0] == 31_030_593
        # Where maps are added, the first convolution on the way up reads half as many channels.
        assert sizes[0] - sizes[1] == sum(9 * width**2 for width in PAPER[:-1])
        with pytest.raises(RagkitError, match="multiples of 16"):
            concat(torch.empty(1, 1, 572, 572))
