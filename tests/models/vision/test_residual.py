"""Rows 58-60: blocks, networks of them and batch norm beyond what the row checks measure."""

import pytest
import torch

from ragkit.errors import RagkitError
from ragkit.models.vision.batch_norm import BatchNorm
from ragkit.models.vision.residual_block import ResidualBlock
from ragkit.models.vision.residual_network import ResidualNetwork


@pytest.mark.row(59)
def test_a_block_that_begins_with_relu_is_blind_below_zero() -> None:
    block = ResidualBlock(5)
    h = -torch.rand(3, 5)
    assert torch.equal(block.f(h), block.f(2 * h))
    seeing, blind = ResidualNetwork(5, 5, 1, 1), ResidualNetwork(5, 5, 1, 1, variant="notes")
    assert not torch.equal(seeing.blocks[0].f(seeing.first(h)), seeing.blocks[0].f(seeing.first(2 * h)))
    assert torch.equal(blind.blocks[0].f(blind.first(h)), blind.blocks[0].f(blind.first(2 * h)))


@pytest.mark.row(58)
def test_the_stream_brings_the_gradient_to_the_first_block_undiminished() -> None:
    """With f = 0 after the first block, the gradient there is the one at the end."""
    torch.manual_seed(0)
    net = ResidualNetwork(3, 8, 2, 20)
    for block in net.blocks[1:]:
        torch.nn.init.zeros_(block.linears[1].weight)
    stream = net.stream(torch.randn(4, 3))
    first, last = torch.autograd.grad(stream[-1].square().sum(), (stream[1], stream[-1]))
    assert torch.equal(first, last)


@pytest.mark.row(58)
def test_without_skips_it_is_a_plain_deep_network() -> None:
    torch.manual_seed(0)
    net, x = ResidualNetwork(3, 8, 2, 2, skip=False), torch.randn(4, 3)
    h = net.first(x)
    for block in net.blocks:
        for linear in block.linears:
            h = linear(h.relu())
    assert torch.allclose(net(x), net.last(h))


@pytest.mark.row(58)
def test_the_notes_stream_is_as_wide_as_the_input() -> None:
    with pytest.raises(RagkitError, match="expected 40"):
        ResidualNetwork(40, 64, 10, 2, variant="notes")
    net, x = ResidualNetwork(4, 4, 2, 2, variant="notes"), torch.randn(3, 4)
    assert torch.equal(net.stream(x)[0], x)


@pytest.mark.row(60)
def test_what_epsilon_scale_and_shift_are_for() -> None:
    constant = torch.full((6, 1), 3.0)
    assert BatchNorm(1)(constant).eq(0).all()
    assert BatchNorm(1, variant="notes")(constant).isnan().all()
    norm, x = BatchNorm(2), torch.randn(50, 2)
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([2.0, 0.5]))  # type: ignore[union-attr]
        norm.shift.copy_(torch.tensor([1.0, -3.0]))  # type: ignore[union-attr]
    h = norm(x)
    assert torch.allclose(h.mean(0), torch.tensor([1.0, -3.0]), atol=1e-5)
    assert torch.allclose(h.std(0, correction=0), torch.tensor([2.0, 0.5]), atol=1e-3)


@pytest.mark.row(60)
def test_evaluation_uses_the_running_statistics_and_leaves_them() -> None:
    norm = BatchNorm(3, momentum=1.0)
    x = 4 * torch.randn(64, 3) + 2
    norm(x)
    norm.eval()
    before = norm.running_mean.clone()
    single = norm(x[:1])
    assert torch.allclose(single, (x[:1] - x.mean(0)) / (x.var(0) + 1e-5).sqrt(), atol=1e-5)
    assert torch.equal(norm.running_mean, before)


@pytest.mark.row(60)
def test_batch_norm_of_what_does_not_fit_is_refused() -> None:
    with pytest.raises(RagkitError, match=r"expected .batch, 3"):
        BatchNorm(3)(torch.ones(2, 4))
    with pytest.raises(RagkitError, match="2 or more"):
        BatchNorm(3)(torch.ones(1, 3))
    assert BatchNorm(3)(torch.ones(1, 3, 2)).shape == (1, 3, 2)
