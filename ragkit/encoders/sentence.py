"""Any sentence-transformers model as an encoder: prompts, asymmetric towers, its own similarity."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.encoders.batches import token_budget_batches
from ragkit.encoders.encoder import Similarity, Vectors
from ragkit.encoders.hashing import hash_json, hash_tokenizer, hash_weights
from ragkit.encoders.hub import loading, model_folder
from ragkit.encoders.passport import CANARY_PASSAGES, CANARY_QUESTIONS, Passport
from ragkit.encoders.towers import kept_passport, tower
from ragkit.errors import RagkitError

TOKENS_A_BATCH = 4096
"""Measured on a CPU: above it every layer's tensors are mapped and unmapped anew (14 % slower)."""
SIMILARITIES: dict[str, Similarity] = {"cosine": "cosine", "dot": "inner_product"}


class SentenceEncoder:
    """A sentence-transformers folder or hub id, encoded as its own `encode_query` and `encode_document` do.

    Scoring follows the model: `similarity_fn_name` "cosine" gives vectors of length one, "dot" the vectors
    as they are. A passage is put as "title text", the way BEIR's sets are measured. Weights are used in
    single precision, for passages in bfloat16 where the processor multiplies it natively; texts longer than
    the model's limit are cut there, as the model was trained.

    Raises RagkitError where there is no such model, where its weights are pickled, where it asks for code
    of its own to be run, and where its similarity is not one of inner products.
    """

    def __init__(self, spec: str | Path, name: str | None = None) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        self.name = name or str(spec)
        self._folder = folder = model_folder(spec)
        with loading(self.name, "an encoder"):
            self.model = SentenceTransformer(
                str(folder),
                local_files_only=True,
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            )
        similarity = str(self.model.similarity_fn_name)
        if similarity not in SIMILARITIES:
            raise RagkitError(
                f"{self.name} compares vectors by {similarity} distance: ragkit takes cosine and dot product"
            )
        self._similarity = SIMILARITIES[similarity]

    @property
    def similarity(self) -> Similarity:
        return self._similarity

    @cached_property
    def dimension(self) -> int:
        return self.encode_questions(CANARY_QUESTIONS[:1]).shape[1]

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that cuts passages into tokens."""
        return self.model.tokenizer

    def encode_questions(self, questions: Sequence[str]) -> Vectors:
        return self._encode(self.model.encode_query, questions)

    def encode_passages(self, passages: Sequence[tuple[str, str]]) -> Vectors:
        texts = [passage_text(title, text) for title, text in passages]
        from ragkit.models.precision import native_precision

        with native_precision(self.model.device):
            return self._encode(self.model.encode_document, texts)

    def passport(self) -> Passport:
        return self._passport

    @cached_property
    def _passport(self) -> Passport:
        prompts = self.model.prompts
        passage_prompt = next((prompts[n] for n in ("document", "passage", "corpus") if n in prompts), "")
        canaries = np.concatenate(
            [self.encode_questions(CANARY_QUESTIONS), self.encode_passages(CANARY_PASSAGES)]
        )
        kept = kept_passport(self._folder)
        model = self.model if kept is None else tower(self.model, "document")
        own = Passport(
            name=self.name,
            dimension=self.dimension,
            similarity=self.similarity,
            weights=hash_weights(model),
            tokenizer=hash_tokenizer(model[0].tokenizer, getattr(model[0], "max_seq_length", None)),
            pooling=hash_json([describe(module) for module in model] + [self.model.truncate_dim]),
            prompts={"question": prompts.get("query", ""), "passage": passage_prompt},
            canaries=tuple(tuple(round(float(x), 6) for x in vector) for vector in canaries),
            questions="" if kept is None else hash_weights(tower(self.model, "query")),
        )
        if kept is not None and (difference := own.disagreement(kept)):
            raise RagkitError(f"{self.name} was changed since its questions were trained: {difference}")
        return own

    def _encode(self, encode: Callable[..., Any], texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        vectors: Vectors | None = None
        for batch in token_budget_batches(self._lengths(texts), TOKENS_A_BATCH):
            encoded = encode(
                [texts[i] for i in batch],
                batch_size=len(batch),
                normalize_embeddings=self._similarity == "cosine",
                show_progress_bar=False,
            )
            if vectors is None:
                vectors = np.empty((len(texts), encoded.shape[1]), dtype=np.float32)
            vectors[batch] = encoded
        assert vectors is not None
        return vectors

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; for a model without a transformers tokenizer a quarter of its characters."""
        from transformers import PreTrainedTokenizerBase

        limit = self.model.max_seq_length
        if isinstance(self.tokenizer, PreTrainedTokenizerBase):
            tokens = self.tokenizer(
                list(texts), truncation=limit is not None, max_length=limit, return_attention_mask=False
            )
            return [len(ids) for ids in tokens["input_ids"]]
        return [min(1 + len(text) // 4, limit or len(text) + 1) for text in texts]


def passage_text(title: str, text: str) -> str:
    """What a passage is to the model."""
    return f"{title} {text}".strip()


def describe(module: Any) -> Any:
    """A module's class and settings as JSON: what distinguishes mean pooling from the first token's."""
    settings = module.get_config_dict() if hasattr(module, "get_config_dict") else {}
    parts = {
        name: [describe(part) for part in route] for name, route in getattr(module, "sub_modules", {}).items()
    }
    return [type(module).__name__, settings, parts]
