"""Models and indexes made smaller: what is saved loads as usual and is what was measured."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertModel,
)

from ragkit.corpus.document import Document
from ragkit.encoders.loading import load_encoder, packaged_folder
from ragkit.errors import RagkitError
from ragkit.generation.loading import load_reader
from ragkit.index.planning.questions import questions_of
from ragkit.index.rewriting import adopt
from ragkit.models.compress.stored_model import stored_kind
from ragkit.retrieval.index import Index
from ragkit.retrieval.reranking import load_reranker
from ragkit.training.compression.indexes import (
    Asked,
    compared,
    compress_engine,
    compress_vectors,
    live_vectors,
    relevant_positions,
    sentences,
)
from ragkit.training.compression.models import (
    HELD_OUT,
    CompressionSettings,
    How,
    compress_model,
    compress_only,
    examples_of,
)
from ragkit.training.compression.question_tower import compress_question_tower, measured, stretches
from ragkit.training.compression.similarity import SimilaritySettings, principal_axes, similarity_keeping
from ragkit.training.compression.subject import Role, load_subject, role_of
from ragkit.training.compression.ways import Way, measure, projected
from ragkit.training.recipe import LoopSettings

SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 128,
}
QUICK = SimilaritySettings(
    size=16, loop=LoopSettings(learning_rate=1e-3, max_steps=5, precision="fp32", validate_every=5)
)


def words(number: int) -> str:
    return " ".join(f"word{number * prime % 211}" for prime in (1, 3, 7, 11, 31, 53, 71))


EXAMPLES = examples_of([words(number) for number in range(HELD_OUT + 40)])


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(packaged_folder())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> dict[Role, Path]:
    """A tiny model of each role whose layers are of BERT's kind."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    config = {
        "vocab_size": tokenizer.vocab_size,
        "max_position_embeddings": 128,
        "initializer_range": 0.1,
        **SIZES,
    }
    for name, model in (
        ("bert", BertModel(BertConfig(**config))),
        ("reader", BertForQuestionAnswering(BertConfig(**config))),
        ("reranker", BertForSequenceClassification(BertConfig(num_labels=1, **config))),
    ):
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    modules = [Transformer(str(root / "bert")), Pooling(64, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu", prompts={"query": "ask: "}).save(str(root / "encoder"))
    return {"encoder": root / "encoder", "reader": root / "reader", "reranker": root / "reranker"}


@pytest.mark.parametrize("how", ["int8", "int4", "sparse", "ffn", "heads", "layers"])
def test_a_smaller_encoder_loads_as_an_encoder(how: How, folders: dict[Role, Path], tmp_path: Path) -> None:
    subject = load_subject(str(folders["encoder"]), "encoder")
    before = load_encoder(folders["encoder"], "torch", "fp32")
    weights = compress_only(subject, tmp_path / "out", CompressionSettings(how=how), EXAMPLES)
    encoder: Any = load_encoder(tmp_path / "out" / "model", "torch", "fp32")
    vectors, wanted = (one.encode_questions(["word1 word2 word3"] * 2) for one in (encoder, before))
    assert vectors.shape == wanted.shape and (vectors * wanted).sum(1).min() > 0.5
    assert encoder.passport().prompts["question"] == "ask: "
    assert encoder.passport().weights != before.passport().weights
    network = encoder.model[0].model
    layer = network.encoder.layer[0]
    full = (folders["encoder"] / "model.safetensors").stat().st_size
    size = weights.stat().st_size
    if how in ("int8", "int4"):
        assert stored_kind(weights.parent) == how and size < full / {"int8": 3.5, "int4": 6}[how]
    elif how == "sparse":
        assert float((layer.output.dense.weight == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    elif how == "ffn":
        # In multiples of 32, known to the configuration: transformers itself reads it.
        assert layer.output.dense.in_features == 64 or layer.output.dense.in_features == 32
        read = BertModel.from_pretrained(tmp_path / "out" / "model")
        assert read.config.intermediate_size == layer.output.dense.in_features
    elif how == "heads":
        assert layer.attention.self.query.out_features == 32 == layer.attention.output.dense.in_features
    else:
        assert len(network.encoder.layer) == network.config.num_hidden_layers == 2


def test_dropping_half_of_the_units_is_nearer_than_dropping_those_that_matter_most(
    folders: dict[Role, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragkit.training.compression import models

    wanted = load_encoder(folders["encoder"], "torch", "fp32").encode_questions([q for q, _ in EXAMPLES[:20]])
    cosines, real = [], models.importance
    for worst in (False, True):
        if worst:
            monkeypatch.setattr(models, "importance", lambda *given: -real(*given))
        out = tmp_path / str(worst)
        settings = CompressionSettings(how="ffn", keep=0.34)
        compress_only(load_subject(str(folders["encoder"]), "encoder"), out, settings, EXAMPLES)
        found = load_encoder(out / "model", "torch", "fp32").encode_questions([q for q, _ in EXAMPLES[:20]])
        cosines.append(float((found * wanted).sum(1).mean()))
    assert cosines[0] > cosines[1]


@pytest.mark.parametrize("role", ["encoder", "reader", "reranker"])
def test_training_on_the_grid_brings_a_model_nearer_to_what_it_was(
    role: Role, folders: dict[Role, Path], tmp_path: Path
) -> None:
    settings = CompressionSettings(how="int4", steps=25, learning_rate=1e-3)
    rows = compress_model(load_subject(str(folders[role]), role), tmp_path / "out", settings, EXAMPLES)
    assert [row.name for row in rows] == ["as it was", "int8, rounded", "without training", "int4, 25 steps"]
    assert rows[0].agreement.mean == pytest.approx(1) and rows[1].bytes < rows[0].bytes / 3
    assert rows[2].bytes == pytest.approx(rows[3].bytes, rel=0.01) and rows[3].bytes < rows[0].bytes / 6
    losses = [
        json.loads(line) for line in (tmp_path / "out" / "training" / "log.jsonl").read_text().splitlines()
    ]
    steps = [line["loss"] for line in losses if line["event"] == "step"]
    assert steps[-1] < steps[0]
    if role == "encoder":
        assert rows[3].agreement.mean > rows[2].agreement.mean
    # What was trained lies on the grid that it is stored on: saving rounded nothing more.
    trained, stored = (
        load_subject(str(folders[role]), role),
        load_subject(str(tmp_path / "out" / "model"), role),
    )
    assert type(trained.network) is type(stored.network)


def test_what_is_saved_is_what_the_loaders_load(folders: dict[Role, Path], tmp_path: Path) -> None:
    for role in ("reader", "reranker"):
        assert role_of(folders[role]) == role  # type: ignore[index]
        subject = load_subject(str(folders[role]), role)  # type: ignore[index, arg-type]
        compress_only(subject, tmp_path / role, CompressionSettings(how="heads"), EXAMPLES)
    model, _ = load_reader(tmp_path / "reader" / "model")
    assert model.bert.encoder.layer[0].attention.self.query.out_features == 32
    scorer = load_reranker(tmp_path / "reranker" / "model").scorer
    assert np.isfinite(scorer.logits([("word1 word2", "word3 word4")])).all()
    assert role_of(folders["encoder"]) == "encoder"
    with pytest.raises(RagkitError, match="neither an index nor a model"):
        role_of(tmp_path)


def test_what_cannot_be_compressed_is_said(folders: dict[Role, Path], tmp_path: Path) -> None:
    with pytest.raises(RagkitError, match="between 0 and 1"):
        CompressionSettings(how="ffn", keep=1.5)
    subject = load_subject(str(folders["reader"]), "reader")
    with pytest.raises(RagkitError, match="too few"):
        compress_only(subject, tmp_path / "a", CompressionSettings(how="int8"), EXAMPLES[:5])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("kept")
    with pytest.raises(RagkitError, match="not empty"):
        compress_only(subject, tmp_path / "b", CompressionSettings(how="int8"), EXAMPLES)


@pytest.fixture(scope="module")
def index(folders: dict[Role, Path], tmp_path_factory: pytest.TempPathFactory) -> Index:
    documents = [Document(id=str(n), text=f"{words(n)}. Line {n} of {words(n + 7)}.") for n in range(400)]
    return Index.build(
        documents, tmp_path_factory.mktemp("index") / "made", encoder=folders["encoder"], factory="flat"
    )


def test_all_ways_are_measured_against_the_exact_one(index: Index) -> None:
    found = {one.way.name: one for one in compared(index, sentences(index), 16, settings=QUICK)}
    assert found["exact"].recall.mean == 1 and found["exact"].bytes_a_vector == 256
    assert found["sq8"].bytes_a_vector == 64 and found["sq8"].recall.mean > 0.9
    assert found["rabitq"].bytes_a_vector < found["sq4"].bytes_a_vector == 32
    for name in ("pq16", "pca16 centred + sq8", "pca16 + sq8", "similarity16 + sq8"):
        assert found[name].bytes_a_vector == 16
    judged = Asked("its own", live_vectors(index)[:20], [[n] for n in range(20)])
    again = measure([Way("exact", "Flat")], live_vectors(index), judged.vectors, judged.relevant)
    assert again[0].recall.mean == 1


def test_another_engine_in_place_keeps_the_passages_and_its_promise(index: Index, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(index.path, tmp_path / "copy")
    copy = Index.open(tmp_path / "copy")
    asked = sentences(copy)
    sq8 = next(one for one in compared(copy, asked, 16, settings=QUICK) if one.way.name == "sq8")
    compress_engine(copy, sq8, asked)
    opened = Index.open(tmp_path / "copy")
    assert opened.manifest.factory == "SQ8" and opened.verify() == []
    assert opened.manifest.promise is not None and opened.manifest.promise.expected > 0.9
    assert opened.search(words(5), 1, mode="dense") and len(opened) == len(index)


def test_shorter_vectors_go_on_through_additions_and_compaction(index: Index, tmp_path: Path) -> None:
    asked = sentences(index)
    found = next(
        one for one in compared(index, asked, 16, settings=QUICK) if one.way.name.startswith("similarity")
    )
    folder = compress_vectors(index, found, tmp_path / "small", asked)
    assert load_encoder(folder, "torch", "fp32").dimension == 16
    small = Index.open(tmp_path / "small" / "index")
    assert small.manifest.factory == "SQ8" and small.manifest.passport.dimension == 16
    assert small.verify() == [] and len(small) == len(index)
    # The vectors are those that its encoder would have made.
    some = small.passages(range(5))
    made = small.encoder.encode_passages([(p.title, p.text) for p in some])
    assert np.allclose(small.passage_vectors()(np.arange(5)), made, atol=2e-2)
    matrix = found.way.matrix
    assert matrix is not None
    assert np.allclose(projected(live_vectors(index)[:5], matrix, True), made, atol=2e-2)
    small.add([Document(id="new", text="word1 word2 and something new")])
    small.compact()
    assert small.manifest.factory == "SQ8" and small.verify() == []
    assert "new" in {hit.passage.document_id for hit in small.search("something new", 5)}
    with pytest.raises(RagkitError, match="not empty"):
        compress_vectors(index, found, tmp_path / "small", asked)
    with pytest.raises(RagkitError, match="vectors of its own"):
        compress_engine(index, found, asked)


@pytest.mark.parametrize("how", ["layers", "ffn"])
def test_a_smaller_question_tower_serves_the_same_vectors(how: How, index: Index, tmp_path: Path) -> None:
    mine = tmp_path / "index"
    shutil.copytree(index.path, mine)
    before = Index.open(mine)
    asked = stretches(before, seed=1, count=40)
    wanted = before.encoder.encode_questions(asked)
    rows, found = {}, {}
    for steps in (0, 30):
        settings = CompressionSettings(how=how, steps=steps, learning_rate=1e-4)
        folder = compress_question_tower(before, tmp_path / str(steps), settings)
        was, rows[steps] = measured(before, folder, settings, asked)
        found[steps] = load_encoder(folder, "torch", "fp32")
        assert rows[steps].bytes < was.bytes and was.agreement.mean == pytest.approx(1, abs=1e-6)
        # "ask: " is put before them, by the small tower as by the whole one.
        cosines = (wanted * found[steps].encode_questions(asked)).sum(axis=1)
        assert rows[steps].agreement.mean == pytest.approx(float(cosines.mean()), abs=1e-4)
    assert rows[0].agreement.mean < rows[30].agreement.mean < 1
    passages = [(passage.title, passage.text) for passage in before.passages(range(5))]
    np.testing.assert_array_equal(
        found[30].encode_passages(passages),
        load_encoder(before.encoder.passport().name, "torch", "fp32").encode_passages(passages),
    )
    adopt(mine, tmp_path / "30" / "model")
    after = Index.open(mine)
    assert after.verify() == [] and len(after) == len(before)
    np.testing.assert_allclose(
        after.encoder.encode_questions(asked), found[30].encode_questions(asked), atol=2e-2
    )
    assert [hit.passage.id for hit in after.search(words(5), 3)]
    # Two towers can be made smaller once more.
    again = CompressionSettings(how="ffn", keep=0.7)
    adopt(mine, compress_question_tower(after, tmp_path / "again", again))
    assert Index.open(mine).verify() == []


def test_what_no_question_tower_can_be_made_by(index: Index, tmp_path: Path) -> None:
    with pytest.raises(RagkitError, match="by ffn or layers, not by heads"):
        compress_question_tower(index, tmp_path / "out", CompressionSettings(how="heads"))


def test_relevant_passages_are_found_by_passage_and_by_document(index: Index) -> None:
    places = relevant_positions(index, [["3", "nothing"], ["nothing"]])
    assert len(places[0]) == 1 and places[1] == []
    assert index.passages([places[0][0]])[0].document_id == "3"


def test_learning_lowers_the_divergence_of_rankings(tmp_path: Path) -> None:
    """Questions live in a plane that carries little of the passages' variance: the principal axes miss it."""
    random = np.random.default_rng(0)
    scale = np.array([3.0] * 6 + [0.7] * 2, dtype=np.float32)
    passages = (random.standard_normal((600, 8)) * scale).astype(np.float32)
    questions = (random.standard_normal((300, 8)) * np.array([0.05] * 6 + [3.0] * 2)).astype(np.float32)
    settings = SimilaritySettings(
        size=2,
        temperature=1.0,
        loop=LoopSettings(
            learning_rate=3e-2, max_steps=200, precision="fp32", weight_decay=0.0, validate_every=200
        ),
    )
    learnt = similarity_keeping(passages, questions[100:], tmp_path, settings, cosine=False)
    ways = [Way("exact", "Flat")]
    ways += [Way(n, "Flat", m, False) for n, m in (("pca", principal_axes(passages, 2)), ("learnt", learnt))]
    exact, pca, kept = measure(ways, passages, questions[:100])
    assert exact.recall.mean == 1 and kept.recall.mean > pca.recall.mean + 0.3
    with pytest.raises(RagkitError, match="cannot shrink"):
        similarity_keeping(passages, questions, tmp_path / "b", SimilaritySettings(size=8), cosine=False)
    with pytest.raises(RagkitError, match="too few"):
        similarity_keeping(passages[:5], questions, tmp_path / "c", settings, cosine=False)


def test_a_small_index_is_refused(folders: dict[Role, Path], tmp_path: Path) -> None:
    small = Index.build([Document(id="1", text=words(1))], tmp_path / "one", encoder=folders["encoder"])
    with pytest.raises(RagkitError, match="too few to compress"):
        compared(small, Asked("none", questions_of(small).vectors), 16)
