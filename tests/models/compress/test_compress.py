"""Chapter 11 beyond its table: torch.ao as the oracle, stop rules, limits, and what is refused."""

from copy import deepcopy
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import nn

from ragkit.chapters.compress.lottery import Lottery
from ragkit.chapters.compress.pruning import Pruned
from ragkit.chapters.compress.quantisation import Quantised, straight_through
from ragkit.errors import RagkitError
from ragkit.models.basics.mlp import Mlp
from ragkit.models.compress.affine import Grid, affine_grid, from_integers, symmetric_grid, to_integers
from ragkit.models.compress.csr_storage import csr_bytes, dense_bytes
from ragkit.models.compress.fake_quantisation import fake_quantise
from ragkit.models.compress.half_precision import cast
from ragkit.models.compress.integer_network import IntegerNetwork, fixed_point
from ragkit.models.compress.iterative import prune_and_tune
from ragkit.models.compress.lottery import tickets
from ragkit.models.compress.magnitude import Masks, apply_masks, left, magnitude_masks, matrices, share_mask
from ragkit.models.compress.masked import masked
from ragkit.models.compress.quantisation_aware import QuantisedEmbedding, QuantisedLinear, finish, prepare
from ragkit.models.compress.structured import importance, narrowed


@pytest.mark.row(143)
def test_masks_shrink_within_what_was_left() -> None:
    model = Mlp([6, 5, 4])
    first = magnitude_masks(model, 0.5, together=True)
    second = magnitude_masks(model, 0.5, first, together=True)
    assert left(first) == 0.5 and left(second) == pytest.approx(0.25, abs=0.02)
    assert all(bool((second[name] <= first[name]).all()) for name in first)
    tied = share_mask(torch.ones(2, 3), 0.5)
    assert tied.flatten().tolist() == [True] * 3 + [False] * 3
    with pytest.raises(RagkitError, match="from 0 to 1"):
        share_mask(torch.ones(2, 2), 1.5)


@pytest.mark.row(144)
def test_pruning_stops_at_the_first_round_that_falls_below_and_goes_back() -> None:
    model = Mlp([4, 8, 2])
    scores = iter([0.9, 0.5, 0.9, 0.4, 0.895, 0.3, 0.8, 0.0])
    seen: list[float] = []

    def tune(network: nn.Module, masks: Masks) -> None:
        seen.append(left(masks))
        for parameter in network.parameters():
            parameter.data += 0.01
        apply_masks(network, masks)

    masks, rounds = prune_and_tune(model, tune, lambda _: next(scores), keep=0.5, tolerance=0.01)
    assert len(rounds) == 3 and rounds[2].tuned == 0.8 and left(masks) == seen[1]
    assert all(bool((p[~masks[name]] == 0).all()) for name, p in matrices(model).items())
    assert all(bool((p[masks[name]] != 0).any()) for name, p in matrices(model).items())
    with pytest.raises(RagkitError, match="between 0 and 1"):
        prune_and_tune(model, tune, lambda _: 1.0, keep=1.0)


@pytest.mark.row(144)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_csr_bytes_are_those_of_torch() -> None:
    weight = torch.randn(7, 30) * (torch.rand(7, 30) < 0.2)
    sparse = weight.to_sparse_csr()
    columns, rows = sparse.col_indices().numel(), sparse.crow_indices().numel()
    assert csr_bytes(weight) == 4 * (sparse.values().numel() + columns + rows)
    assert dense_bytes(weight) == 4 * 7 * 30


@pytest.mark.row(146)
def test_a_masked_network_computes_with_masked_weights_and_has_no_gradient_elsewhere() -> None:
    model, x = Mlp([3, 6, 2]), torch.randn(5, 3)
    masks = magnitude_masks(model, 0.4)
    pruned = deepcopy(model)
    apply_masks(pruned, masks)
    output = masked(model, masks, x)
    assert torch.allclose(output, pruned(x))
    output.square().sum().backward()
    for name, mask in masks.items():
        gradient = model.get_parameter(name).grad
        assert gradient is not None and bool((gradient[~mask] == 0).all())


@pytest.mark.row(147)
def test_each_ticket_starts_from_the_same_weights() -> None:
    start = Mlp([4, 10, 3])
    before = deepcopy(start.state_dict())
    begun: list[dict[str, torch.Tensor]] = []

    def train(model: nn.Module, masks: Masks) -> None:
        begun.append(deepcopy(model.state_dict()))
        for name, parameter in matrices(model).items():
            parameter.data = torch.randn_like(parameter) * masks[name]

    found = list(islice(tickets(start, train, keep=0.5), 3))
    assert found[0].left == 1 and found[2].left < found[1].left < 0.61
    assert all(torch.equal(state[name], before[name]) for state in begun for name in before)
    assert all(bool((found[2].masks[name] <= found[1].masks[name]).all()) for name in found[1].masks)


@pytest.mark.row(148)
def test_a_range_says_zero_exactly_and_numbers_beyond_it_are_its_ends() -> None:
    grid = affine_grid(torch.tensor(0.5), torch.tensor(3.0))  # widened to 0
    assert float(from_integers(to_integers(torch.tensor(0.0), grid), grid)) == 0
    assert float(from_integers(to_integers(torch.tensor(99.0), grid), grid)) == pytest.approx(3.0)
    assert float(grid.least) == 0 and float(grid.largest) == pytest.approx(3.0)
    still = symmetric_grid(torch.zeros(2, 3), 8, 1)
    assert bool((fake_quantise(torch.zeros(2, 3), still) == 0).all())
    with pytest.raises(RagkitError, match="above its largest"):
        affine_grid(torch.tensor(1.0), torch.tensor(0.0))
    with pytest.raises(RagkitError, match="use bfloat16"):
        cast(torch.tensor([1e6]), torch.float16)
    assert torch.isfinite(cast(torch.tensor([1e38]), torch.bfloat16)).all()


@pytest.mark.row(150)
def test_gradients_pass_within_the_range_and_stop_beyond_it() -> None:
    assert max(straight_through().values()) <= 1e-10
    x = torch.tensor([-5.0, -0.3, 0.2, 5.0], requires_grad=True)
    fake_quantise(x, Grid(torch.tensor(0.1), torch.tensor(0.0), -7, 7)).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and x.grad.tolist() == [0, 1, 1, 0]


@pytest.mark.row(150)
def test_a_layer_agrees_with_the_fake_quantisation_of_torch_ao() -> None:
    observers = pytest.importorskip("torch.ao.quantization")
    layer = nn.Linear(16, 6)
    ours = QuantisedLinear(layer, bits=4)
    theirs = observers.FakeQuantize(
        observer=observers.PerChannelMinMaxObserver,
        quant_min=-7,
        quant_max=7,
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
    )
    theirs(layer.weight)
    theirs.disable_observer()
    # Its step is that of 14 intervals, 2 max / 14, as ours.
    assert torch.allclose(ours.on_grid(), theirs(layer.weight), atol=1e-6)


@pytest.mark.row(150)
def test_prepared_and_finished_models_compute_the_same() -> None:
    model = nn.Sequential(nn.Embedding(10, 64), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5))
    ids = torch.arange(10)
    plain = deepcopy(model)
    prepared = prepare(model, bits=4, group=32)
    assert isinstance(prepared[0], QuantisedEmbedding) and isinstance(prepared[1], QuantisedLinear)
    found = prepared(ids)
    finished = finish(prepared)
    assert type(finished[0]) is nn.Embedding and type(finished[1]) is nn.Linear
    assert torch.allclose(finished(ids), found, atol=1e-6)
    assert 0 < (found - plain(ids)).abs().max() < 1


@pytest.mark.row(150)
def test_integers_answer_as_the_network_on_its_grid() -> None:
    torch.manual_seed(0)
    model = prepare(Mlp([8, 16, 4]), bits=8, group=None, inputs=True)
    x = torch.rand(200, 8)
    model.train()
    model(x)
    model.eval()
    whole = IntegerNetwork([layer for layer in model.modules() if isinstance(layer, QuantisedLinear)])
    assert not any(tensor.is_floating_point() for tensor in whole.state_dict().values())
    output = whole(x)
    assert not output.is_floating_point()
    with torch.no_grad():
        wanted = model(x)
    share = (output.argmax(-1) == wanted.argmax(-1)).float().mean()
    scaled = output * (wanted.abs().max() / output.abs().max())
    assert share > 0.98 and float((scaled - wanted).abs().max()) < 0.05 * float(wanted.abs().max())
    multiplier, shift = fixed_point(torch.tensor([0.3, 1.0, 7e-4], dtype=torch.float64))
    assert torch.allclose(
        multiplier.double() * 2.0 ** -shift.double(), torch.tensor([0.3, 1.0, 7e-4]).double()
    )
    with pytest.raises(RagkitError, match="quantised inputs"):
        IntegerNetwork([QuantisedLinear(nn.Linear(4, 4))])


def test_dropped_units_are_those_that_did_nothing_new() -> None:
    first, second = nn.Linear(5, 8), nn.Linear(8, 3)
    with torch.no_grad():
        second.weight[:, 1] = 0  # contributes nothing
        first.weight[5] = 0
        first.bias[5] = 2.0  # contributes the same to every input
    x = torch.randn(20, 5)
    hidden = first(x).relu().detach()
    wanted = second(hidden)
    keep = importance(second, hidden).topk(6).indices.sort().values
    assert keep.tolist() == [0, 2, 3, 4, 6, 7]
    (narrow,), out = narrowed([first], second, keep, means=hidden.mean(0))
    assert narrow.out_features == 6 and torch.allclose(out(narrow(x).relu()), wanted, atol=1e-5)
    with pytest.raises(RagkitError, match="no unit is left"):
        narrowed([first], second, torch.tensor([], dtype=torch.long))
    with pytest.raises(RagkitError, match="do not fit"):
        narrowed([nn.Linear(5, 7)], second, keep)


def test_a_heads_importance_is_the_change_of_the_output_without_it() -> None:
    out, seen = nn.Linear(6, 4), torch.randn(50, 6)
    found = importance(out, seen, size=3)
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        change = (seen[:, part] - seen[:, part].mean(0)) @ out.weight.detach()[:, part].T
        assert float(found[head]) == pytest.approx(float(change.square().sum(1).mean()), rel=1e-4)


@pytest.mark.parametrize(
    ("experiment", "picture", "number"),
    [
        (Pruned(), "weights.png", "csr / dense bytes"),
        (Lottery(), "tickets.png", "left"),
        (Quantised(), "grid.png", "answers changed by integers"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_recipes_train_and_draw(
    experiment: Pruned | Lottery | Quantised, picture: str, number: str, tmp_path: Path
) -> None:
    short = {"max_steps": "40", "validate_every": "20"}
    own = {
        Pruned: {"dense": "10", "every": "2"},
        Lottery: {"rounds": "2", "steps": "20"},
        Quantised: {},
    }[type(experiment)]
    numbers = experiment.with_settings(short | own).run(tmp_path)
    assert numbers["accuracy"] > 0.2 and number in numbers
    assert (tmp_path / picture).stat().st_size > 5000
    if isinstance(experiment, Pruned):
        assert numbers["left"] == pytest.approx(0.107, abs=0.002)
