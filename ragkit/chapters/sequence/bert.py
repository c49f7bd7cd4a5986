"""Rows 95 and 98, and what rows 96 and 97 have to equal: BERT against transformers from copied weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.sequence.parity import off, stirred
from ragkit.encoders.loading import packaged_folder
from ragkit.models.sequence.bert import Bert, BertConfig
from ragkit.models.sequence.bert_pretraining import IGNORED, BertForPretraining
from ragkit.models.sequence.bert_weights import from_transformers, load_bert, read_config
from ragkit.models.sequence.pooler import Pooler


def theirs_and_ours() -> tuple[Any, BertForPretraining]:
    """A small `BertForPreTraining` with moved weights, and ours with the same; both in evaluation mode."""
    from transformers import BertConfig as TheirConfig
    from transformers import BertForPreTraining as TheirModel

    torch.manual_seed(0)
    config = TheirConfig(
        vocab_size=97, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=40,
        max_position_embeddings=20,
    )  # fmt: skip
    theirs = stirred(TheirModel(config)).eval()
    ours = BertForPretraining(read_config(config.to_dict())).double().eval()
    ours.load_state_dict(from_transformers(theirs.state_dict()))
    return theirs, ours


def padded_batch() -> dict[str, Tensor]:
    """Token ids, mask and segments of four rows, as transformers names them."""
    real = torch.ones(4, 11, dtype=torch.long)
    real[1, 7:] = real[3, 2:] = 0
    return {
        "input_ids": torch.randint(1, 97, (4, 11)) * real,
        "attention_mask": real,
        "token_type_ids": torch.randint(0, 2, (4, 11)),
    }


@torch.no_grad()
def encoder() -> dict[str, float]:
    """Row 95: hidden states at tokens that are not padding; published size; the packaged MiniLM's weights."""
    from transformers import BertModel

    theirs, ours = theirs_and_ours()
    given = padded_batch()
    at_tokens = given["attention_mask"].bool()
    hidden = ours.bert(given["input_ids"], given["attention_mask"], given["token_type_ids"])
    error = off(hidden[at_tokens], theirs.bert(**given).last_hidden_state[at_tokens])

    with torch.device("meta"):
        base: list[nn.Module] = [Bert(BertConfig()), Pooler(768)]
    size = sum(p.numel() for module in base for p in module.parameters())

    folder = packaged_folder()
    tokens = torch.randint(1000, 30000, (3, 16))
    real = torch.ones_like(tokens)
    real[2, 9:] = 0
    weights = real[:, :, None] / real.sum(1)[:, None, None]
    mine = load_bert(folder)(tokens, real)
    other = BertModel.from_pretrained(folder).eval()(tokens, attention_mask=real).last_hidden_state
    cosines = torch.cosine_similarity((mine * weights).sum(1), (other * weights).sum(1))
    at_tokens = real.bool()
    return {
        "error": error,
        "parameters of base": size,
        "MiniLM: cosine off 1": float((cosines - 1).abs().max()),
        "MiniLM: error at tokens": off(mine[at_tokens], other[at_tokens]),
    }


def pretraining_error() -> float:
    """Both losses, both heads' logits and all gradients, off those of `BertForPreTraining`."""
    theirs, ours = theirs_and_ours()
    given = padded_batch()
    tokens, real, segments = given["input_ids"], given["attention_mask"], given["token_type_ids"]
    labels = torch.where(torch.rand(4, 11) < 0.4, tokens, IGNORED)
    following = torch.tensor([0, 1, 1, 0])
    expected = theirs(**given, labels=labels, next_sentence_label=following)
    losses = ours(tokens, labels, real, segments, next_labels=following)
    expected.loss.backward()
    losses.total.backward()
    slopes = from_transformers({name: p.grad for name, p in theirs.named_parameters()})
    errors = [off(losses.total, expected.loss)]
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None, name
        errors.append(off(parameter.grad, slopes[name]))
    token_logits, pair_logits = ours.logits(tokens, real, segments)
    assert pair_logits is not None
    errors.append(off(token_logits[real.bool()], expected.prediction_logits[real.bool()]))
    errors.append(off(pair_logits, expected.seq_relationship_logits))
    return max(errors)


def pooled() -> dict[str, float | list[float]]:
    """Row 98: the pooler, and a small BERT fine-tuned on its vector for 250 steps."""
    theirs, ours = theirs_and_ours()
    given = padded_batch()
    hidden = ours.bert(given["input_ids"], given["attention_mask"], given["token_type_ids"])
    assert ours.pooler is not None
    return {
        "error": off(ours.pooler(hidden), theirs.bert(**given).pooler_output),
        "held-out accuracy of a fine-tuned one": [fine_tuned(seed) for seed in (0, 1, 2)],
    }


def fine_tuned(seed: int) -> float:
    """Which of two words comes first in a sentence of ten? Only [CLS] is asked."""
    torch.manual_seed(seed)
    tokens = torch.randint(10, 30, (2500, 11))
    tokens[:, 0] = 1
    places = torch.rand(2500, 10).argsort(dim=1)[:, :2] + 1
    tokens.scatter_(1, places, torch.tensor([[5, 6]]).expand(2500, 2))
    labels = (places[:, 0] < places[:, 1]).long()
    model = Bert(BertConfig(30, 32, 2, 2, 64, 16, dropout=0.0))
    pooler, head = Pooler(32), nn.Linear(32, 2)
    network = nn.ModuleList([model, pooler, head])
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(250):
        rows = torch.randint(2000, (64,))
        loss = functional.cross_entropy(head(pooler(model(tokens[rows]))), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        said = head(pooler(model.eval()(tokens[2000:]))).argmax(-1)
    return float((said == labels[2000:]).double().mean())
