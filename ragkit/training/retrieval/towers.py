"""What is trained of a dual encoder: one tower for both kinds of text, two, or the questions' alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule, Router
from sentence_transformers.sentence_transformer.modules import Normalize
from torch import Tensor, nn

from ragkit.encoders.encoder import Vectors
from ragkit.encoders.loading import load_encoder
from ragkit.encoders.passport import Passport
from ragkit.encoders.sentence import SentenceEncoder
from ragkit.encoders.towers import keep_passport, tower
from ragkit.errors import RagkitError
from ragkit.runtime.quiet import without_bars
from ragkit.training.half_precision import register_lean_attention

TowersName = Literal["shared", "separate", "frozen"]


class StoredVectors(InputModule):
    """A passage tower that stays as it is: each text's vector is looked up, not computed."""

    config_keys: ClassVar[list[str]] = []

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self._dimension = dimension
        self._vectors: dict[str, Tensor] = {}

    def put(self, texts: Sequence[str], vectors: Vectors) -> None:
        self._vectors |= dict(zip(texts, torch.from_numpy(vectors), strict=True))

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, Tensor]:
        """The vectors, (len(inputs), dimension), under the name of a module's output."""
        return {"sentence_embedding": torch.stack([self._vectors[text] for text in inputs])}

    def forward(self, features: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        return features

    def get_embedding_dimension(self) -> int:
        return self._dimension

    def save(self, *_: Any, **__: Any) -> None:
        """Nothing: the tower that these vectors came from is saved instead."""


@dataclass(slots=True)
class Towers:
    """`model` is what is trained; `encoder` is where it starts, in `frozen` also the passage tower."""

    name: TowersName
    encoder: SentenceEncoder
    model: SentenceTransformer
    stored: StoredVectors | None = None

    def put(self, passages: Sequence[tuple[str, str]], texts: Sequence[str]) -> None:
        """Encodes passages once for all, where their tower is frozen."""
        if self.stored is not None:
            self.stored.put(texts, self.encoder.encode_passages(passages))

    def save(self, folder: Path) -> None:
        """Writes a sentence-transformers folder that `load_encoder` reads."""
        model = self.model
        if self.stored is not None:
            asked, passages = tower(model, "query"), tower(self.encoder.model, "document")
            model = _model([Router.for_query_document(list(asked), list(passages))], self.encoder.model)
        with without_bars():
            model.save_pretrained(str(folder), create_model_card=False)
        if self.stored is not None:
            keep_passport(folder, self.encoder.passport())


def build_towers(spec: str, name: TowersName, inner_product: bool = False) -> Towers:
    """The encoder `spec` made ready for training.

    - `shared`: one tower for questions and passages, as the packaged encoder has;
    - `separate`: two, which start alike;
    - `frozen`: two, of which the passages' stays as it is, so that an index of `spec` stays valid.

    `inner_product` scores by the plain inner product, as DPR does, where `spec` scores by cosine.

    Raises:
        RagkitError: if there is no such encoder, or what is asked for cannot be made of it.
    """
    encoder = load_encoder(spec)
    if not isinstance(encoder, SentenceEncoder):
        raise RagkitError(
            f"{spec}: training starts from a sentence-transformers folder or hub id, not from DPR's"
        )
    start = encoder.model
    routed = isinstance(start[0], Router)
    if name == "frozen":
        if inner_product and encoder.similarity == "cosine":
            raise RagkitError(
                "frozen passages keep their vectors, which are compared by cosine: no inner product"
            )
        stored = StoredVectors(encoder.dimension)
        asked = deepcopy(list(tower(start, "query")))
        return Towers(name, encoder, _model([Router.for_query_document(asked, [stored])], start), stored)
    if name == "shared" and routed:
        raise RagkitError(f"{spec} has two towers already: train them separate or frozen")
    modules = list(start)
    if inner_product:
        modules = [module for module in modules if not isinstance(module, Normalize)]
    if name == "separate" and not routed:
        modules = [Router.for_query_document(modules, deepcopy(modules))]
    model = _model(modules, start, "dot" if inner_product else None)
    return Towers(name, encoder, model)


def refuse_rounded(passport: Passport, index: Path) -> None:
    """Raises RagkitError where an index holds int8 vectors, whose questions would be trained alone: that is
    done in floating point, whose vectors the index does not take."""
    if passport.precision:
        raise RagkitError(
            f"{index} holds vectors of {passport.precision}, whose questions cannot be trained alone: train "
            "the passages as well, or build the index with --precision bf16"
        )


def _model(
    modules: list[nn.Module], like: SentenceTransformer, similarity: str | None = None
) -> SentenceTransformer:
    return SentenceTransformer(
        modules=modules,
        prompts=dict(like.prompts),
        similarity_fn_name=similarity or like.similarity_fn_name,
        device=str(like.device),
        local_files_only=True,
    )


@contextmanager
def training_shape(model: SentenceTransformer, max_tokens: int, dropout: bool = False) -> Iterator[None]:
    """Makes training cheap and undoes it: no dropout, frozen word embeddings, short texts, lean attention.

    `dropout` leaves the model's own in place, for a model that learns from it. Drawing its masks and the
    gradient of the embeddings take up to half of a step on a CPU, and an epoch or two do not overfit. What a
    model learns of texts cut at `max_tokens` serves longer ones, too.
    """
    undo: list[Callable[[], None]] = []
    for module in model.modules():
        if isinstance(module, nn.Dropout) and not dropout:
            module.p = 0.0
        if isinstance(module, InputModule) and getattr(module, "max_seq_length", None):
            undo.append(partial(setattr, module, "max_seq_length", module.max_seq_length))
            module.max_seq_length = min(max_tokens, module.max_seq_length)
        transformer = getattr(module, "auto_model", None)
        if transformer is not None:
            transformer.get_input_embeddings().requires_grad_(False)
            if transformer.config.model_type == "bert" and not dropout:
                own = transformer.config._attn_implementation
                transformer.set_attn_implementation(register_lean_attention())
                undo.append(partial(transformer.set_attn_implementation, own))
    try:
        yield
    finally:
        for step in reversed(undo):  # the router first set its towers
            step()
