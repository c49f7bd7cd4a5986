"""Rows 113, 115: the losses of the two players, and what each of them moves."""

import torch
from torch.nn import functional

from ragkit.models.basics.mlp import Mlp
from ragkit.models.generative.adversaries import turns
from ragkit.models.generative.gan import Gan, value
from ragkit.models.generative.generator_loss import generator_loss


def gan() -> dict[str, float]:
    """Row 113: the losses against BCEWithLogits, and who moves in whose turn."""
    torch.manual_seed(0)
    real, fake = 5 * torch.randn(2, 50, 1, dtype=torch.float64)
    one, nought = torch.ones_like(real), torch.zeros_like(real)
    bce = functional.binary_cross_entropy_with_logits
    off = [
        -value(real, fake) - bce(real, one) - bce(fake, nought),
        generator_loss(fake) - bce(fake, one),
        generator_loss(fake, "saturating") + bce(fake, nought),
    ]
    waiting, idle = turns_off()
    return {
        "error": max(abs(float(value)) for value in off),
        "moves of the player who waits": waiting,
        "turns without a move": idle,
    }


def turns_off() -> tuple[int, int]:
    """Over four iterations with one Adam for both, whose moments go on moving what has a gradient of 0: how
    often the player who waits is moved, and how often the other is not."""
    model = Gan(Mlp([2, 8, 3]), Mlp([3, 8, 1]), 2).double()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    waiting = idle = 0
    for turn in 4 * turns(2):
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        x = torch.randn(16, 3, dtype=torch.float64)
        loss = model.critic_loss(x) if turn == "critic" else model.generator_loss(16)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        moved = {
            name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(p, before[name])
        }
        waiting += len(moved - {turn})
        idle += turn not in moved
    return waiting, idle


def non_saturating() -> dict[str, float | list[float]]:
    """Row 115: the norm of the generator's gradient by either loss, where D(G(z)) is a thousandth."""
    ratios, chances = [], []
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        model = Gan(Mlp([2, 16, 3]), Mlp([3, 16, 1]), 2).double()
        with torch.no_grad():
            model.critic.layers[-1].weight.mul_(0.1)  # type: ignore[union-attr, index]
            model.critic.layers[-1].bias.fill_(-6.9)  # type: ignore[union-attr, index]
        logits = model.critic(model.fakes(256))
        chances.append(logits.sigmoid().mean().item())
        norms = []
        for objective in ("non-saturating", "saturating"):
            gradients = torch.autograd.grad(
                generator_loss(logits, objective),
                list(model.generator.parameters()),
                retain_graph=True,
            )
            norms.append(float(torch.cat([g.flatten() for g in gradients]).norm()))
        ratios.append(norms[0] / norms[1])
    return {"D(G(z))": chances, "gradient over the saturating one's": ratios}
