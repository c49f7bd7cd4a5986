"""int8 storage: the error bound, and models that come back."""

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
from ragkit.models.compress.int8_storage import (
    FILE_NAME,
    dequantise,
    is_quantised,
    load_quantised,
    quantise,
    save_quantised,
)


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
    assert not is_quantised(tmp_path)
    save_quantised(model, tmp_path)
    again = load_quantised(AutoModelForQuestionAnswering, tmp_path)
    assert is_quantised(tmp_path) and type(again) is type(model) and not again.training
    for name, tensor in model.state_dict().items():
        stored = again.state_dict()[name]
        step = tensor.abs().flatten(1).amax(1).max() / 127 if tensor.ndim > 1 else torch.tensor(0.0)
        assert (stored - tensor).abs().max() <= step / 2 * 1.002 + 1e-7, name
    save_quantised(again, tmp_path / "twice")
    twice = load_quantised(AutoModelForQuestionAnswering, tmp_path / "twice").state_dict()
    assert all(torch.allclose(twice[n], t, atol=1e-5) for n, t in again.state_dict().items())


def test_tied_weights_are_stored_once_and_tied_again(tmp_path: Path) -> None:
    config = T5Config(
        vocab_size=30, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    save_quantised(T5ForConditionalGeneration(config), tmp_path)
    again = load_quantised(AutoModelForSeq2SeqLM, tmp_path)
    assert again.lm_head.weight.data_ptr() == again.shared.weight.data_ptr()


def test_damage_is_one_clear_error(tmp_path: Path) -> None:
    save_quantised(bert(), tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RagkitError, match="not a stored model"):
        load_quantised(AutoModelForQuestionAnswering, tmp_path)


def test_other_configuration_is_refused(tmp_path: Path) -> None:
    save_quantised(bert(), tmp_path)
    config = BertConfig(vocab_size=31, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    config.architectures = ["BertForQuestionAnswering"]
    config.save_pretrained(tmp_path)
    with pytest.raises(RagkitError, match="do not belong together"):
        load_quantised(AutoModelForQuestionAnswering, tmp_path)
