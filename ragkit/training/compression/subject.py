"""The model that is compressed: encoder, reader, reranker or generator, as each is loaded and saved."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.corpus.document import Passage
from ragkit.encoders.hub import model_folder
from ragkit.errors import RagkitError
from ragkit.generation.generator import Tokens
from ragkit.models.compress.stored_model import Kind, file_name, save_stored
from ragkit.runtime.quiet import without_bars
from ragkit.training.checkpoint import save_model
from ragkit.training.compression.writing import forced, written

Role = Literal["encoder", "reader", "reranker", "generator"]
ROLES: tuple[Role, ...] = ("encoder", "reader", "reranker", "generator")
PACKAGED = "packaged"
KEPT = ("ranking.json",)
"""Files of ragkit beside a model that hold for the compressed one, too."""

Example = tuple[str, str]
"""A question and the passage that it is about."""


@dataclass
class Subject:
    """`network` is the transformer proper, which is changed in place; `whole` what was loaded around it."""

    role: Role
    spec: str
    folder: Path
    whole: Any
    network: Any
    tokenizer: Any

    @property
    def device(self) -> torch.device:
        found: torch.device = next(self.network.parameters()).device
        return found

    def to(self, device: torch.device) -> None:
        """Moves all of it that computes."""
        (self.whole if isinstance(self.whole, nn.Module) else self.network).to(device)

    def original(self) -> "Subject":
        """The model as it was, loaded once more."""
        return load_subject(self.spec, self.role)

    @property
    def bytes(self) -> int:
        """Of the weights, in float32."""
        return 4 * weights_of(self.network)

    def answers(self, examples: Sequence[Example]) -> list[Tokens]:
        """What a generator writes, the likeliest token each time; of the other models, nothing."""
        if self.role != "generator":
            return [()] * len(examples)
        return written(self.whole, *_asked(examples))

    def outputs(self, examples: Sequence[Example], answers: Sequence[Tokens] = ()) -> list[Tensor]:
        """What the model says of the examples, differentiable: an encoder's vectors of all their texts
        (n, d), a reader's log p of beginning and end (n, tokens) each, a reranker's logits (n,), a
        generator's log p in the place of each token of the given answers, an example a tensor."""
        if self.role == "encoder":
            texts = [text for question, passage in examples for text in (question, passage) if text]
            return [functional.normalize(self.vectors(texts), dim=-1)]
        if self.role == "generator":
            return forced(self.whole, *_asked(examples), answers)
        questions, passages_ = [q for q, _ in examples], [p for _, p in examples]
        inputs = self.tokenizer(
            questions, passages_, truncation="only_second", max_length=256, padding=True, return_tensors="pt"
        ).to(self.device)
        found = self.network(**inputs)
        if self.role == "reranker":
            return [found.logits.squeeze(-1)]
        hidden = inputs["attention_mask"] == 0
        return [
            logits.masked_fill(hidden, -1e4).log_softmax(-1)
            for logits in (found.start_logits, found.end_logits)
        ]

    def vectors(self, texts: Sequence[str], **how: Any) -> Tensor:
        """An encoder's, (n, d), as its modules give them; `how`: arguments of its `preprocess`."""
        features = self.whole.preprocess(texts, **how)
        there = {k: v.to(self.device) if isinstance(v, Tensor) else v for k, v in features.items()}
        found: Tensor = self.whole(there)["sentence_embedding"]
        return found

    def distance(self, found: list[Tensor], wanted: list[Tensor]) -> Tensor:
        """How far two answers are apart, a scalar: squared distance (vectors, logits), KL (probabilities)."""
        if self.role in ("encoder", "reranker"):
            return (found[0] - wanted[0]).square().sum() / len(found[0])
        if self.role == "generator":
            return _kl(torch.cat(found), torch.cat(wanted))
        pairs = zip(found, wanted, strict=True)
        return torch.stack([_kl(a, b) for a, b in pairs]).sum()

    def agreement(self, found: list[Tensor], wanted: list[Tensor]) -> Tensor:
        """Of each example, how far the answer is the same: cosine of vectors; whether the best span is the
        same, or all that is written; of rerankers, whether each pair is in the same order as the next one."""
        if self.role == "encoder":
            return (found[0] * wanted[0]).sum(-1)
        if self.role == "reranker":
            order = [(x > x.roll(1)) for x in (found[0], wanted[0])]
            return (order[0] == order[1]).double()
        same = [a.argmax(-1) == b.argmax(-1) for a, b in zip(found, wanted, strict=True)]
        if self.role == "generator":
            return torch.stack([tokens.all() for tokens in same]).double()
        return torch.stack(same).all(0).double()

    def save(self, out: Path, kind: Kind, plain: bool) -> Path:
        """Writes the model where `ragkit` loads it from, and returns the file of weights; `plain`: as
        transformers itself reads it."""
        if self.role == "encoder":
            with without_bars():
                self.whole.save(str(out), create_model_card=False)
            if not plain:
                (weights,) = list(out.rglob("model.safetensors"))[:1]
                weights.unlink()
                save_stored(self.network, weights.parent, kind)
                return weights.parent / file_name(kind)
            return next(out.rglob("model.safetensors"))
        out.mkdir(parents=True, exist_ok=True)
        if plain:
            save_model(out, self.network, self.tokenizer)
        else:
            save_stored(self.network, out, kind)
            self.tokenizer.save_pretrained(out)
        for name in KEPT:
            if (self.folder / name).is_file():
                shutil.copy(self.folder / name, out / name)
        return out / ("model.safetensors" if plain else file_name(kind))

    def again(self, out: Path) -> "Subject":
        """What was saved, loaded as a user loads it."""
        return load_subject(str(out), self.role)


def weights_of(network: nn.Module) -> int:
    """How many it has; those that are tied once."""
    return sum(tensor.numel() for tensor in {t.data_ptr(): t for t in network.parameters()}.values())


def _asked(examples: Sequence[Example]) -> tuple[list[str], list[Passage]]:
    questions = [question for question, _ in examples]
    passages = [Passage(str(i), str(i), text, 0, len(text)) for i, (_, text) in enumerate(examples)]
    return questions, passages


def _kl(found: Tensor, wanted: Tensor) -> Tensor:
    return functional.kl_div(found, wanted, reduction="batchmean", log_target=True)


def load_subject(spec: str, role: Role) -> Subject:
    """Raises RagkitError where there is no such model, or none that serves as the role."""
    if role == "encoder":
        from ragkit.encoders.loading import load_encoder, packaged_folder
        from ragkit.encoders.sentence import SentenceEncoder

        encoder = load_encoder(spec, "torch", "fp32")
        if not isinstance(encoder, SentenceEncoder):
            raise RagkitError(
                f"{spec} is not a sentence-transformers model, the only kind that is compressed"
            )
        folder = packaged_folder() if spec == PACKAGED else model_folder(spec)
        model = encoder.model.to("cpu").eval()
        network = getattr(model[0], "model", None)
        if not isinstance(network, nn.Module):
            raise RagkitError(f"{spec} has no single transformer inside: it cannot be compressed")
        return Subject(role, spec, folder, model, network, model.tokenizer)
    if role == "generator":
        from ragkit.generation.loading import WEIGHTS, load_generator

        generator: Any = load_generator(spec, precision="fp32", runtime="torch")
        folder = WEIGHTS / "generator" if spec == PACKAGED else model_folder(spec)
        return Subject(role, spec, folder, generator, generator.model, generator.tokenizer)
    if role == "reader":
        from ragkit.generation.loading import WEIGHTS, load_reader

        folder = WEIGHTS / "reader" if spec == PACKAGED else model_folder(spec)
        model, tokenizer = load_reader(spec)
        return Subject(role, spec, folder, model, model.to("cpu"), tokenizer)
    from ragkit.retrieval.reranking import WEIGHTS as RERANKER
    from ragkit.retrieval.reranking import load_reranker

    folder = RERANKER if spec == PACKAGED else model_folder(spec)
    scorer = load_reranker(spec).scorer
    return Subject(role, spec, folder, scorer, scorer.model.to("cpu"), scorer.tokenizer)


def role_of(folder: Path) -> Role:
    """What a model's folder says that it is.

    Raises:
        RagkitError: if it says nothing.
    """
    import json

    if (folder / "modules.json").is_file():
        return "encoder"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (name,) = config["architectures"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RagkitError(f"{folder} is neither an index nor a model: say which with --as") from error
    for ending, role in (("QuestionAnswering", "reader"), ("SequenceClassification", "reranker")):
        if str(name).endswith(ending):
            return role  # type: ignore[return-value]
    return "generator"
