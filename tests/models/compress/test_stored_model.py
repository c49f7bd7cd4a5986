"""Stored weights: the error bounds, and models that come back."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    BertConfig,
    BertForQuestionAnswering,
    T5Config,
    T5ForConditionalGeneration,
)

from ragkit.errors import RagkitError
from ragkit.models.compress import int4_storage
from ragkit.models.compress.int8_storage import dequantise, quantise
from ragkit.models.compress.stored_model import KINDS, Kind, file_name, load_stored, save_stored, stored_kind
from ragkit.models.compress.structured import narrowed


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.lists(st.integers(1, 7), min_size=2, max_size=4),
    exponent=st.integers(-3, 3),
)
def test_error_is_at_most_half_a_step(seed: int, shape: list[int], exponent: int) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 10.0**exponent
    values, scale = quantise(weight)
    error = (dequantise(values, scale) - weight).abs().flatten(1).amax(1)
    assert (error <= scale.float() / 2 * (1 + 1e-4)).all()
    assert scale.dtype == torch.float16 and values.dtype == torch.int8


def test_zero_channel_stays_zero() -> None:
    values, scale = quantise(torch.tensor([[0.0, 0.0], [1.0, -2.0]]))
    assert torch.equal(dequantise(values, scale)[0], torch.zeros(2))


@pytest.mark.parametrize("weight", [torch.ones(3), torch.full((2, 2), torch.nan), torch.full((2, 2), 1e9)])
def test_what_cannot_be_stored_is_refused(weight: torch.Tensor) -> None:
    with pytest.raises(ValueError):
        quantise(weight)


def bert() -> BertForQuestionAnswering:
    return BertForQuestionAnswering(
        BertConfig(
            vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
        )
    ).eval()


def test_model_comes_back_and_is_a_quarter_of_the_size(tmp_path: Path) -> None:
    model = bert()
    assert stored_kind(tmp_path) is None
    save_stored(model, tmp_path)
    again = load_stored(AutoModelForQuestionAnswering, tmp_path)
    assert stored_kind(tmp_path) == "int8" and type(again) is type(model) and not again.training
    for name, tensor in model.state_dict().items():
        stored = again.state_dict()[name]
        step = tensor.abs().flatten(1).amax(1).max() / 127 if tensor.ndim > 1 else torch.tensor(0.0)
        assert (stored - tensor).abs().max() <= step / 2 * 1.002 + 1e-7, name
    save_stored(again, tmp_path / "twice")
    twice = load_stored(AutoModelForQuestionAnswering, tmp_path / "twice").state_dict()
    assert all(torch.allclose(twice[n], t, atol=1e-5) for n, t in again.state_dict().items())


def test_tied_weights_are_stored_once_and_tied_again(tmp_path: Path) -> None:
    config = T5Config(
        vocab_size=30, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    save_stored(T5ForConditionalGeneration(config), tmp_path)
    again = load_stored(AutoModelForSeq2SeqLM, tmp_path)
    assert again.lm_head.weight.data_ptr() == again.shared.weight.data_ptr()


def test_damage_is_one_clear_error(tmp_path: Path) -> None:
    save_stored(bert(), tmp_path)
    path = tmp_path / file_name("int8")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RagkitError, match="not a stored model"):
        load_stored(AutoModelForQuestionAnswering, tmp_path)


def test_other_configuration_is_refused(tmp_path: Path) -> None:
    save_stored(bert(), tmp_path)
    config = BertConfig(vocab_size=31, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    config.architectures = ["BertForQuestionAnswering"]
    config.save_pretrained(tmp_path)
    with pytest.raises(RagkitError, match="do not belong together"):
        load_stored(AutoModelForQuestionAnswering, tmp_path)


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000), rows=st.integers(1, 5), groups=st.integers(1, 4), exponent=st.integers(-3, 3)
)
def test_int4_error_is_at_most_half_a_step_of_its_group(
    seed: int, rows: int, groups: int, exponent: int
) -> None:
    weight = torch.randn(rows, 32 * groups, generator=torch.Generator().manual_seed(seed)) * 10.0**exponent
    stored = int4_storage.quantise(weight)
    error = (int4_storage.dequantise(stored) - weight).abs().unflatten(1, (-1, 32)).amax(2)
    assert (error <= stored.scale.float() / 2 * (1 + 1e-4)).all()
    assert stored.bytes == weight.numel() * (0.5 + 2 / 32)
    with pytest.raises(ValueError, match="groups of 32"):
        int4_storage.quantise(weight[:, 1:])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_comes_back_and_is_as_small_as_it_says(kind: Kind, tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=64, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96
    )
    model = BertForQuestionAnswering(config).eval()
    save_stored(model, tmp_path, kind)
    again = load_stored(AutoModelForQuestionAnswering, tmp_path)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        wanted, found = model(ids).start_logits, again(ids).start_logits
    close = {"float32": 1e-6, "int8": 0.03, "int4": 0.5}[kind]
    assert (found - wanted).abs().max() <= close * wanted.std()
    assert stored_kind(tmp_path) == kind
    numbers = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    others = sum(p.numel() for p in model.parameters() if p.ndim == 1)
    each = {"float32": 4, "int8": 1 + 2 / 64, "int4": 0.5 + 2 / 32}[kind]
    assert (tmp_path / file_name(kind)).stat().st_size == pytest.approx(each * numbers + 4 * others, rel=0.15)


def test_a_pruned_layer_comes_back_narrow(tmp_path: Path) -> None:
    model = bert()
    layer = model.bert.encoder.layer[0]
    (layer.intermediate.dense,), layer.output.dense = narrowed(
        [layer.intermediate.dense], layer.output.dense, torch.tensor([1, 4, 6])
    )
    save_stored(model, tmp_path, "float32")
    again = load_stored(AutoModelForQuestionAnswering, tmp_path)
    assert again.bert.encoder.layer[0].output.dense.in_features == 3
    ids = torch.arange(9)[None]
    with torch.no_grad():
        assert torch.equal(again(ids).start_logits, model(ids).start_logits)
