"""Dense Passage Retrieval's two towers (Karpukhin et al. 2020, https://arxiv.org/abs/2004.04906)."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.encoders.batches import token_budget_batches
from ragkit.encoders.encoder import Similarity, Vectors
from ragkit.encoders.hashing import hash_json, hash_tokenizer, hash_weights
from ragkit.encoders.hub import loading, model_folder
from ragkit.encoders.passport import CANARY_PASSAGES, CANARY_QUESTIONS, Passport
from ragkit.errors import RagkitError

TOKENS_A_BATCH = 4096
"""Measured on a CPU: above it every layer's tensors are mapped and unmapped anew (14 % slower)."""


class DprEncoder:
    """A `DPRQuestionEncoder` and a `DPRContextEncoder` checkpoint, each a folder or hub id.

    A question is [CLS] question [SEP]; a passage [CLS] title [SEP] text [SEP], all of segment 0 as the towers
    were trained; its vector is the pooler's output, and the score of a pair the inner product (equation 1).
    """

    similarity: Similarity = "inner_product"

    def __init__(self, question_spec: str | Path, context_spec: str | Path) -> None:
        from transformers import DPRContextEncoder, DPRQuestionEncoder

        self.name = f"dpr:{question_spec},{context_spec}"
        self.questions = Tower(DPRQuestionEncoder, question_spec)
        self.contexts = Tower(DPRContextEncoder, context_spec)
        if self.questions.dimension != self.contexts.dimension:
            raise RagkitError(
                f"{question_spec} gives {self.questions.dimension} dimensions and {context_spec} "
                f"{self.contexts.dimension}: the two are not towers of one encoder"
            )

    @property
    def dimension(self) -> int:
        return self.contexts.dimension

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that cuts passages into tokens."""
        return self.contexts.tokenizer

    def encode_questions(self, questions: Sequence[str]) -> Vectors:
        return self.questions.encode([(question,) for question in questions])

    def encode_passages(self, passages: Sequence[tuple[str, str]]) -> Vectors:
        from ragkit.runtime.precision import native_precision

        with native_precision(self.contexts.model.device):
            return self.contexts.encode([(title, text) if title else (text,) for title, text in passages])

    def passport(self) -> Passport:
        return self._passport

    @cached_property
    def _passport(self) -> Passport:
        towers = (self.questions, self.contexts)
        canaries = np.concatenate(
            [self.encode_questions(CANARY_QUESTIONS), self.encode_passages(CANARY_PASSAGES)]
        )
        return Passport(
            name=self.name,
            dimension=self.dimension,
            similarity=self.similarity,
            weights=hash_weights(*(tower.model for tower in towers)),
            tokenizer=hash_json([hash_tokenizer(tower.tokenizer, tower.limit) for tower in towers]),
            pooling=hash_json("DPR pooler output, title [SEP] text"),
            canaries=tuple(tuple(round(float(x), 6) for x in vector) for vector in canaries),
        )


class Tower:
    """One of the two transformers with its tokenizer."""

    def __init__(self, model_class: Any, spec: str | Path) -> None:
        import torch
        from transformers import AutoConfig, AutoTokenizer

        folder = model_folder(spec)
        with loading(spec, f"a {model_class.__name__}"):
            model_type = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
            if model_type != "dpr":
                raise RagkitError(f"{spec} is a {model_type} model, not a DPR checkpoint")
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model, info = model_class.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        if info["missing_keys"]:
            raise RagkitError(
                f"{spec} holds no {model_class.__name__}: the order is dpr:QUESTION,CONTEXT "
                f"(missing: {sorted(info['missing_keys'])[0]} and {len(info['missing_keys']) - 1} more)"
            )
        self.model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self.limit = min(int(model.config.max_position_embeddings), int(self.tokenizer.model_max_length))
        self.dimension = int(model.config.projection_dim or model.config.hidden_size)

    def encode(self, texts: Sequence[tuple[str, ...]]) -> Vectors:
        """Vectors of (text,) or (title, text), shape (len(texts), dimension)."""
        import torch

        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        tokens = [
            self.tokenizer(*text, truncation=True, max_length=self.limit, return_token_type_ids=False)
            for text in texts
        ]
        lengths = [len(one["input_ids"]) for one in tokens]
        with torch.inference_mode():
            for batch in token_budget_batches(lengths, TOKENS_A_BATCH):
                padded = self.tokenizer.pad([tokens[i] for i in batch], return_tensors="pt")
                output = self.model(**padded.to(self.model.device))
                vectors[batch] = output.pooler_output.float().cpu().numpy()
        return vectors
