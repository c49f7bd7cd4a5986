"""BERT weights from and to the folders of transformers (`config.json`, `model.safetensors`). Row 95."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ragkit.errors import RagkitError
from ragkit.models.sequence.bert import Bert, BertConfig
from ragkit.models.sequence.bert_pretraining import BertForPretraining

# Our stem -> theirs; blocks and encoder.layer are numbered alike.
_STEMS = {
    "bert.embeddings.tokens": "bert.embeddings.word_embeddings",
    "bert.embeddings.positions": "bert.embeddings.position_embeddings",
    "bert.embeddings.segments": "bert.embeddings.token_type_embeddings",
    "bert.embeddings.norm": "bert.embeddings.LayerNorm",
    "bert.blocks.N.attention.query": "bert.encoder.layer.N.attention.self.query",
    "bert.blocks.N.attention.key": "bert.encoder.layer.N.attention.self.key",
    "bert.blocks.N.attention.value": "bert.encoder.layer.N.attention.self.value",
    "bert.blocks.N.attention.out": "bert.encoder.layer.N.attention.output.dense",
    "bert.blocks.N.attention_norm": "bert.encoder.layer.N.attention.output.LayerNorm",
    "bert.blocks.N.feed_forward.rise": "bert.encoder.layer.N.intermediate.dense",
    "bert.blocks.N.feed_forward.fall": "bert.encoder.layer.N.output.dense",
    "bert.blocks.N.feed_forward_norm": "bert.encoder.layer.N.output.LayerNorm",
    "pooler.dense": "bert.pooler.dense",
    "masked_head": "cls.predictions",
    "masked_head.dense": "cls.predictions.transform.dense",
    "masked_head.norm": "cls.predictions.transform.LayerNorm",
    "next_head": "cls.seq_relationship",
}
_OURS = {theirs: ours for ours, theirs in _STEMS.items()}
_SIZES = {
    "vocabulary": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "inner": "intermediate_size",
    "positions": "max_position_embeddings",
    "segments": "type_vocab_size",
    "dropout": "hidden_dropout_prob",
    "epsilon": "layer_norm_eps",
    "padding_token": "pad_token_id",
}


def from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of `BertModel`, `BertForMaskedLM` or `BertForPreTraining` under the names of
    `BertForPretraining`; what has no place in it (position numbers, tied copies) is left out."""
    named = {}
    for name, tensor in tensors.items():
        name = name if name.startswith(("bert.", "cls.")) else f"bert.{name}"
        name = re.sub(r"LayerNorm\.(gamma|beta)$", _new_norm_name, name)
        if ours := _renamed(name, _OURS):
            named[ours] = tensor
    return named


def to_transformers(model: BertForPretraining) -> dict[str, Tensor]:
    """The model's state dict under the names of transformers, each tied tensor once."""
    named = {_renamed(name, _STEMS): tensor for name, tensor in model.state_dict().items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in named.items() if name}


def read_config(config: Mapping[str, Any]) -> BertConfig:
    """Sizes from the `config.json` of a BERT.

    Raises:
        RagkitError: if it is of another architecture or another activation.
    """
    kind, activation = config.get("model_type"), config.get("hidden_act", "gelu")
    if kind != "bert" or activation != "gelu" or config.get("is_decoder"):
        raise RagkitError(f"not a BERT encoder with GELU: model_type {kind}, hidden_act {activation}")
    return BertConfig(**{ours: config[theirs] for ours, theirs in _SIZES.items() if theirs in config})


def load_bert(folder: str | Path) -> Bert:
    """The encoder of a transformers or sentence-transformers folder, in evaluation mode.

    Raises:
        RagkitError: if there is no BERT in it, or its weights do not fit its configuration.
    """
    return load_pretraining(folder).bert


def load_pretraining(folder: str | Path, next_sentence: bool | None = None) -> BertForPretraining:
    """Encoder and heads of a folder, in evaluation mode; heads that it lacks start afresh.

    Args:
        next_sentence: whether the model has pooler and pair head; None: if the folder has the pair head.

    Raises:
        RagkitError: if there is no BERT in it, or its weights do not fit its configuration.
    """
    folder = Path(folder)
    try:
        config = read_config(json.loads((folder / "config.json").read_text()))
        found = from_transformers(load_file(folder / "model.safetensors"))
    except (OSError, ValueError, SafetensorError) as error:
        raise RagkitError(f"{folder}: no readable config.json and model.safetensors: {error}") from error
    pairs = "next_head.weight" in found if next_sentence is None else next_sentence
    model = BertForPretraining(config, pairs)
    wanted = model.state_dict()
    missing = [name for name in wanted if name.startswith("bert.") and name not in found]
    other = [name for name in wanted if name in found and found[name].shape != wanted[name].shape]
    if missing or other:
        raise RagkitError(f"{folder}: the weights do not fit config.json, first {(missing + other)[0]}")
    model.load_state_dict({name: found.get(name, tensor) for name, tensor in wanted.items()})
    return model.eval()


def save_pretraining(model: BertForPretraining, folder: Path, half: bool = False) -> None:
    """Writes what `transformers.AutoModelForMaskedLM`, or `BertForPreTraining`, loads; `half`: bfloat16."""
    config = model.bert.config
    kind = "BertForMaskedLM" if model.next_head is None else "BertForPreTraining"
    record: dict[str, Any] = {theirs: getattr(config, ours) for ours, theirs in _SIZES.items()}
    record |= {"model_type": "bert", "architectures": [kind], "hidden_act": "gelu"}
    record |= {"attention_probs_dropout_prob": config.dropout, "tie_word_embeddings": True}
    record |= {"initializer_range": 0.02, "dtype": "bfloat16" if half else "float32"}
    tensors = to_transformers(model)
    tensors = {name: tensor.bfloat16() if half else tensor.float() for name, tensor in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(record, indent=2) + "\n")


def _renamed(name: str, stems: Mapping[str, str]) -> str | None:
    stem, _, kind = name.rpartition(".")
    number = re.search(r"\.(\d+)\.", stem)
    plain = re.sub(r"\.\d+\.", ".N.", stem)
    if plain not in stems:
        return None
    return (stems[plain].replace(".N.", f".{number[1]}.") if number else stems[plain]) + f".{kind}"


def _new_norm_name(match: re.Match[str]) -> str:
    return "LayerNorm.weight" if match[1] == "gamma" else "LayerNorm.bias"
