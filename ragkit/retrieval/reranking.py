"""The best passages of a search read again, by a model that reads question and passage together.

Retrieval and reranker each give a passage z a log-odds, s / T of the search mode's score s and temperature T
(`temperature`), and r of the cross-encoder; a conditional logit joins them as the hybrid's sides are joined
(`fusion`), on the mode's own scale:

    s' = T (a s / T + w r)

so that the softmax of s' / T is again p(z|x). With a = w = 1 these are the log-odds before and after the
evidence of reading, by Bayes' rule; `ranking.json` beside a model's weights holds the a and w of each mode
that fit training splits best (`python -m eval.fusion.fit_rerank`).

Only the best `depth` passages are read. One that was not counts as the worst of those that were: it stays
below all of them, and the order of the unread is retrieval's.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ragkit.corpus.document import Passage
from ragkit.encoders.hub import loading, model_folder, whole_model
from ragkit.encoders.sentence import passage_text
from ragkit.errors import RagkitError
from ragkit.retrieval.pair_scores import PairScorer
from ragkit.retrieval.temperature import TEMPERATURES
from ragkit.runtime.precision import AUTO

PACKAGED = "packaged"
WEIGHTS = Path(__file__).parents[1] / "weights" / "reranker"
WEIGHTS_FILE = "ranking.json"
DEPTH = 30
"""Passages of each search that are read."""

Scores = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Weights:
    """a and w, neither below 0."""

    retrieved: float = 1.0
    reranked: float = 1.0


@dataclass
class Reranker:
    """Scores the best passages of a search anew. Set as `Index.reranker`, it reranks every search.

    Attributes:
        name: as the user named the model.
        depth: passages of each question that are read.
        weights: by search mode; a mode that is missing has the weights 1 and 1.
    """

    scorer: PairScorer
    name: str = PACKAGED
    depth: int = DEPTH
    weights: dict[str, Weights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise RagkitError(f"the reranker's depth is {self.depth}: it reads one passage at least")

    def logits(self, questions: Sequence[str], passages: Sequence[Sequence[Passage]]) -> list[Scores]:
        """r of each question's passages; all questions share the model's batches."""
        pairs = [
            (question, passage_text(passage.title, passage.text))
            for question, of_question in zip(questions, passages, strict=True)
            for passage in of_question
        ]
        ends = np.cumsum([len(of_question) for of_question in passages])
        return np.split(self.scorer.logits(pairs), ends[:-1])

    def rescore(self, mode: str, scores: Scores, logits: Scores) -> Scores:
        """s' of each passage, (n,).

        Args:
            scores: s, (n,), best first.
            logits: r of the first m <= n passages, (m,).
        """
        weights, temperature = self.weights.get(mode, Weights()), TEMPERATURES[mode]
        read = np.full(len(scores), logits.min() if len(logits) else 0.0)
        read[: len(logits)] = logits
        return (
            weights.retrieved * np.asarray(scores, dtype=np.float64) + weights.reranked * temperature * read
        )


def load_reranker(
    spec: str | Path = PACKAGED, depth: int = DEPTH, runtime: str = AUTO, precision: str = AUTO
) -> Reranker:
    """The reranker that `spec` names, on a GPU where there is one.

    "packaged" ships with ragkit; else a folder (of `ragkit train rerank`, of sentence-transformers) or hub id
    of a sequence-classification model with one output. `runtime` and `precision`: how it is computed, as in
    `ragkit.runtime.pairs.PairModel`.

    Raises RagkitError where there is no such model or it does not serve, and where the runtime or the
    precision is not to be had.
    """
    folder = WEIGHTS if str(spec) == PACKAGED else model_folder(spec)
    if str(spec) == PACKAGED and not (folder / "config.json").is_file():
        raise RagkitError(
            f"the packaged reranker is missing from {folder}: reinstall ragkit, or name a model"
        )
    with loading(spec, "a reranker"):
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        model = whole_model(AutoModelForSequenceClassification, folder)
        model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        scorer = PairScorer(model, tokenizer, runtime=runtime, precision=precision)
    return Reranker(scorer, str(spec), depth, _weights(folder))


def _weights(folder: Path) -> dict[str, Weights]:
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["weights"]
        found = {mode: Weights(float(a), float(w)) for mode, (a, w) in content.items()}
        if not all(0 <= value < math.inf for w in found.values() for value in (w.retrieved, w.reranked)):
            raise ValueError("a weight below 0")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RagkitError(f"{path} does not hold weights by search mode: {error}") from error
    return found
