"""The dual encoder: losses as in the papers, sound batches, towers, resume, and an index that stays valid."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from ragkit.corpus.document import Document
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.errors import RagkitError
from ragkit.index.rewriting import adopt
from ragkit.retrieval.index import Index
from ragkit.training.curves import read_log
from ragkit.training.retrieval.data import (
    RetrievalExample,
    RetrievalSet,
    plan_epoch,
    read_retrieval_set,
    split_held_out,
)
from ragkit.training.retrieval.dual_encoder import DualEncoderSettings, train_dual_encoder
from ragkit.training.retrieval.losses import LossName, columns, retrieval_loss
from ragkit.training.retrieval.towers import build_towers, training_shape

TOPICS = 40
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Model(torch.nn.Module):
    """Stands for a SentenceTransformer where a loss is computed from vectors."""

    def __init__(self, similarity: str = "dot") -> None:
        super().__init__()
        self.similarity_fn_name = similarity


# Losses


def dpr_loss(questions: Tensor, passages: Tensor, positive: Sequence[int]) -> Tensor:
    """`BiEncoderNllLoss.calc` of facebookresearch/DPR: log softmax of all dot products, then nll."""
    scores = torch.matmul(questions, passages.T)
    return functional.nll_loss(
        functional.log_softmax(scores, dim=1), torch.tensor(positive), reduction="mean"
    )


def vectors(*sizes: int) -> Tensor:
    return torch.randn(*sizes, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(sizes)))


@pytest.mark.parametrize("hard", [0, 1, 3])
def test_the_loss_and_its_gradient_are_dprs(hard: int) -> None:
    questions, positives, negatives = vectors(5, 7), vectors(5, 7), vectors(hard, 5, 7)
    ours = [tensor.clone().requires_grad_() for tensor in (questions, positives, *negatives)]
    loss: Any = retrieval_loss(Model(), "nll")
    value = loss.compute_loss_from_embeddings(ours, None)
    value.backward()
    # DPR puts each question's positive first and its hard negatives after it.
    theirs = [questions.clone().requires_grad_()]
    theirs.append(torch.stack([positives, *negatives], dim=1).reshape(-1, 7).requires_grad_())
    expected = dpr_loss(*theirs, range(0, 5 * (1 + hard), 1 + hard))
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), abs=1e-12)
    torch.testing.assert_close(ours[0].grad, theirs[0].grad, rtol=0, atol=1e-12)
    assert theirs[1].grad is not None
    of_positives = theirs[1].grad.reshape(5, 1 + hard, 7)[:, 0]
    torch.testing.assert_close(ours[1].grad, of_positives, rtol=0, atol=1e-12)


def test_cosines_are_scaled() -> None:
    questions, positives = vectors(4, 6), vectors(4, 6)
    loss: Any = retrieval_loss(Model("cosine"), "nll")
    units = [functional.normalize(tensor, dim=1) for tensor in (questions, positives)]
    expected = dpr_loss(20 * units[0], units[1], range(4))
    assert loss.compute_loss_from_embeddings([questions, positives], None).item() == pytest.approx(
        expected.item()
    )


def test_triplet_is_of_squared_distances() -> None:
    a, p, n = (vectors(6, 4 + i)[:, :4] for i in range(3))
    loss: Any = retrieval_loss(Model(), "triplet", margin=0.7)
    of = [((a - other).numpy() ** 2).sum(1) for other in (p, n)]
    expected = np.maximum(0, of[0] - of[1] + 0.7).mean()
    assert loss.compute_loss_from_embeddings([a, p, n], None).item() == pytest.approx(float(expected))
    oracle = torch.nn.TripletMarginWithDistanceLoss(
        distance_function=lambda x, y: (x - y).square().sum(1), margin=0.7
    )
    assert float(oracle(a, p, n)) == pytest.approx(float(expected))


def test_contrastive_is_hadsells() -> None:
    a, b = vectors(6, 4) / 3, vectors(6, 5)[:, :4] / 3
    same = torch.tensor([1, 0, 1, 0, 0, 1])
    loss: Any = retrieval_loss(Model(), "contrastive", margin=1.2)
    distance = np.sqrt(((a - b).numpy() ** 2).sum(1))
    apart = np.maximum(0, 1.2 - distance) ** 2
    expected = np.where(same.numpy() == 1, distance**2, apart).mean() / 2
    # torch's pairwise distance adds 1e-6 to each component of the difference.
    assert loss.compute_loss_from_embeddings([a, b], same).item() == pytest.approx(expected, abs=1e-5)


def test_rows_of_each_loss() -> None:
    given_rows = ([("q",), ("r",)], ["p", "s"], [("n",), ("m",)])
    assert columns("triplet", *given_rows)[1] == {"question_1": "r", "passage": "s", "negative_1": "m"}
    asked = columns("nll", [("q", "r")], ["p"], [()])
    assert asked == [{"question_1": "q", "question_2": "r", "passage": "p"}]
    labels = [(row["question"], row["passage"], row["label"]) for row in columns("contrastive", *given_rows)]
    assert labels == [("q", "p", 1), ("r", "s", 1), ("q", "n", 0), ("r", "m", 0)]


# Batches


@st.composite
def sets(draw: st.DrawFn) -> RetrievalSet:
    count = draw(st.integers(1, 12))
    rows = st.lists(st.integers(0, count - 1), min_size=1, max_size=3, unique=True)
    examples = []
    for number in range(draw(st.integers(1, 40))):
        positives = draw(rows)
        negatives = [row for row in draw(rows) if row not in positives]
        examples.append(RetrievalExample(f"q{number}", tuple(positives), tuple(negatives)))
    return RetrievalSet("set", [(f"t{i}", "x" * i) for i in range(count)], examples)


@settings(max_examples=150, deadline=None)
@given(sets(), st.integers(2, 6), st.integers(0, 3), st.integers(0, 9), st.booleans(), st.integers(1, 3))
def test_no_passage_of_a_batch_answers_another_question(
    data: RetrievalSet, size: int, negatives: int, seed: int, fill: bool, group: int
) -> None:
    batches = plan_epoch(data, size, negatives, np.random.default_rng(seed), fill, group)
    of = {example.question: set(example.positives) for example in data.examples}
    rows = [row for batch in batches for row in batch.rows]
    seen = [question for row in rows for question in set(row.questions)]
    assert len(seen) == len(set(seen))
    assert {len(row.questions) for row in rows} <= {group}
    for batch in batches:
        assert 0 < len(batch.rows) <= size
        assert len({len(row.negatives) for row in batch.rows}) == 1
        for row in batch.rows:
            shown = {at for other in batch.rows for at in (other.positive, *other.negatives)} - {row.positive}
            for question in row.questions:
                assert row.positive in of[question] and not shown & of[question]
    again = plan_epoch(data, size, negatives, np.random.default_rng(seed), fill, group)
    assert [batch.rows for batch in again] == [batch.rows for batch in batches]


def test_every_question_of_a_plain_set_is_shown_once_in_batches_of_like_length() -> None:
    passages = [(f"t{i}", "x" * (i % 50)) for i in range(320)]
    data = RetrievalSet("set", passages, [RetrievalExample(f"q{i}", (i,)) for i in range(320)])
    batches = plan_epoch(data, 8, 1, np.random.default_rng(0))
    assert sorted(row.positive for batch in batches for row in batch.rows) == list(range(320))
    assert not any(row.negatives for batch in batches for row in batch.rows)
    spreads = [np.ptp([len(passages[row.positive][1]) for row in batch.rows]) for batch in batches]
    assert np.mean(spreads) < 5
    other = plan_epoch(data, 8, 1, np.random.default_rng(1))
    assert [batch.rows for batch in other] != [batch.rows for batch in batches]


def test_held_out_are_whole_articles_and_the_same_ones_each_time() -> None:
    passages = [(f"article {i // 4}", f"text {i}") for i in range(80)]
    data = RetrievalSet("set", passages, [RetrievalExample(f"q{i}", (i,)) for i in range(80)])
    learnt, held = split_held_out(data, 12)
    assert len(held.examples) == 8  # at most a tenth
    articles = [{passages[e.positives[0]][0] for e in part.examples} for part in (learnt, held)]
    assert not articles[0] & articles[1]
    assert split_held_out(data, 12)[1].examples == held.examples
    assert not split_held_out(RetrievalSet("few", passages, data.examples[:9]), 12)[1].examples


# Data


def test_data_that_cannot_teach_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bare.json").write_text(json.dumps([{"question": "q", "answers": ["a"]}]))
    with pytest.raises(RagkitError, match="ragkit mine"):
        read_retrieval_set(tmp_path / "bare.json")
    beir(tmp_path / "beir")
    with pytest.raises(RagkitError, match="no 'train'"):
        read_retrieval_set(tmp_path / "beir")
    assert len(read_retrieval_set(tmp_path / "beir", "test").examples) == 1


def beir(folder: Path) -> None:
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d", "title": "", "text": "a cat"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "which cat?"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")


# Training


def word(number: int, of: str) -> str:
    """A word of the vocabulary: the same meaning has another name in questions than in passages."""
    return f"{of}{LETTERS[number // 20]}{LETTERS[number % 20]}"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained sentence encoder of a few kilobytes that knows the words of `mined`."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("start")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [word(i, of) for of in "qp" for i in range(TOPICS)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder / "bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=32, initializer_range=0.3, **sizes)
    BertModel(config).save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert")), Pooling(32, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"), create_model_card=False)
    return folder / "model"


def documents() -> list[Document]:
    """Each about two topics."""
    pairs = [(i, (i * 7 + 3 * j + 1) % TOPICS) for i in range(TOPICS) for j in range(5)]
    return [
        Document(f"d{at}", f"{word(a, 'p')} {word(b, 'p')}", splittable=False)
        for at, (a, b) in enumerate(pairs)
    ]


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DPR's JSON: a question for each document, in other words; a neighbour of its topic as negative."""
    entries = []
    passages = [{"passage_id": d.id, "title": "", "text": d.text} for d in documents()]
    for at, passage in enumerate(passages):
        asked = " ".join("q" + name[1:] for name in str(passage["text"]).split())
        other = passages[at + 1 if at % 5 < 4 else at - 1]
        entries.append(
            {"question": asked, "answers": [], "positive_ctxs": [passage], "hard_negative_ctxs": [other]}
        )
    path = tmp_path_factory.mktemp("mined") / "mined.json"
    path.write_text(json.dumps(entries))
    return path


def quick(start: Path, **changed: Any) -> DualEncoderSettings:
    given_settings: dict[str, Any] = {
        "encoder": str(start), "batch": 8, "learning_rate": 3e-3, "epochs": 1.0, "precision": "fp32",
        "validate_every": 1000, "held_out": 20, "log_every": 1,
    }  # fmt: skip
    return DualEncoderSettings(**(given_settings | changed))


def weights(folder: Path) -> dict[str, Tensor]:
    return {
        f"{path.parent.name}/{name}": tensor
        for path in sorted(folder.rglob("model.safetensors"))
        for name, tensor in load_file(path).items()
    }


def test_training_finds_more_and_leaves_a_model_a_log_and_a_curve(
    start: Path, mined: Path, tmp_path: Path
) -> None:
    result = train_dual_encoder([mined], tmp_path / "run", quick(start, epochs=6, validate_every=50))
    assert result.scores["RR@10"] > result.scores["RR@10 before"] + 0.1
    assert result.epochs == 6
    events = read_log(tmp_path / "run" / "log.jsonl")
    assert [event["event"] for event in events][:2] == ["start", "validate"]
    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert len([event for event in events if event["event"] == "validate"]) > 2
    assert (tmp_path / "run" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix in (".bin", ".pt", ".pth")]
    trained, before = load_encoder(tmp_path / "run" / "model"), load_encoder(start)
    assert trained.similarity == "cosine" and trained.passport().disagreement(before.passport())
    assert trained.tokenizer.model_max_length == before.tokenizer.model_max_length


class Killed(Exception):
    pass


def test_a_run_that_was_stopped_ends_as_one_that_was_not(start: Path, mined: Path, tmp_path: Path) -> None:
    whole = quick(start, epochs=2, batch=64, checkpoint_minutes=0.0)
    train_dual_encoder([mined], tmp_path / "whole", whole)

    def kill_after(step: int) -> Any:
        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "step" and event["step"] == step:
                raise Killed

        return on_event

    for step in (2, 4):  # in the first and in the second epoch
        with pytest.raises(Killed):
            train_dual_encoder([mined], tmp_path / "torn", whole, kill_after(step))
    train_dual_encoder([mined], tmp_path / "torn", whole)
    events = read_log(tmp_path / "torn" / "log.jsonl")
    assert [event["resumed"] for event in events if event["event"] == "start"] == [False, True, True]
    ours, theirs = weights(tmp_path / "torn" / "model"), weights(tmp_path / "whole" / "model")
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-6)
    with pytest.raises(RagkitError, match="other settings"):
        train_dual_encoder([mined], tmp_path / "torn", quick(start, epochs=2, batch=64, seed=1))


def test_cached_gradients_are_the_same_gradients(start: Path) -> None:
    texts = [
        [f"{word(i, of)} {word((i + 3 * j) % TOPICS, of)}" for i in range(7)] for j, of in enumerate("qpp")
    ]
    found = []
    for mini_batch in (None, 3):
        model = build_towers(str(start), "shared").model
        with training_shape(model, 16):
            loss = retrieval_loss(model, "nll", mini_batch=mini_batch)(
                [model.preprocess(column) for column in texts], None
            )
            loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        assert not any("word_embeddings" in name for name in gradients)
        found.append((loss.item(), gradients))
    (plain, theirs), (cached, ours) = found
    assert cached == pytest.approx(plain, abs=1e-5)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=0, atol=1e-5)


def test_questions_that_share_passages_have_dprs_loss(start: Path) -> None:
    texts = [
        [f"{word(i, of)} {word((i + 3 * j) % TOPICS, of)}" for i in range(5)] for j, of in enumerate("qqpp")
    ]
    model = build_towers(str(start), "shared").model
    with training_shape(model, 16):
        loss = retrieval_loss(model, "nll", group=2)([model.preprocess(column) for column in texts], None)
        asked, others, positives, negatives = (
            model.encode(column, convert_to_tensor=True, normalize_embeddings=True) for column in texts
        )
    expected = dpr_loss(20 * torch.cat([asked, others]), torch.cat([positives, negatives]), [*range(5)] * 2)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-4)


def test_grouped_questions_train(start: Path, mined: Path, tmp_path: Path) -> None:
    entries = json.loads(mined.read_text())
    reworded = [entry | {"question": " ".join(entry["question"].split()[::-1])} for entry in entries]
    (tmp_path / "twice.json").write_text(json.dumps(entries + reworded))
    result = train_dual_encoder([tmp_path / "twice.json"], tmp_path / "run", quick(start, epochs=3, group=2))
    losses = [e["loss"] for e in read_log(tmp_path / "run" / "log.jsonl") if e["event"] == "step"]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert result.steps == 3 * round(len(losses) / 3) and len(losses) < 3 * len(entries) / 7


def test_a_share_of_the_start_is_kept_without_training_anew(start: Path, mined: Path, tmp_path: Path) -> None:
    train_dual_encoder([mined], tmp_path / "run", quick(start, max_steps=3))
    trained, before = weights(tmp_path / "run" / "model"), weights(start)
    steps: list[dict[str, Any]] = []
    train_dual_encoder([mined], tmp_path / "run", quick(start, max_steps=3, keep=0.25), steps.append)
    assert "step" not in [event["event"] for event in steps]
    mixed = weights(tmp_path / "run" / "model")
    for name, tensor in mixed.items():
        torch.testing.assert_close(tensor, 0.25 * before[name] + 0.75 * trained[name], rtol=0, atol=1e-6)
    assert any(not torch.equal(mixed[name], trained[name]) for name in mixed)


def test_separate_towers_part(start: Path, mined: Path, tmp_path: Path) -> None:
    train_dual_encoder([mined], tmp_path / "run", quick(start, max_steps=3, towers="separate"))
    encoder, before = load_encoder(tmp_path / "run" / "model"), load_encoder(start)
    text = word(1, "p")
    both = encoder.encode_questions([text]), encoder.encode_passages([("", text)])
    assert not np.allclose(*both, atol=1e-4)
    assert not np.allclose(both[1], before.encode_passages([("", text)]), atol=1e-4)


def test_inner_product(start: Path, mined: Path, tmp_path: Path) -> None:
    result = train_dual_encoder([mined], tmp_path / "run", quick(start, max_steps=3, inner_product=True))
    encoder = load_encoder(result.weights)
    assert encoder.similarity == "inner_product"
    assert abs(np.linalg.norm(encoder.encode_questions([word(1, "q")])) - 1) > 0.1


@pytest.fixture(scope="module")
def frozen(start: Path, mined: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A question tower trained against the start's passages."""
    run = tmp_path_factory.mktemp("frozen")
    result = train_dual_encoder([mined], run, quick(start, epochs=6, towers="frozen", negatives=1))
    assert result.scores["RR@10"] > result.scores["RR@10 before"] + 0.1
    return result.weights


def test_frozen_passages_keep_an_index_valid(start: Path, frozen: Path, tmp_path: Path) -> None:
    index = Index.build(documents(), tmp_path / "index", encoder=start)
    before, trained = index.encoder, load_encoder(frozen)
    assert trained.passport().fingerprint == before.passport().fingerprint
    passage = [("", documents()[0].text)]
    np.testing.assert_array_equal(trained.encode_passages(passage), before.encode_passages(passage))
    asked = [" ".join("q" + name[1:] for name in d.text.split()) for d in documents()]

    def found(index: Index) -> int:
        hits = index.search_batch(asked, 1, mode="dense")
        return sum(hit[0].passage.id == document.id for hit, document in zip(hits, documents(), strict=True))

    other = Index.open(tmp_path / "index", encoder=trained)
    assert found(other) > found(index)
    adopt(tmp_path / "index", frozen)
    adopted = Index.open(tmp_path / "index")
    assert isinstance(adopted.encoder, SentenceEncoder) and adopted.encoder.name == str(frozen.resolve())
    assert found(adopted) == found(other)
    assert adopted.verify() == []
    again = Index.build(documents(), tmp_path / "index", encoder=frozen)
    assert again.last_write is not None and again.last_write.encoded == 0


def test_another_encoder_is_still_refused(start: Path, frozen: Path, mined: Path, tmp_path: Path) -> None:
    Index.build(documents()[:3], tmp_path / "index", encoder=frozen)
    shared = train_dual_encoder([mined], tmp_path / "run", quick(start, max_steps=2)).weights
    for use in (adopt, Index.open):
        with pytest.raises(RagkitError, match="wrong encoder"):
            use(tmp_path / "index", load_encoder(shared))


def test_a_passage_tower_that_was_changed_is_noticed(frozen: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import save_file

    folder = Path(shutil.copytree(frozen, tmp_path / "copy"))
    path = next(path for path in folder.rglob("model.safetensors") if "document" in str(path.parent))
    changed = {name: tensor + 0.01 for name, tensor in load_file(path).items()}
    save_file(changed, path, metadata={"format": "pt"})
    with pytest.raises(RagkitError, match="was changed"):
        load_encoder(folder).passport()


@pytest.mark.parametrize("loss", ["triplet", "contrastive"])
def test_the_other_losses_train(start: Path, mined: Path, tmp_path: Path, loss: LossName) -> None:
    result = train_dual_encoder([mined], tmp_path / "run", quick(start, epochs=3, loss=loss))
    losses = [e["loss"] for e in read_log(tmp_path / "run" / "log.jsonl") if e["event"] == "step"]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert result.scores["RR@10"] > result.scores["RR@10 before"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"mini_batch": 2, "loss": "triplet"}, "cached gradients"),
    ({"mini_batch": 2, "group": 2}, "one question a passage"),
    ({"group": 0}, "one question or more"),
    ({"inner_product": True, "towers": "frozen"}, "no inner product"),
    ({"negatives": 2, "loss": "triplet"}, "one wrong passage"),
    ({"negatives": 0, "loss": "contrastive"}, "wrong passage"),
    ({"batch": 1}, "two questions"),
    ({"keep": 1.0}, "share"),
    ({"encoder": "nowhere/at/all"}, "no such model"),
    ({"learning_rate": 1e30}, "lower the learning rate"),
]


@pytest.mark.parametrize("changed, said", WRONG)
def test_settings_that_do_not_fit_are_one_line(
    start: Path, mined: Path, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(RagkitError, match=said):
        train_dual_encoder([mined], tmp_path / "run", quick(start, **{"max_steps": 4} | changed))
