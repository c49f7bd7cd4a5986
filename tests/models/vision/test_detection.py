"""Row 56: boxes, their loss and their overlap beyond what the row check measures."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import RagkitError
from ragkit.models.vision.classifier import Image
from ragkit.models.vision.detection import Detector, detection_loss, iou, smooth_l1

corner = st.floats(0, 1, width=32)


@pytest.mark.row(56)
def test_what_the_detector_finds_is_a_box() -> None:
    torch.manual_seed(0)
    net = Detector(Image(1, 16, 16), 3, channels=(4, 4))
    found = net(20 * torch.randn(64, 1, 16, 16))
    assert found.logits.shape == (64, 3) and found.boxes.shape == (64, 4)
    assert found.boxes.min() >= 0 and found.boxes.max() <= 1
    assert (found.boxes[:, 2:] >= found.boxes[:, :2]).all()
    with pytest.raises(RagkitError, match=r"expected images .batch, 1, 16, 16"):
        net(torch.rand(1, 1, 16, 12))


@pytest.mark.row(56)
def test_iou_of_boxes_by_hand() -> None:
    a = torch.tensor([0.0, 0.0, 0.5, 0.5])
    assert iou(a, a).item() == 1
    assert iou(a, torch.tensor([0.5, 0.0, 1.0, 0.5])).item() == 0
    assert iou(a, torch.tensor([0.25, 0.0, 0.75, 0.5])).item() == pytest.approx(1 / 3)
    assert iou(a, torch.tensor([0.0, 0.0, 0.0, 0.0])).item() == 0
    point = torch.tensor([0.2, 0.2, 0.2, 0.2])
    assert iou(point, point).item() == 0


@pytest.mark.row(56)
@given(corners=st.tuples(*[corner] * 8), scale=st.floats(0.1, 10))
def test_iou_is_symmetric_bounded_and_without_a_scale(corners: tuple[float, ...], scale: float) -> None:
    boxes = torch.tensor(corners, dtype=torch.float64).view(2, 2, 2).sort(dim=1).values.flatten(1)
    overlap = iou(boxes[0], boxes[1]).item()
    assert 0 <= overlap <= 1 + 1e-12
    assert overlap == iou(boxes[1], boxes[0]).item()
    if (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).min() > 1e-6:
        assert iou(scale * boxes[0], scale * boxes[1]).item() == pytest.approx(overlap, abs=1e-9)


@pytest.mark.row(56)
def test_smooth_l1_is_smooth() -> None:
    d = torch.tensor([-0.1, 0.1], dtype=torch.float64, requires_grad=True)
    smooth_l1(d).sum().backward()
    assert d.grad is not None and d.grad.tolist() == [-1, 1]
    assert smooth_l1(torch.tensor([0.1 - 1e-9, 0.1])).diff().abs() < 1e-6


@pytest.mark.row(56)
def test_boxes_that_are_none_are_refused() -> None:
    net = Detector(Image(1, 8, 8), 3, channels=(4,))
    found = net(torch.rand(2, 1, 8, 8))
    with pytest.raises(RagkitError, match="expected one of each"):
        detection_loss(found, torch.zeros(2, dtype=torch.long), torch.zeros(2, 3))
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0])
    for wrong in (torch.tensor([0.5, 0.0, 0.4, 1.0]), torch.tensor([0.0, 0.5, 1.0, 0.4]), whole[:3]):
        with pytest.raises(RagkitError, match="left ≤ right"):
            iou(wrong, whole)
