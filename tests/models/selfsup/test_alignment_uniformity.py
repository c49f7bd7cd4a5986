"""Row 65: alignment and uniformity as in their paper, and what becomes of them without augmentation."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.selfsup.alignment_uniformity import alignment, uniformity


def units(*sizes: int, seed: int = 0) -> Tensor:
    return functional.normalize(torch.randn(*sizes, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_the_papers_own_code() -> None:
    """Wang and Isola 2020, figure 5: `align_loss` and `uniform_loss`."""
    a, b = units(20, 8), units(20, 8, seed=1)
    assert alignment(a, b).item() == pytest.approx((a - b).norm(dim=1).pow(2).mean().item())
    expected = torch.pdist(a, p=2).pow(2).mul(-2).exp().mean().log()
    assert uniformity(a).item() == pytest.approx(expected.item(), abs=1e-6)


def test_limits() -> None:
    same = units(1, 8).repeat(6, 1)
    assert alignment(same, same).item() == 0 and uniformity(same).item() == pytest.approx(0, abs=1e-6)
    assert alignment(same, -same).item() == pytest.approx(4)
    assert uniformity(units(400, 2048)).item() == pytest.approx(-4, abs=0.05)
    two = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert uniformity(two, t=3).item() == pytest.approx(-12)


CLASSES, EACH, SIZE, NOISE = 16, 8, 24, 0.5


def data() -> tuple[Tensor, Tensor]:
    """Points around class centres: (classes, each, size), and others of the same classes."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(CLASSES, 1, SIZE, generator=generator)
    points, others = (
        centres + NOISE * torch.randn(CLASSES, EACH, SIZE, generator=generator) for _ in range(2)
    )
    return points, others


def train(augmented: bool, seed: int) -> tuple[list[float], float, float]:
    """InfoNCE of two views a point: alignment of the views by step; then, of unseen points, the alignment of
    two of a class, and the uniformity of all."""
    torch.manual_seed(seed)
    points, others = data()
    network = nn.Sequential(nn.Linear(SIZE, 128), nn.ReLU(), nn.Linear(128, 16))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    aligned = []
    for _ in range(200):
        flat = points.flatten(0, 1)[torch.randperm(CLASSES * EACH)[:64]]
        views = [flat + (NOISE * torch.randn_like(flat) if augmented else 0.0) for _ in range(2)]
        a, b = (functional.normalize(network(view), dim=1) for view in views)
        aligned.append(alignment(a, b).item())
        loss = functional.cross_entropy(20 * a @ b.T, torch.arange(len(a)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        unseen = functional.normalize(network(others), dim=2)
        within = alignment(unseen[:, 0], unseen[:, 1]).item()
    return aligned, within, uniformity(unseen.flatten(0, 1)).item()


@pytest.mark.parametrize("seed", [0, 1])
def test_without_augmentation_alignment_is_nought_and_only_uniformity_is_learnt(seed: int) -> None:
    with_views, within, spread = train(True, seed)
    without, within_none, spread_none = train(False, seed)
    # The two views are one: nothing draws like points together, from the first step on.
    assert max(without) < 1e-10 < min(with_views)
    # The loss then only scatters: unseen points of a class end further apart, all points more uniform.
    assert within_none > 1.4 * within
    assert spread_none < spread - 0.1
