"""Reader and generator recipes learn a handful of questions by heart, and their models load again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertConfig,
    BertForQuestionAnswering,
)

from ragkit.errors import RagkitError
from ragkit.generation.surface import surface_from_passage, tidy
from ragkit.models.compress.stored_model import load_stored, save_stored
from ragkit.training.answering.data import ReadingExample
from ragkit.training.answering.generator import (
    GeneratorRecipe,
    GeneratorSettings,
    build_generator,
    train_generator,
)
from ragkit.training.answering.pair_recipe import PairSettings, reading_sets
from ragkit.training.answering.reader import (
    ReaderRecipe,
    ReaderSettings,
    build_reader,
    packaged_encoder,
    train_reader,
)
from ragkit.training.answering.scores import mean_scores
from ragkit.training.half_precision import LEAN_ATTENTION, register_lean_attention
from ragkit.training.recipe import LoopSettings

LOOP = LoopSettings(learning_rate=3e-3, max_steps=4, validate_every=2, log_every=1, precision="fp32")
PAIRS = PairSettings(
    max_tokens=64, stride=8, batch_tokens=512, crop_tokens=12, cropped_epochs=0.5, negatives=0.5
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(packaged_encoder())


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    BertForQuestionAnswering(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def examples() -> list[ReadingExample]:
    found = []
    for i in range(12):
        passage = f"The colour of house {i} is number {i + 30}. Its garden has {i + 60} trees."
        answer = str(i + 60)
        start = passage.index(answer)
        found.append(ReadingExample(str(i), f"t{i}", f"Trees of house {i}?", passage, (answer,), start))
    return found


@pytest.fixture(scope="module")
def squad_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    articles = []
    for title in range(40):
        for record in examples():
            answer = {"text": record.answers[0], "answer_start": record.answer_start}
            qa = {"id": record.id, "question": record.question, "answers": [answer]}
            articles.append(
                {"title": f"article {title}", "paragraphs": [{"context": record.passage, "qas": [qa]}]}
            )
    path = tmp_path_factory.mktemp("squad") / "train.json"
    path.write_text(json.dumps({"data": articles}))
    return path


def test_reader_then_generator_are_trained_and_load_again(
    tmp_path: Path, tiny_encoder: Path, squad_file: Path
) -> None:
    settings = ReaderSettings(loop=LOOP, pairs=PAIRS, model=str(tiny_encoder), frozen_layers=1)
    result = train_reader([squad_file], tmp_path / "reader", settings)
    assert result.steps == 4 and {"exact", "f1"} <= result.scores.keys()
    reader = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "reader" / "model")
    start = AutoModelForQuestionAnswering.from_pretrained(tiny_encoder).state_dict()
    moved = {name for name, tensor in reader.state_dict().items() if not torch.equal(tensor, start[name])}
    assert moved and not any("embeddings" in name or "layer.0." in name for name in moved)

    written = train_generator(
        [squad_file],
        tmp_path / "generator",
        tmp_path / "reader" / "model",
        GeneratorSettings(loop=LOOP, pairs=PAIRS, trained_layers=1),
    )
    assert written.steps == 4
    generator = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "generator" / "model")
    reading = reader.bert.state_dict()
    for name, tensor in generator.encoder.bert.state_dict().items():
        assert torch.equal(tensor, reading[name]) == ("layer.1." not in name), name
    assert "lean" not in str(generator.config.to_dict())


def test_a_reader_trained_for_int8_is_a_plain_one_whose_weights_lie_on_the_grid(
    tmp_path: Path, tiny_encoder: Path, squad_file: Path
) -> None:
    settings = ReaderSettings(loop=LOOP, pairs=PAIRS, model=str(tiny_encoder), dropout=0.1, int8=True)
    train_reader([squad_file], tmp_path / "reader", settings)
    reader = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "reader" / "model")
    for name, weight in reader.bert.encoder.named_parameters():
        if name.endswith("dense.weight"):
            steps = weight / (weight.abs().amax(1, keepdim=True) / 127)
            assert torch.allclose(steps, steps.round(), atol=1e-3), name


def test_dropout_draws_in_training_alone(tiny_encoder: Path) -> None:
    reader, _ = build_reader(str(tiny_encoder), dropout=0.5)
    generator, _ = build_generator(tiny_encoder, GeneratorSettings(dropout=0.5))
    ids = torch.arange(101, 121)[None]
    for encoder in (reader.bert, generator.encoder.bert):
        with torch.no_grad():
            drawn = [encoder.train()(ids).last_hidden_state for _ in range(2)]
            same = [encoder.eval()(ids).last_hidden_state for _ in range(2)]
        assert not torch.equal(*drawn) and torch.equal(*same)


@pytest.mark.row(105)
def test_the_readers_loss_is_that_of_transformers(
    tiny_encoder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForQuestionAnswering.from_pretrained(tiny_encoder).eval()
    train, held = reading_sets(tokenizer, examples(), examples()[:2], PAIRS)
    recipe = ReaderRecipe(model, train, held, ReaderSettings(loop=LOOP, pairs=PAIRS))
    batch = [train.windows(at)[0] for at in range(4)] + [train.windows(0, passage=5)[0]]
    pairs = train.collate(batch)
    targets = torch.tensor([recipe._target(window) for window in batch])
    assert targets[:4].min() > 0 and targets[4].tolist() == [0, 0]
    masked = recipe.step(model, batch)["loss"]
    # transformers lets an answer stand in the question and in the padding, ours does not.
    pairs.allowed[:] = True
    monkeypatch.setattr(train, "collate", lambda windows: pairs)
    theirs = model(
        input_ids=pairs.input_ids,
        attention_mask=pairs.attention_mask,
        token_type_ids=pairs.token_type_ids,
        start_positions=targets[:, 0],
        end_positions=targets[:, 1],
    ).loss
    assert recipe.step(model, batch)["loss"].item() == pytest.approx(theirs.item(), abs=1e-6)
    assert masked < theirs


def test_labels_are_copies_free_words_or_silence(tiny_encoder: Path, tokenizer: Any) -> None:
    settings = GeneratorSettings(loop=LOOP, pairs=PAIRS)
    model, _ = build_generator(tiny_encoder, settings)
    free = ReadingExample("f", "t", "How?", "It grew slowly.", ("in peace",), -1)
    train, held = reading_sets(tokenizer, [*examples(), free], examples()[:2], PAIRS)
    recipe = GeneratorRecipe(model, tokenizer, train, held, settings)
    windows = [train.windows(0)[0], train.windows(12)[0], train.windows(0, passage=3)[0]]
    rows = [tokenizer.decode([t for t in row if t >= 0]) for row in recipe.labels(windows).tolist()]
    assert rows == ["60 [SEP]", "in peace [SEP]", "[SEP]"]
    assert recipe.learning_rate_scale("encoder.bert.layer") < recipe.learning_rate_scale("encoder.next_key")


def test_half_the_rows_are_cut_first(tiny_encoder: Path, tokenizer: Any) -> None:
    settings = GeneratorSettings(loop=LOOP, pairs=PAIRS)
    model, _ = build_generator(tiny_encoder, settings)
    train, held = reading_sets(tokenizer, examples(), examples()[:2], PAIRS)
    recipe = GeneratorRecipe(model, tokenizer, train, held, settings)
    rows = [window for batch in recipe.batches(0) for window in batch]
    cut = [window.end - window.begin <= PAIRS.crop_tokens for window in rows]
    assert cut == sorted(cut, reverse=True) and sum(cut) == len(cut) // 2
    own = [window.example for window in rows if window.answer is not None]
    assert sorted(own) == list(range(12)) and len(rows) == 18
    assert recipe.batches(0) == recipe.batches(0) != recipe.batches(1)


def test_lean_attention_equals_eager(tiny_encoder: Path, tokenizer: Any) -> None:
    model = AutoModelForQuestionAnswering.from_pretrained(tiny_encoder, attn_implementation="eager").eval()
    inputs = tokenizer(
        ["one short text", "a text that has a few more words in it"], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        eager = model(**inputs).start_logits
        register_lean_attention()
        model.set_attn_implementation(LEAN_ATTENTION)
        lean = model(**inputs).start_logits
    mask = inputs["attention_mask"].bool()
    torch.testing.assert_close(lean[mask], eager[mask], atol=1e-5, rtol=1e-5)


def test_shipped_int8_reader_is_a_starting_point(tmp_path: Path, tiny_encoder: Path, tokenizer: Any) -> None:
    save_stored(AutoModelForQuestionAnswering.from_pretrained(tiny_encoder), tmp_path)
    tokenizer.save_pretrained(tmp_path)
    stored = load_stored(AutoModelForQuestionAnswering, tmp_path).bert.state_dict()
    reader, _ = build_reader(str(tmp_path), frozen_layers=1)
    generator, _ = build_generator(tmp_path, GeneratorSettings())
    for name, tensor in stored.items():
        assert torch.equal(tensor, reader.bert.state_dict()[name]), name
        assert torch.equal(tensor, generator.encoder.bert.state_dict()[name]), name


def test_missing_reader_is_one_clear_error(tmp_path: Path, squad_file: Path) -> None:
    with pytest.raises(RagkitError, match="not a model to start from"):
        train_generator([squad_file], tmp_path, tmp_path / "missing")


@pytest.mark.parametrize("answer", ["5 % (about €12.50)", "Café-Owner", "U.S.", "the naïve"])
def test_surface_is_the_passage_own_text(tokenizer: Any, answer: str) -> None:
    passage = "Then the naïve Café-Owner paid 5 % (about €12.50) more than the U.S. average."
    ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
    assert surface_from_passage(tokenizer, [101, *ids, 102], passage) == answer


def test_surface_of_words_not_in_the_passage(tokenizer: Any) -> None:
    ids = tokenizer("he paid 5 % (twelve), didn't he?", add_special_tokens=False)["input_ids"]
    assert surface_from_passage(tokenizer, ids, "Nothing of it.") == "he paid 5% (twelve), didn't he?"
    assert surface_from_passage(tokenizer, [102], "Nothing.") == ""
    assert tidy("well - known ( so to say ) .") == "well-known (so to say)."


def test_scores_are_percentages() -> None:
    scores = mean_scores(["the cat", "", "dog"], [["cat"], [], ["a bird"]])
    assert scores == pytest.approx({"exact": 200 / 3, "f1": 200 / 3})
