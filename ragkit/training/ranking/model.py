"""A cross-encoder to train: sentence-transformers' own class around an encoder made cheap to train."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from torch import Tensor, nn

from ragkit.encoders.hub import first_line
from ragkit.errors import RagkitError
from ragkit.runtime.quiet import without_bars
from ragkit.training.half_precision import HalfPrecision, register_lean_attention
from ragkit.training.starting_point import starting_point

QUESTION_ANSWERING, CLASSIFICATION = "ForQuestionAnswering", "ForSequenceClassification"


def build_cross_encoder(folder: str | Path, max_tokens: int, frozen_layers: int = 0) -> CrossEncoder:
    """A cross-encoder with one output on the encoder of the model in `folder`: a reranker to go on from, or
    an encoder or reader whose head is left behind for a new one.

    Dropout is off and embeddings and the `frozen_layers` lowest layers stay as they are: drawing masks and
    the embeddings' gradient cost more than half of a step on a CPU, and an epoch does not overfit.

    Args:
        max_tokens: of a pair; longer ones are cut from the end of the longer text.

    Raises:
        RagkitError: if there is no such model, or nothing can be built on it.
    """
    with TemporaryDirectory() as start, without_bars():
        model, tokenizer = _classifier(folder)
        model.save_pretrained(start)
        tokenizer.save_pretrained(start)
        cross = CrossEncoder(start, max_length=max_tokens, activation_fn=nn.Identity(), local_files_only=True)
    inner = cross.model
    inner.set_attn_implementation(register_lean_attention())
    for module in cross.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    inner.config.hidden_dropout_prob = inner.config.attention_probs_dropout_prob = 0.0
    inner.base_model.embeddings.requires_grad_(False)
    for layer in inner.base_model.encoder.layer[:frozen_layers]:
        layer.requires_grad_(False)
    return cross


def _classifier(folder: str | Path) -> tuple[Any, Any]:
    from transformers import (
        AutoConfig,
        AutoModel,
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
    )

    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise RagkitError(f"{folder}: not a model to start from: {first_line(error)}") from error
    kind = next(iter(config.architectures or []), "")
    if kind.endswith(CLASSIFICATION) and config.num_labels == 1:
        return starting_point(AutoModelForSequenceClassification, folder)
    auto = AutoModelForQuestionAnswering if kind.endswith(QUESTION_ANSWERING) else AutoModel
    start, tokenizer = starting_point(auto, folder)
    config.num_labels = 1
    model = AutoModelForSequenceClassification.from_config(config)
    if not hasattr(model.base_model, "encoder") or not hasattr(model.base_model, "embeddings"):
        raise RagkitError(
            f"{folder}: a {config.model_type} is no encoder of BERT's kind to build a reranker on"
        )
    model.base_model.load_state_dict(
        start.base_model.state_dict(), strict=False
    )  # a new pooler may be missing
    return model.float(), tokenizer


class HalfPrecisionScores(HalfPrecision):
    """The cross-encoder in bfloat16 with float32 weights, as sentence-transformers' losses call it."""

    model: CrossEncoder

    @property
    def device(self) -> torch.device:
        return self.model.device

    def preprocess(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        return self.model.preprocess(*args, **kwargs)

    def forward(self, features: dict[str, Any]) -> dict[str, Tensor]:
        """`scores` (pairs, 1), in float32 for the loss."""
        return {"scores": super().forward(features)["scores"].float()}
