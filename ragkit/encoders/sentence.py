"""Any sentence-transformers model as an encoder: prompts, asymmetric towers, its own similarity."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ragkit.encoders.batches import token_budget_batches
from ragkit.encoders.encoder import Similarity, Vectors
from ragkit.encoders.graphs import TowerGraphs, describe
from ragkit.encoders.hashing import hash_json, hash_tokenizer
from ragkit.encoders.hub import loading, model_folder
from ragkit.encoders.passport import CANARY_PASSAGES, CANARY_QUESTIONS, Passport
from ragkit.encoders.pooler import drop_random_pooler
from ragkit.encoders.stored import load_stored_encoder, transformer_folder
from ragkit.encoders.towers import Task, kept_passport, tower
from ragkit.errors import RagkitError
from ragkit.runtime.precision import (
    AUTO,
    PACKAGES,
    GraphRuntime,
    Precision,
    Runtime,
    check_choice,
    graph_runtime,
)

if TYPE_CHECKING:
    from ragkit.encoders.forward import Features, Forward
    from ragkit.encoders.tokens import Tokens

PROMPTS = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""The names under which a model keeps a task's prompt; the first that it has counts."""
SIMILARITIES: dict[str, Similarity] = {"cosine": "cosine", "dot": "inner_product"}
AT_ONCE = 512
"""Texts that are sorted by length together; the next ones are tokenised while the model computes these."""


class SentenceEncoder:
    """A sentence-transformers folder or hub id, encoded as its own `encode_query` and `encode_document` do.

    Scoring follows the model: `similarity_fn_name` "cosine" gives vectors of length one, "dot" the vectors
    as they are. A passage is put as "title text", the way BEIR's sets are measured. Texts longer than the
    model's limit are cut there, as the model was trained.

    Args:
        runtime: "torch", "openvino" or "onnx" (exported once, see `ragkit.runtime`), or "auto": what the
            model was exported to on this machine before, else torch.
        precision: "fp32", "bf16" (not onnx), "int8" (not torch), or "auto": passages in bf16 where the
            processor multiplies it natively. Vectors of bf16 count as those of fp32; int8 has a passport of
            its own.

    Raises RagkitError where there is no such model, where its weights are pickled, where it asks for code
    of its own to be run, where its similarity is not one of inner products, and where the runtime or the
    precision is not to be had.
    """

    def __init__(
        self, spec: str | Path, name: str | None = None, runtime: str = AUTO, precision: str = AUTO
    ) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        self.name = name or str(spec)
        self.runtime, self.precision = runtime, precision
        check_choice(runtime, precision)
        self._folder = folder = model_folder(spec)
        with loading(self.name, "an encoder"):
            if transformer_folder(folder) is not None:
                self.model = load_stored_encoder(folder)
            else:
                self.model = SentenceTransformer(
                    str(folder),
                    local_files_only=True,
                    model_kwargs={"dtype": torch.float32, "use_safetensors": True},
                )
                drop_random_pooler(self.model, folder)
        similarity = str(self.model.similarity_fn_name)
        if similarity not in SIMILARITIES:
            raise RagkitError(
                f"{self.name} compares vectors by {similarity} distance: ragkit takes cosine and dot product"
            )
        self._similarity = SIMILARITIES[similarity]
        self.threads = torch.get_num_threads()
        self._forwards: dict[Task, Forward] = {}
        self._graphs = TowerGraphs(self.model, self._features)
        self._tokens: dict[Task, Tokens | None] = {}

    def using(self, runtime: Runtime, precision: Precision, threads: int | None = None) -> Self:
        """The same model, computed otherwise (a graph on so many cores). Raises as the constructor."""
        check_choice(runtime, precision)
        other = copy(self)
        other.runtime, other.precision, other._forwards = runtime, precision, {}
        other.threads = threads or self.threads
        other.__dict__.pop("_passport", None)
        return other

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
        return self._encode("query", questions)

    def encode_passages(self, passages: Sequence[tuple[str, str]]) -> Vectors:
        return self._encode("document", [passage_text(title, text) for title, text in passages])

    def passport(self) -> Passport:
        return self._passport

    @cached_property
    def _passport(self) -> Passport:
        canaries = np.concatenate(
            [self.encode_questions(CANARY_QUESTIONS), self.encode_passages(CANARY_PASSAGES)]
        )
        computed = self._forwards["document"].name
        kept = kept_passport(self._folder)
        model = self.model if kept is None else tower(self.model, "document")
        own = Passport(
            name=self.name,
            dimension=self.dimension,
            similarity=self.similarity,
            weights=self._graphs.weights(model),
            tokenizer=hash_tokenizer(model[0].tokenizer, getattr(model[0], "max_seq_length", None)),
            pooling=hash_json([describe(module) for module in model] + [self.model.truncate_dim]),
            prompts={"question": self._prompt("query"), "passage": self._prompt("document")},
            canaries=tuple(tuple(round(float(x), 6) for x in vector) for vector in canaries),
            questions="" if kept is None else self._graphs.weights(tower(self.model, "query")),
            precision=_own_precision(computed),
            computed=computed,
        )
        if kept is not None and (difference := own.disagreement(kept)):
            raise RagkitError(f"{self.name} was changed since its questions were trained: {difference}")
        return own

    def _encode(self, task: Task, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        if task not in self._forwards:
            self._forwards[task] = self._forward(task)
        forward = self._forwards[task]
        if len(texts) == 1:
            vectors = forward.one(self._single(task, texts, forward.multiple))
        else:
            vectors = self._in_batches(task, texts, forward)
        if self.model.truncate_dim is not None:
            vectors = np.ascontiguousarray(vectors[:, : self.model.truncate_dim])
        if self._similarity == "cosine":
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def _in_batches(self, task: Task, texts: Sequence[str], forward: "Forward") -> Vectors:
        begun: list[list[int]] = []

        def features() -> "Iterator[Features]":
            starts = range(0, len(texts), AT_ONCE)
            with ThreadPoolExecutor(1) as pool:
                parts = (texts[at : at + AT_ONCE] for at in starts)
                ready = pool.submit(self._prepared, task, next(parts), forward.multiple)
                for at in starts:
                    lengths, batch_of = ready.result()
                    if (part := next(parts, None)) is not None:
                        ready = pool.submit(self._prepared, task, part, forward.multiple)
                    for batch in token_budget_batches(lengths, forward.tokens_a_batch):
                        begun.append([at + row for row in batch])
                        yield batch_of(batch)

        vectors: Vectors | None = None
        for number, found in enumerate(forward(features())):
            if vectors is None:
                vectors = np.empty((len(texts), found.shape[1]), dtype=np.float32)
            vectors[begun[number]] = found
        assert vectors is not None
        return vectors

    def _prepared(
        self, task: Task, texts: Sequence[str], multiple: int
    ) -> "tuple[list[int], Callable[[Sequence[int]], Features]]":
        """Tokens of each text, and what makes a batch of some of them."""
        tokens = self._tokens_of(task)
        if tokens is None:
            return self._lengths(texts), lambda batch: self._features(task, [texts[i] for i in batch])
        rows = tokens.ids(texts)
        return [len(row) for row in rows], lambda batch: tokens.features([rows[i] for i in batch], multiple)

    def _single(self, task: Task, text: Sequence[str], multiple: int) -> "Features":
        """A batch of one text, whose length nobody asks for."""
        tokens = self._tokens_of(task)
        return self._features(task, text) if tokens is None else tokens.features(tokens.ids(text), multiple)

    def _tokens_of(self, task: Task) -> "Tokens | None":
        if task not in self._tokens:
            from ragkit.encoders.tokens import tokens_of

            self._tokens[task] = tokens_of(self.model, task, self._prompt(task))
        return self._tokens[task]

    def _forward(self, task: Task) -> "Forward":
        from ragkit.encoders.forward import TorchForward

        asked = self.runtime in PACKAGES or self.precision == "int8"
        graphs = graph_runtime(self.runtime, self.precision) if asked else self.exported
        if graphs is not None:
            return self._graphs.forward(task, graphs, self._graph_precision, self.threads)
        # A question is short: to halve its numbers gains nothing.
        half = self.precision == "bf16" or (self.precision == AUTO and task == "document")
        return TorchForward(tower(self.model, task), self.model.device, half)

    @property
    def exported(self) -> GraphRuntime | None:
        """What graphs of both towers are on this machine for already, where that is left open."""
        if self.runtime != AUTO or self.model.device.type != "cpu":
            return None
        return self._graphs.there(self._graph_precision)

    @property
    def _graph_precision(self) -> Precision:
        return "bf16" if self.precision == AUTO else self.precision  # type: ignore[return-value]

    def _features(self, task: Task, texts: Sequence[str]) -> dict[str, Any]:
        features: dict[str, Any] = self.model.preprocess(
            list(texts), prompt=self._prompt(task) or None, task=task
        )
        return features

    def _prompt(self, task: Task) -> str:
        prompts = self.model.prompts
        return next((str(prompts[name]) for name in PROMPTS[task] if name in prompts), "")

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


def _own_precision(computed: str) -> str:
    runtime, precision, *_ = computed.split()
    if precision != "int8":
        return ""
    return precision if runtime == "openvino" else f"{runtime} {precision}"


def passage_text(title: str, text: str) -> str:
    """What a passage is to the model."""
    return f"{title} {text}".strip()
