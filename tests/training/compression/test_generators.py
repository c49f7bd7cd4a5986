"""Generators of each kind made smaller: by distillation along the answers that they write themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn import functional
from transformers import (
    BertConfig,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from ragkit.corpus.document import Passage
from ragkit.generation.generator import token_log_likelihoods
from ragkit.generation.loading import load_generator
from ragkit.generation.pointer_generator import PointerGenerator, PointerGeneratorConfig
from ragkit.models.compress.quantisation_aware import finish, prepare, rows_on_grid
from ragkit.training.compression.models import (
    CompressionSettings,
    compress_model,
    compress_only,
    examples_of,
)
from ragkit.training.compression.subject import load_subject
from ragkit.training.compression.writing import ANSWER_TOKENS, forced, written

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "things", *map(str, range(97))]
VOCABULARY, BEGIN, END = len(WORDS), 2, 3
HELD_OUT = 24
EXAMPLES = examples_of(
    [" ".join(f"{n * p % 97} things" for p in (1, 3, 7, 11, 31)) for n in range(140)], words=24
)


def pointer() -> PreTrainedModel:
    encoder = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    where: Any = {
        "encoder": encoder.to_dict(),
        "decoder_layers": 1,
        "bos_token_id": BEGIN,
        "decoder_start_token_id": BEGIN,
        "eos_token_id": END,
    }
    return PointerGenerator(PointerGeneratorConfig(**where))


def t5() -> PreTrainedModel:
    """Its output layer shares the embeddings' weights."""
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=1,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=END,
        decoder_start_token_id=0,
        tie_word_embeddings=True,
    )
    return T5ForConditionalGeneration(config)


def gpt_neo() -> PreTrainedModel:
    config = GPTNeoConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_layers=1,
        attention_types=[[["global"], 1]],
        num_heads=2,
        intermediate_size=64,
        max_position_embeddings=160,
        initializer_range=0.2,
        bos_token_id=BEGIN,
        eos_token_id=END,
    )
    return GPTNeoForCausalLM(config)


KINDS: dict[str, Callable[[], PreTrainedModel]] = {"pointer": pointer, "t5": t5, "gpt-neo": gpt_neo}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", BEGIN), ("[SEP]", END)],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        eos_token="[SEP]",
        model_max_length=128,
    )
    root = tmp_path_factory.mktemp("generators")
    for name, make in KINDS.items():
        torch.manual_seed(0)
        model = make()
        model.generation_config.eos_token_id = END
        for parameter in model.parameters():  # fresh weights say nearly the same of every token
            parameter.data += 0.15 * torch.randn_like(parameter)
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: root / name for name in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_answers_have_the_probabilities_that_search_gives_them(kind: str, folders: dict[str, Path]) -> None:
    generator: Any = load_generator(str(folders[kind]), precision="fp32")
    questions = [question for question, _ in EXAMPLES[:5]]
    passages = [Passage(str(i), str(i), text, 0, len(text)) for i, (_, text) in enumerate(EXAMPLES[:5])]
    answers = written(generator, questions, passages)
    assert all(1 <= len(answer) <= ANSWER_TOKENS for answer in answers)
    found = forced(generator, questions, passages, answers)
    assert [len(one) for one in found] == [len(answer) for answer in answers]
    assert all(one.requires_grad for one in found)
    reading, _ = generator.read(questions, passages, ANSWER_TOKENS)
    wanted = token_log_likelihoods(reading, range(5), answers)
    for one, answer, of_search in zip(found, answers, wanted, strict=True):
        own = one.detach().gather(1, torch.tensor(answer)[:, None])[:, 0]
        assert torch.allclose(own.double(), of_search[: len(answer)], atol=1e-4)
        # Nothing is likelier at any place than what was written: greedy search.
        assert one.argmax(-1).tolist() == list(answer)


@pytest.mark.parametrize("kind", KINDS)
def test_training_on_the_grid_brings_a_generator_nearer_to_what_it_was(
    kind: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragkit.training.compression.models.HELD_OUT", HELD_OUT)
    settings = CompressionSettings(how="int4", steps=40, batch=8, learning_rate=2e-4)
    subject = load_subject(str(folders[kind]), "generator")
    rows = compress_model(subject, tmp_path / "out", settings, EXAMPLES)
    assert [row.name for row in rows] == ["as it was", "int8, rounded", "without training", "int4, 40 steps"]
    assert rows[0].agreement.mean == 1 and rows[3].bytes < rows[0].bytes / 4
    # The divergence on examples that no training saw, of what is stored.
    compress_only(
        load_subject(str(folders[kind]), "generator"),
        tmp_path / "plain",
        CompressionSettings(how="int4"),
        EXAMPLES,
    )
    original = load_subject(str(folders[kind]), "generator")
    some = EXAMPLES[:16]
    answers = original.answers(some)
    with torch.no_grad():
        wanted = original.outputs(some, answers)
        away = [
            float(original.distance(one.outputs(some, answers), wanted))
            for one in (
                load_subject(str(tmp_path / "plain" / "model"), "generator"),
                load_subject(str(tmp_path / "out" / "model"), "generator"),
            )
        ]
    assert away[1] < 0.9 * away[0]


def test_a_generator_s_hidden_units_are_dropped(folders: dict[str, Path], tmp_path: Path) -> None:
    subject = load_subject(str(folders["t5"]), "generator")
    compress_only(subject, tmp_path / "out", CompressionSettings(how="ffn"), EXAMPLES)
    small: Any = load_generator(str(tmp_path / "out" / "model"))
    assert small.model.decoder.block[0].layer[-1].DenseReluDense.wo.in_features == 32


def test_shared_weights_stay_shared_on_the_grid_and_after_it() -> None:
    torch.manual_seed(0)
    model = t5().eval()
    assert isinstance(model, T5ForConditionalGeneration)
    prepare(model, bits=4, group=32, whole_embeddings=True)
    grid = rows_on_grid(model.shared.parametrizations.weight.original, 4, 32)  # type: ignore[union-attr]
    assert torch.equal(model.shared.weight, grid) and torch.equal(model.lm_head.on_grid(), grid)
    assert len([p for p in model.parameters() if p.shape == grid.shape]) == 1
    ids = torch.arange(5)[None]
    found = model(input_ids=ids, decoder_input_ids=ids).logits
    finish(model)
    assert model.lm_head.weight is model.shared.weight and torch.allclose(
        model.shared.weight, grid, atol=1e-6
    )
    assert torch.allclose(model(input_ids=ids, decoder_input_ids=ids).logits, found, atol=1e-5)
    assert torch.allclose(functional.embedding(ids, grid), model.shared(ids), atol=1e-6)
