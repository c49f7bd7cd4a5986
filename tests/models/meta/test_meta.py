"""Chapter 12 beyond its table: the notes' variants, limits, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ragkit.chapters.check import MissingError
from ragkit.chapters.meta import inner_steps
from ragkit.chapters.meta.few_shot import FewShot
from ragkit.chapters.meta.inner_steps import MamlCharacters, Sinusoid, losses_after
from ragkit.chapters.meta.omniglot import characters
from ragkit.chapters.meta.optimiser import LearnedOptimiser, learned_curve, quadratics
from ragkit.errors import RagkitError
from ragkit.models.meta.episodes import EpisodeSampler, split_classes
from ragkit.models.meta.full_context import FullContext
from ragkit.models.meta.kernel import log_kernel_prediction, rbf_scores
from ragkit.models.meta.learned_optimiser import LstmOptimiser, preprocessed, unroll
from ragkit.models.meta.maml import Parameters, adapted
from ragkit.models.meta.matching import MatchingNetwork
from ragkit.models.meta.objective import episode_loss
from ragkit.models.meta.prototypes import PrototypicalNetwork, prototypes
from ragkit.models.meta.relation import RelationNetwork, conv_relation, relation_loss
from ragkit.models.meta.siamese import ConvSiamese, most_alike, same_loss
from ragkit.training.loop import train
from ragkit.training.recipe import Event, Recipe


@pytest.fixture
def drawings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set in the files of Omniglot: five alphabets of six characters, 20 drawings each."""
    names = ["Balinese", "Greek", "Latin", "Sanskrit", "Tagalog"]
    rng = np.random.default_rng(0)
    character = np.arange(30).repeat(20).astype(np.int16)
    shapes = rng.integers(0, 2, (30, 7, 7)).repeat(4, axis=1).repeat(4, axis=2) * 255
    folder = tmp_path / "data" / "omniglot_small"
    folder.mkdir(parents=True)
    np.savez(
        folder / "omniglot_small.npz",
        images=shapes[character].astype(np.uint8),
        character=character,
        alphabet=(character // 6).astype(np.uint8),
        alphabet_names=np.array(names),
    )
    monkeypatch.setenv("RAGKIT_DATA", str(tmp_path / "data"))
    return folder


@pytest.mark.row(151)
def test_a_predictor_that_knows_nothing_loses_log_n_and_the_notes_form_is_its_probability() -> None:
    even = torch.full((6, 5), 0.2).log()
    labels = torch.arange(6) % 5
    assert episode_loss(even, labels).item() == pytest.approx(math.log(5))
    assert episode_loss(even, labels, variant="notes").item() == pytest.approx(-0.2)


@pytest.mark.row(152)
@pytest.mark.parametrize(("ways", "shots", "queries"), [(4, 1, 1), (0, 1, 1), (2, 3, 2), (2, 0, 1)])
def test_episodes_that_cannot_be_drawn_are_refused(ways: int, shots: int, queries: int) -> None:
    with pytest.raises(RagkitError, match=r"episodes of|class 2 has 4 items"):
        EpisodeSampler(torch.tensor([0] * 5 + [1] * 6 + [2] * 4), ways, shots, queries)


@pytest.mark.row(152)
def test_classes_of_any_number_and_order_are_split_and_sampled() -> None:
    labels = torch.tensor([7, 3, 7, 9, 3, 9, 7, 9, 3])
    train, test = split_classes(labels, [9])
    assert train.tolist() == [0, 1, 2, 4, 6, 8] and test.tolist() == [3, 5, 7]
    episode = EpisodeSampler(labels, 3, 2, 1).draw(torch.Generator().manual_seed(0))
    assert sorted([*episode.support.tolist(), *episode.query.tolist()]) == list(range(9))
    assert episode.labels.tolist() == [0, 0, 1, 1, 2, 2] and episode.query_labels.tolist() == [0, 1, 2]
    assert torch.equal(labels[episode.support], episode.classes[episode.labels])


@pytest.mark.row(153)
def test_a_wide_kernel_counts_classes_and_a_class_without_items_has_none_of_it() -> None:
    items, labels = torch.randn(5, 2), torch.tensor([0, 2, 2, 2, 0])
    p = log_kernel_prediction(rbf_scores(torch.zeros(1, 2), items, 1e4), labels, 4).exp()
    torch.testing.assert_close(p, torch.tensor([[0.4, 0.0, 0.6, 0.0]]))
    far = log_kernel_prediction(rbf_scores(torch.full((1, 2), 1e3), items, 1e-2), labels, 4)
    assert not bool(far.isnan().any()) and far.exp().sum().item() == pytest.approx(1)


@pytest.mark.row(153)
def test_prototypes_of_one_item_are_the_kernel_predictor() -> None:
    query, support, labels = torch.randn(4, 3), torch.randn(3, 3), torch.tensor([2, 0, 1])
    ours = PrototypicalNetwork(nn.Identity())(query, support, labels, 3)
    torch.testing.assert_close(ours, log_kernel_prediction(rbf_scores(query, support, 0.5**0.5), labels, 3))
    twice = prototypes(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([1, 1, 0]), 2)
    assert twice.tolist() == [[5.0], [2.0]]


@pytest.mark.row(154)
def test_the_siamese_network_knows_no_order_and_weighs_like_and_unlike_pairs_alike() -> None:
    network = ConvSiamese(nn.Flatten(), 4)
    a, b = torch.rand(3, 1, 2, 2), torch.rand(5, 1, 2, 2)
    torch.testing.assert_close(network(a, b), network(b, a).mT)
    logits = torch.tensor([[2.0, -1.0, -1.0, 3.0]])
    same = torch.tensor([[True, False, False, False]])
    unlike = torch.nn.functional.softplus(torch.tensor([-1.0, -1.0, 3.0])).mean()
    wanted = (torch.nn.functional.softplus(torch.tensor(-2.0)) + unlike) / 2
    torch.testing.assert_close(same_loss(logits, same), wanted)
    assert most_alike(logits, torch.tensor([4, 5, 6, 7])).tolist() == [7]


@pytest.mark.row(155)
def test_the_bare_cosine_cannot_be_sure() -> None:
    """Two classes in opposite directions: e / (e + 1/e), however right the vectors are."""
    support, labels = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.tensor([0, 1])
    query = torch.tensor([[3.0, 0.0]])
    plain = MatchingNetwork(nn.Identity(), variant="notes")(query, support, labels, 2).exp()
    assert plain[0, 0].item() == pytest.approx(math.e / (math.e + 1 / math.e))
    assert MatchingNetwork(nn.Identity())(query, support, labels, 2).exp()[0, 0].item() > 0.999
    assert not list(MatchingNetwork(nn.Identity(), variant="notes").parameters())


@pytest.mark.row(155)
def test_full_context_sees_the_whole_support() -> None:
    torch.manual_seed(0)
    context = FullContext(4)
    support = torch.randn(5, 4)
    other = support.clone()
    other[4] += 1
    changed = (context.support(support) != context.support(other)).any(dim=1)
    assert changed.all()
    forth, back = context.both_ways(support)[0].chunk(2, dim=1)
    torch.testing.assert_close(context.support(support), forth + back + support)
    queries = torch.randn(3, 4)
    assert not torch.equal(context.query(queries, support), context.query(queries, other))
    torch.testing.assert_close(context.query(queries[:1], support), context.query(queries, support)[:1])


@pytest.mark.row(156)
def test_shots_are_summed_over_their_features_and_perfect_scores_cost_nothing() -> None:
    torch.manual_seed(0)
    network = RelationNetwork(nn.Identity(), conv_relation(2, 3, 4)).eval()
    query, support = torch.rand(2, 2, 3, 3), torch.rand(3, 2, 3, 3)
    two = network(query, support, torch.tensor([0, 0, 1]), 2)
    summed = torch.stack([support[0] + support[1], support[2]])
    torch.testing.assert_close(two, network(query, summed, torch.tensor([0, 1]), 2))
    assert bool(((two > 0) & (two < 1)).all())
    assert relation_loss(torch.eye(3), torch.arange(3)).item() == 0
    assert relation_loss(1 - torch.eye(3), torch.arange(3)).item() == 3


@pytest.mark.row(157)
def test_no_gradient_flows_through_the_gradient_and_coordinates_do_not_meet() -> None:
    torch.manual_seed(0)
    optimiser = LstmOptimiser(hidden=4)
    theta = torch.randn(2, 3)

    def objective(of: Tensor) -> Tensor:
        return of.pow(4).sum()

    values, last, state = unroll(optimiser, objective, theta, optimiser.start(theta), 3)
    assert values.shape == (3,) and last.shape == (2, 3) and state[0][0].shape == (6, 4)
    values.sum().backward()
    assert all(p.grad is not None for p in optimiser.parameters())
    alone, _ = optimiser(theta[:1], optimiser.start(theta[:1]))
    both, _ = optimiser(theta, optimiser.start(theta))
    torch.testing.assert_close(both[:1], alone)
    first, _ = optimiser(4 * theta**3, optimiser.start(theta))
    assert values[0].item() == pytest.approx(objective(theta + first).item(), rel=1e-5)


@pytest.mark.row(157)
def test_gradients_of_all_sizes_stay_within_reach() -> None:
    seen = preprocessed(torch.tensor([0.0, 1e-30, -1e-5, 1e-4, -1.0, 1e20]))
    assert bool(seen.isfinite().all()) and seen.abs().max().item() < 5
    assert seen[3:, 1].tolist() == [1, -1, 1]


@pytest.mark.row(157)
def test_a_learned_optimiser_resumes_where_it_broke_off(tmp_path: Path) -> None:
    short = LearnedOptimiser(hidden=4, batch_size=2).with_settings(
        {"max_steps": "4", "validate_every": "2", "log_every": "1", "checkpoint_minutes": "0"}
    )

    def recipe() -> Recipe:
        torch.manual_seed(0)
        return short.recipe()

    def stop(event: Event) -> None:
        if event["event"] == "step" and event["step"] == 2:
            raise KeyboardInterrupt

    whole = train(recipe(), tmp_path / "whole", short.loop)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), tmp_path / "broken", short.loop, stop)
    again = recipe()
    assert train(again, tmp_path / "broken", short.loop).scores == whole.scores
    assert isinstance(again.model, LstmOptimiser)
    curve = learned_curve(again.model, quadratics(3, torch.Generator().manual_seed(0)))
    assert curve.shape == (101,) and bool(curve.isfinite().all())


@pytest.mark.row(158)
def test_no_inner_step_is_joint_training_and_the_first_order_form_drops_the_hessian() -> None:
    theta = torch.tensor([2.0, -1.0], requires_grad=True)

    def loss(of: Parameters) -> Tensor:
        return of["w"].pow(3).sum()

    assert adapted(loss, {"w": theta}, 0.1, steps=0)["w"] is theta
    for first_order, factor in ((False, 1 - 0.6 * theta.detach()), (True, torch.ones(2))):
        own = adapted(loss, {"w": theta}, 0.1, 1, first_order)["w"]
        torch.testing.assert_close(own, theta - 0.3 * theta.square())
        (gradient,) = torch.autograd.grad(own.sum(), theta)
        torch.testing.assert_close(gradient, factor)


@pytest.mark.row(158)
def test_inner_steps_at_once_are_those_of_each_task_alone() -> None:
    experiment = Sinusoid()
    torch.manual_seed(0)
    model = experiment.recipe().model
    data = inner_steps.tested()
    few = type(data)(*(part[:3] for part in data))
    ours = losses_after(model, few, 0.05, 2)
    for place in range(3):
        own = Sinusoid().recipe().model
        own.load_state_dict(model.state_dict())
        optimiser = torch.optim.SGD(own.parameters(), lr=0.05)
        for _ in range(2):
            optimiser.zero_grad()
            (own(few.support[place]) - few.values[place]).square().mean().backward()
            optimiser.step()
        error = (own(few.query[place]) - few.wanted[place]).square().mean()
        assert ours[place].item() == pytest.approx(error.item(), rel=1e-4)


@pytest.mark.parametrize("method", ["siamese", "matching", "prototypes", "relation"])
def test_each_method_trains_and_draws_an_episode(method: str, drawings: Path, tmp_path: Path) -> None:
    settings = {"method": method, "max_steps": "2", "ways": "3", "queries": "2", "channels": "4"}
    numbers = FewShot().with_settings(settings | {"full_context": "true"}).run(tmp_path / "run")
    assert 0 <= numbers["accuracy"] <= 1 and numbers["accuracy of pixels"] == 1
    assert (tmp_path / "run" / "episode.png").stat().st_size > 1000


@pytest.mark.row(158)
def test_maml_trains_on_characters_and_sinusoids(drawings: Path, tmp_path: Path) -> None:
    numbers = MamlCharacters().with_settings({"max_steps": "1", "channels": "4"}).run(tmp_path / "run")
    assert 0.1 < numbers["accuracy after 0 steps"] < 0.3
    Sinusoid().with_settings({"max_steps": "1"}).run(tmp_path / "sinusoid")
    assert (tmp_path / "sinusoid" / "sinusoid.png").stat().st_size > 1000


def test_three_alphabets_are_held_out_and_turned_characters_are_others(drawings: Path) -> None:
    train, test = characters()
    assert train.images.shape == (4 * 12 * 20, 1, 14, 14) and len(train.labels.unique()) == 48
    assert len(test.labels.unique()) == 18 and not set(train.labels.tolist()) & set(test.labels.tolist())


def test_without_the_data_the_rows_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGKIT_DATA", str(tmp_path))
    with pytest.raises(MissingError, match="omniglot_small"):
        characters()
