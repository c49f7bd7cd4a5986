"""What tells one encoder from every other, so that an index refuses vectors that are not its own."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import numpy as np

from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO

CANARY_QUESTIONS = ("What is the capital of France?", "how do I close a file")
CANARY_PASSAGES = (
    ("Photosynthesis", "Plants turn light, water and carbon dioxide into sugar and oxygen."),
    ("", "The 3rd quarter's revenue rose by 12.5 % to $4,210 million; costs did not."),
)
"""Texts whose vectors every passport carries: two questions and two passages (title, text)."""

TOLERANCE = 0.02
"""Largest |a - b| / |b| between two canary vectors of one encoder: room for another processor's rounding
and for half precision (below 0.01), far below the distance between two trainings of one model."""

LATER = ("questions", "precision", "computed")
"""Fields that older passports lack."""
UNTOLD = ("name", "canaries", "questions", "computed")
"""Fields that the fingerprint leaves out."""


@dataclass(frozen=True)
class Passport:
    """An encoder's identity, JSON all through.

    `weights`, `tokenizer` and `pooling` are SHA-256 sums in hexadecimal of the parameters (names, shapes
    and bytes), of the tokenizer (vocabulary, rules, length limit) and of the modules after the
    transformer with their settings. `canaries` are the vectors of `CANARY_QUESTIONS` and
    `CANARY_PASSAGES`, in this order, rounded to 6 decimals: what the sums cannot see (a changed
    attention, a broken library) shows there.
    """

    name: str
    """How `load_encoder` finds it: "packaged", a folder, a hub id, "dpr:QUESTION,CONTEXT"."""
    dimension: int
    similarity: str
    weights: str
    tokenizer: str
    pooling: str
    prompts: dict[str, str] = field(default_factory=dict)
    """What is put before a text: {"question": ..., "passage": ...}."""
    canaries: tuple[tuple[float, ...], ...] = ()
    questions: str = ""
    """SHA-256 of the weights of a question tower that was trained for this very passage tower, which stayed
    as it was: then all sums above are of the passage tower. Empty for any other encoder."""
    precision: str = ""
    """"int8" where OpenVINO computed vectors in it, "onnx int8" where ONNX Runtime did, in other steps; empty
    for single precision and bfloat16, which agree."""
    computed: str = ""
    """Runtime and precision of passages, and the exported model's name in the cache: "openvino bf16 2f0c...".
    For people: it tells no encoder from another."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal of all that decides a passage's vector."""
        parts = {k: v for k, v in asdict(self).items() if k not in UNTOLD}
        if not self.precision:  # as it was before there was a choice
            del parts["precision"]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def choice(self) -> tuple[str, str]:
        """Runtime and precision that `load_encoder` needs to give these vectors."""
        runtime, _, precision = self.precision.rpartition(" ")
        return runtime or AUTO, precision or AUTO

    def disagreement(self, other: Self) -> str | None:
        """One line that names both encoders and what differs between them; None where they are the same.

        Two that differ only in `questions` are: passages' vectors of the one are those of the other.
        """
        differs = [
            f"{label} {mine} and {theirs}"
            for label, mine, theirs in (
                ("dimensions", self.dimension, other.dimension),
                ("similarities", self.similarity, other.similarity),
                ("weights", self.weights[:12], other.weights[:12]),
                ("tokenizers", self.tokenizer[:12], other.tokenizer[:12]),
                ("pooling", self.pooling[:12], other.pooling[:12]),
                ("prompts", self.prompts, other.prompts),
                ("precision", self.precision or "float", other.precision or "float"),
            )
            if mine != theirs
        ]
        if not differs and (distance := self._canary_distance(other)) > TOLERANCE:
            differs = [f"vectors of the same texts (relative distance {distance:.3f})"]
        if not differs:
            return None
        return f"encoder {self.name!r} is not encoder {other.name!r}: they differ in {'; '.join(differs)}"

    def _canary_distance(self, other: Self) -> float:
        first = 0 if self.questions == other.questions else len(CANARY_QUESTIONS)
        mine, theirs = np.array(self.canaries[first:]), np.array(other.canaries[first:])
        if mine.shape != theirs.shape:
            return float("inf")
        if not mine.size:
            return 0.0
        scale = np.maximum(np.linalg.norm(theirs, axis=1), 1e-12)
        return float((np.linalg.norm(mine - theirs, axis=1) / scale).max())

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Back from `to_json`. Raises RagkitError where a field is missing or of the wrong type."""
        try:
            values = {f.name: data[f.name] for f in fields(cls) if f.name not in LATER}
            values["dimension"] = int(values["dimension"])
            values["prompts"] = {str(k): str(v) for k, v in values["prompts"].items()}
            values["canaries"] = tuple(tuple(float(x) for x in vector) for vector in values["canaries"])
            values |= {name: str(data.get(name, "")) for name in LATER}
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RagkitError(
                f"the encoder's passport is damaged ({type(error).__name__}: {error}): build the index anew"
            ) from error
