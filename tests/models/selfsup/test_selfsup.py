"""Chapter 5 beyond its table: the notes' variants, limits, and what is refused."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from ragkit.chapters.selfsup.pretraining import FineTuned, SelfSupervised
from ragkit.errors import RagkitError
from ragkit.models.selfsup.barlow_twins import barlow_twins_loss, cross_correlation
from ragkit.models.selfsup.byol import Byol
from ragkit.models.selfsup.centroid import centroid_loss
from ragkit.models.selfsup.contrastive import contrastive_loss
from ragkit.models.selfsup.gradient_cache import cached_backward
from ragkit.models.selfsup.hard_negatives import hard_negatives
from ragkit.models.selfsup.pretext import ORDERS, jigsaw, patch_mask, rotated
from ragkit.models.selfsup.sim_clr import nt_xent
from ragkit.models.selfsup.triplet import triplet_loss
from ragkit.training.recipe import Event


@pytest.mark.row(63)
def test_coinciding_vectors_of_unlike_items_are_pushed_by_the_standard_form_only() -> None:
    a = torch.zeros(1, 3, requires_grad=True)
    b = torch.tensor([[1e-3, 0.0, 0.0]])
    unlike = torch.tensor([False])
    (pushed,) = torch.autograd.grad(contrastive_loss(a, b, unlike).sum(), a)
    (left,) = torch.autograd.grad(contrastive_loss(a, b, unlike, variant="notes").sum(), a)
    assert pushed.norm().item() == pytest.approx(2, rel=0.01) and left.norm().item() < 0.01
    here = torch.zeros(2, 3, requires_grad=True)
    contrastive_loss(here, torch.zeros(2, 3), torch.tensor([True, False])).sum().backward()
    assert here.grad is not None and bool(here.grad.isfinite().all())
    with pytest.raises(RagkitError, match="pairs of shapes"):
        contrastive_loss(torch.zeros(2, 3), torch.zeros(2, 4), torch.tensor([True, False]))


@pytest.mark.row(64)
def test_a_triplet_that_keeps_its_margin_costs_nothing() -> None:
    x, near, far = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    assert triplet_loss(x, near, far, margin=3.0).item() == 0
    assert triplet_loss(x, near, far, margin=3.5).item() == 0.5


@pytest.mark.row(66)
def test_cached_gradients_add_up_over_uneven_chunks() -> None:
    torch.manual_seed(0)
    encoder = nn.Linear(3, 2).double()
    x = torch.randn(7, 3, dtype=torch.float64)

    def loss(z: torch.Tensor) -> torch.Tensor:
        return (z @ z.mT).logsumexp(dim=1).sum()

    loss(encoder(x)).backward()
    assert encoder.weight.grad is not None
    once = encoder.weight.grad.clone()
    cached_backward(encoder, loss, x.split(3))
    torch.testing.assert_close(encoder.weight.grad, 2 * once)


@pytest.mark.row(67)
def test_mined_negatives_leave_the_right_passages_out() -> None:
    passages = torch.eye(4)
    questions = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    assert hard_negatives(questions, passages, [[0, 2]], 2).tolist() == [[1, 3]]


@pytest.mark.row(68)
def test_four_quarter_turns_lead_back() -> None:
    x = torch.rand(3, 2, 4, 4)
    turned = rotated(rotated(x, torch.tensor([1, 2, 3])), torch.tensor([3, 2, 1]))
    torch.testing.assert_close(turned, x)


@pytest.mark.row(69)
def test_quarters_lie_as_the_order_says_and_as_many_patches_are_hidden_in_each() -> None:
    image = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).view(1, 1, 2, 2).repeat(24, 1, 1, 1)
    laid = jigsaw(image, torch.arange(24)).flatten(1).int().tolist()
    assert laid == [list(order) for order in ORDERS]
    wide = torch.rand(2, 3, 6, 4)
    torch.testing.assert_close(jigsaw(wide, torch.zeros(2, dtype=torch.long)), wide)
    mask = patch_mask(5, 8, 6, 2, 0.25)
    assert mask.shape == (5, 1, 8, 6) and mask.flatten(1).sum(dim=1).tolist() == [12] * 5
    assert functional.avg_pool2d(mask.double(), 2).unique().tolist() == [0, 1]
    for wrong in (
        lambda: jigsaw(torch.rand(1, 1, 3, 4), torch.tensor([0])),
        lambda: patch_mask(1, 8, 8, 3, 0.5),
    ):
        with pytest.raises(RagkitError):
            wrong()


@pytest.mark.row(70)
def test_one_view_for_both_is_the_best_there_is_and_the_notes_form_is_a_triplet() -> None:
    a = functional.normalize(torch.eye(3, 5), dim=1)
    # the other view at cosine 1, four at 0
    assert nt_xent(a, a, 1.0).item() == pytest.approx(-math.log(math.e / (math.e + 4)))
    b = functional.normalize(torch.rand(3, 5), dim=1)
    wanted = triplet_loss(a, b, b.roll(1, 0)).mean()
    torch.testing.assert_close(nt_xent(a, b, variant="notes"), wanted)


@pytest.mark.row(71)
def test_the_target_is_no_part_of_the_gradient_and_follows_with_its_buffers() -> None:
    torch.manual_seed(0)
    model = Byol(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), nn.Identity(), decay=0.0)
    x = torch.randn(8, 4)
    assert model(x, x).item() == pytest.approx(0, abs=1e-5)
    model(x, x + 1).backward()
    model.online[0].weight.data.add_(1)  # type: ignore[index]
    model.follow()
    for own, other in zip(
        model.target.state_dict().values(), model.online.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(own, other)
    assert all(p.grad is None for p in model.target.parameters())


@pytest.mark.row(72)
def test_views_that_agree_and_units_that_differ_cost_nothing() -> None:
    units = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    torch.testing.assert_close(cross_correlation(units, units), torch.eye(2), atol=1e-4, rtol=0)
    assert barlow_twins_loss(units, units).item() == pytest.approx(0, abs=1e-6)
    constant = torch.cat([units, torch.ones(4, 1)], dim=1)
    assert cross_correlation(constant, constant)[2].abs().max().item() == 0


@pytest.mark.row(73)
def test_vectors_at_their_centroids_cost_nothing() -> None:
    z = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    assert centroid_loss(z, torch.tensor([7, 7, 3])).item() == pytest.approx(2 / 3)
    assert centroid_loss(z, torch.tensor([0, 1, 2])).item() == 0


@pytest.mark.row(74)
def test_fine_tuning_begins_with_the_encoder_of_a_run(tmp_path: Path) -> None:
    SelfSupervised().with_settings({"max_steps": "2", "batch_size": "16"}).run(tmp_path / "simclr")
    weights = tmp_path / "simclr" / "weights.safetensors"
    start = FineTuned(weights=str(weights)).recipe().model.state_dict()
    torch.testing.assert_close(start["0.layers.0.weight"], load_file(weights)["encoder.layers.0.weight"])
    for wrong in (tmp_path / "none", tmp_path / "simclr" / "log.jsonl"):
        with pytest.raises(RagkitError, match="give those of a simclr run"):
            FineTuned(weights=str(wrong)).recipe()


@pytest.mark.row(71)
def test_a_byol_run_that_breaks_off_goes_on_with_its_target(tmp_path: Path) -> None:
    short = SelfSupervised(method="byol").with_settings(
        {"max_steps": "6", "batch_size": "16", "log_every": "2"}
    )

    def stop(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 4:
            raise KeyboardInterrupt

    often = short.with_settings({"checkpoint_minutes": "0"})
    whole = often.run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        often.run(tmp_path / "broken", stop)
    assert often.run(tmp_path / "broken") == whole
