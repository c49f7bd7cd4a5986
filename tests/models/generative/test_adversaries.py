"""Rows 113-118 beyond the table: limits, the notes' variant, and runs that break off."""

import math
from pathlib import Path

import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import nn
from torch.nn import functional

from ragkit.chapters.generative.critic import Critic
from ragkit.chapters.generative.ring import Ring
from ragkit.errors import RagkitError
from ragkit.models.basics.mlp import Mlp
from ragkit.models.generative.adversaries import frozen, turns
from ragkit.models.generative.gan import Gan, value
from ragkit.models.generative.generator_loss import generator_loss
from ragkit.models.generative.jensen_shannon import jensen_shannon
from ragkit.models.generative.mode_coverage import mode_coverage
from ragkit.models.generative.optimal_discriminator import optimal_discriminator
from ragkit.models.generative.wasserstein import wasserstein
from ragkit.models.generative.wgan import Wgan, gradient_penalty
from ragkit.training.recipe import Event


@pytest.mark.row(113)
def test_the_value_is_bces_and_finite_where_the_discriminator_is_sure_and_wrong() -> None:
    real, fake = torch.randn(2, 40, generator=torch.Generator().manual_seed(0)).double().unbind()
    bce = functional.binary_cross_entropy_with_logits
    wanted = -bce(real, torch.ones(40).double()) - bce(fake, torch.zeros(40).double())
    torch.testing.assert_close(value(real, fake), wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(generator_loss(fake), bce(fake, torch.ones(40).double()))
    assert value(torch.tensor([-300.0]), torch.tensor([300.0])).item() == -600
    assert value(torch.zeros(3), torch.zeros(3)).item() == pytest.approx(-math.log(4))


@pytest.mark.row(113)
def test_each_player_learns_in_its_turn_alone() -> None:
    assert turns(3) == ["critic", "critic", "critic", "generator"]
    torch.manual_seed(0)
    for model in (Gan(Mlp([2, 4, 3]), Mlp([3, 4, 1]), 2), Wgan(Mlp([2, 4, 3]), Mlp([3, 4, 1]), 2)):
        model.generator_loss(8).backward()
        assert all(p.grad is None for p in model.critic.parameters())
        assert all(p.grad is not None for p in model.generator.parameters())
        model.zero_grad(set_to_none=True)
        model.critic_loss(torch.randn(8, 3)).backward()
        assert all(p.grad is None for p in model.generator.parameters())
        assert any(p.grad is not None for p in model.critic.parameters())


@pytest.mark.row(113)
def test_a_frozen_network_passes_gradients_on() -> None:
    layer, x = nn.Linear(3, 1), torch.randn(2, 3, requires_grad=True)
    frozen(layer)(x).sum().backward()
    assert layer.weight.grad is None and x.grad is not None
    torch.testing.assert_close(x.grad, layer.weight.detach().expand(2, 3))


@pytest.mark.row(113)
@pytest.mark.parametrize("game", ["non-saturating", "wgan-clipped"])
def test_a_run_that_breaks_off_in_an_iteration_goes_on_with_the_right_player(
    tmp_path: Path, game: str
) -> None:
    given = {"max_steps": "10", "batch_size": "8", "width": "8", "log_every": "1", "checkpoint_minutes": "0"}
    short = Ring().with_settings(given | {"game": game, "critic_steps": "2"})

    def stop(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 5:  # the generator's turn is next
            raise KeyboardInterrupt

    whole = short.run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        short.run(tmp_path / "broken", stop)
    assert short.run(tmp_path / "broken") == whole
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "broken")]
    assert weights[0] == weights[1]


@pytest.mark.row(114)
def test_the_best_discriminator_attains_the_divergence() -> None:
    p, q = torch.rand(2, 12, generator=torch.Generator().manual_seed(0)).double().softmax(-1).unbind()
    best = optimal_discriminator(p.log(), q.log())
    torch.testing.assert_close(best, p / (p + q))
    attained = (p * best.log() + q * (1 - best).log()).sum()
    torch.testing.assert_close(attained, 2 * jensen_shannon(p, q) - math.log(4))
    other = (best + 0.1).clamp(0.01, 0.99)
    assert (p * other.log() + q * (1 - other).log()).sum() < attained


@pytest.mark.row(114)
def test_the_distance_of_a_gan_is_the_divergence_as_its_discriminator_estimates_it() -> None:
    model = Gan(nn.Identity(), nn.Linear(1, 1), 1)
    nn.init.zeros_(model.critic.weight)  # type: ignore[arg-type]
    nn.init.zeros_(model.critic.bias)  # type: ignore[arg-type]
    assert model.distance(torch.randn(9, 1)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.row(115)
def test_the_slopes_by_the_logit_of_a_fake() -> None:
    logit = torch.tensor([-7.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    for objective, slope in (("saturating", logit.sigmoid()), ("non-saturating", 1 - logit.sigmoid())):
        (found,) = torch.autograd.grad(generator_loss(logit, objective), logit)  # type: ignore[arg-type]
        torch.testing.assert_close(found, -slope.detach() / 3)


@pytest.mark.row(116)
def test_a_mode_counts_from_its_share_of_samples_on() -> None:
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    samples = torch.cat([torch.zeros(99, 2), centres[1:]])
    found = mode_coverage(samples, centres, 1.0, share=0.02)
    assert (found.modes, found.good, found.counts.tolist()) == (1, 1.0, [99, 1])
    assert mode_coverage(samples, centres, 1.0, share=0.005).modes == 2
    between = torch.tensor([[5.0, 0.0]]).repeat(10, 1)
    assert mode_coverage(between, centres, 1.0)[:2] == (0, 0.0)
    for wrong in (torch.zeros(0, 2), torch.zeros(3, 3)):
        with pytest.raises(RagkitError, match="around centres"):
            mode_coverage(wrong, centres, 1.0)


@pytest.mark.row(117)
def test_wasserstein_is_scipys_for_samples_of_any_size_and_with_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    for n, m in ((1, 1), (5, 5), (7, 30)):
        x = torch.randint(6, (n,), generator=generator).double()
        y = torch.randn(m, generator=generator).double()
        assert wasserstein(x, y).item() == pytest.approx(wasserstein_distance(x.numpy(), y.numpy()))
    assert wasserstein(x, x.flip(0)).item() == 0


@pytest.mark.row(118)
def test_a_line_of_slope_one_has_no_penalty_and_is_the_distance() -> None:
    torch.manual_seed(0)
    line = nn.Linear(3, 1)
    with torch.no_grad():
        line.weight.copy_(functional.normalize(torch.randn(1, 3), dim=1))
    a, b = torch.randn(2, 6, 3).unbind()
    assert gradient_penalty(line, a, b).item() == pytest.approx(0, abs=1e-10)
    assert gradient_penalty(lambda x: 3 * line(x), a, b).item() == pytest.approx(4, rel=1e-5)  # type: ignore[arg-type]
    model = Wgan(nn.Identity(), line, 3)
    torch.manual_seed(1)
    loss = model.critic_loss(a)
    torch.manual_seed(1)
    torch.testing.assert_close(loss, -model.distance(a))


@pytest.mark.row(118)
def test_the_notes_critic_stays_within_its_box_and_the_other_is_left_alone() -> None:
    for variant in ("standard", "notes"):
        model = Wgan(nn.Identity(), nn.Linear(2, 1), 2, variant, clip=0.1)  # type: ignore[arg-type]
        with torch.no_grad():
            model.critic.weight.copy_(torch.tensor([[-5.0, 0.05]]))  # type: ignore[union-attr, operator]
        model.project()
        wanted = [[-0.1, 0.05]] if variant == "notes" else [[-5.0, 0.05]]
        torch.testing.assert_close(model.critic.weight, torch.tensor(wanted))


@pytest.mark.row(118)
def test_a_trained_critic_of_the_notes_ends_within_its_box(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    critic = Critic(game="wgan-clipped", clip=0.05).with_settings({"max_steps": "5", "batch_size": "16"})
    critic.run(tmp_path)
    saved = load_file(tmp_path / "weights.safetensors")
    assert max(tensor.abs().max().item() for tensor in saved.values()) <= 0.05 + 1e-7
    assert (tmp_path / "critic.png").is_file()


@pytest.mark.parametrize(
    "experiment, given",
    [
        (Ring(), {"critic_steps": "0"}),
        (Ring(), {"game": "wgan-clipped", "clip": "0"}),
        (Ring(), {"penalty": "-1"}),
        (Ring(), {"width": "0"}),
        (Critic(), {"scale": "0"}),
    ],
)
def test_settings_that_no_game_can_have_are_refused(
    experiment: Ring | Critic, given: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(RagkitError, match="give"):
        experiment.with_settings(given).run(tmp_path)
