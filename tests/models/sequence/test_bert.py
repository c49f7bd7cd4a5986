"""BERT against transformers from copied weights, the packaged MiniLM, and the published sizes."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig as TheirConfig
from transformers import BertForMaskedLM, BertForPreTraining

from ragkit.errors import RagkitError
from ragkit.models.sequence.bert import Bert, BertConfig
from ragkit.models.sequence.bert_pretraining import IGNORED, BertForPretraining
from ragkit.models.sequence.bert_weights import (
    from_transformers,
    load_bert,
    load_pretraining,
    read_config,
    save_pretraining,
    to_transformers,
)

SIZES = {
    "vocab_size": 97,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
}


@pytest.mark.row(95)
def test_every_tensor_survives_the_way_there_and_back() -> None:
    with torch.device("meta"):
        theirs = BertForPreTraining(TheirConfig(**SIZES))
    ours = BertForPretraining(read_config(theirs.config.to_dict()))
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    buffers = {name for name, _ in theirs.named_buffers()}
    assert set(to_transformers(ours)) == set(theirs.state_dict()) - tied - buffers
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): t for name, t in theirs.state_dict().items()}
    assert from_transformers(old).keys() == ours.state_dict().keys()


@pytest.mark.row(95)
@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("half", [True, False])
def test_saved_folder_loads_in_transformers_and_here(tmp_path: Path, pairs: bool, half: bool) -> None:
    model = BertForPretraining(BertConfig(97, 24, 3, 4, 40, 20), pairs).eval()
    save_pretraining(model, tmp_path, half)
    again = load_pretraining(tmp_path)
    assert (again.next_head is not None) == pairs
    kind = BertForPreTraining if pairs else BertForMaskedLM
    theirs, problems = kind.from_pretrained(tmp_path, output_loading_info=True, dtype=torch.float32)
    assert not problems["missing_keys"] and not problems["unexpected_keys"]
    tokens = torch.randint(1, 97, (2, 9))
    with torch.no_grad():
        expected = theirs.eval()(tokens)[0]
        assert (again.logits(tokens)[0] - expected).abs().max() < 1e-5
        assert (model.logits(tokens)[0] - expected).abs().max() < (0.05 if half else 1e-5)


@pytest.mark.row(95)
def test_padding_changes_no_vector() -> None:
    model = Bert(BertConfig(97, 24, 3, 4, 40, 20)).double().eval()
    tokens = torch.randint(1, 97, (1, 6))
    padded = torch.cat([tokens, torch.randint(1, 97, (1, 5))], dim=1)
    real = torch.tensor([[1] * 6 + [0] * 5])
    assert (model(padded, real)[:, :6] - model(tokens)).abs().max() < 1e-12


def test_wrong_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RagkitError, match=r"config\.json"):
        load_bert(tmp_path)
    save_pretraining(BertForPretraining(BertConfig(97, 24, 3, 4, 40, 20)), tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"hidden_size": 24', '"hidden_size": 28'))
    with pytest.raises(RagkitError, match="do not fit"):
        load_bert(tmp_path)
    (tmp_path / "config.json").write_text(config.replace('"bert"', '"gpt2"'))
    with pytest.raises(RagkitError, match="gpt2"):
        load_bert(tmp_path)


def test_too_many_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="20 positions"):
        Bert(BertConfig(97, 24, 1, 4, 40, 20))(torch.ones(1, 21, dtype=torch.long))


def test_no_label_is_a_loss_of_zero() -> None:
    model = BertForPretraining(BertConfig(97, 24, 1, 4, 40, 20), next_sentence=False)
    losses = model(torch.ones(2, 5, dtype=torch.long), torch.full((2, 5), IGNORED))
    assert losses.total.item() == 0 and losses.predicted == 0
