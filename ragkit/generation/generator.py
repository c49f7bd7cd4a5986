"""What a generator is to RAG: it reads prompts once, then tells the probabilities of what follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, Self

import torch
from torch import Tensor

from ragkit.corpus.document import Passage

ELEMENTS = 2**26
"""Most logits held at once while answers are scored (256 MiB in float32)."""

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An answer found by search, and log p of each of its tokens after those before it."""

    tokens: Tokens
    log_p: tuple[float, ...]


class Reading(Protocol):
    """Prompts as the model has read them, and the answers begun on them: one row each.

    The expensive part (encoder states, or the prompt's keys and values) is computed when the reading is
    made and never again.
    """

    logits: Tensor
    """Of the first answer token, (rows, vocabulary): log p up to a constant a row."""
    shares: bool
    """Whether rows that have read the same prompt share it where every prompt has as many rows, side by side
    (see `even`). If not, a selection copies the prompt for each row, unless all rows are of one prompt."""

    def select(self, rows: Tensor) -> Self:
        """A reading of its own with these rows, in this order; rows may come several times."""
        ...

    def reorder(self, rows: Tensor) -> None:
        """Row i continues what row rows[i] wrote. Both must have read the same prompt."""
        ...

    def extend(self, tokens: Tensor) -> Tensor:
        """Appends tokens (rows, t) to the answers; the logits after each, (rows, t, vocabulary)."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a model's answers end.

    Attributes:
        stops: tokens that end an answer; they are its last token and count in its probability.
        forced: the token that search must end on when the length limit is reached (BART), if any.
        length_penalty: beams are ranked by log p / length ** length_penalty, as in transformers.
        counted: tokens that the model's prefix adds to that length (a forced BOS).
        margin: hypotheses that rank lower than a group's best by more than this are dropped, and search ends
            sooner. An answer dropped for every one of k passages is less likely than the best one by a factor
            of exp(margin) / k at least, so that with margin > log k no winner is lost. Infinite, as in
            transformers, where lengths are penalised.
        empty_is_none: the model was taught to write nothing where the passage does not hold the answer.
    """

    stops: tuple[int, ...]
    forced: int | None = None
    length_penalty: float = 1.0
    counted: int = 0
    margin: float = float("inf")
    empty_is_none: bool = False


class Generator(Protocol):
    """A language model that writes answers: see `Seq2SeqGenerator`, `CausalGenerator`."""

    ending: Ending

    def read(
        self, questions: Sequence[str], passages: Sequence[Passage], answer_tokens: int
    ) -> tuple[Reading, list[int]]:
        """Reads a prompt a (question, passage) pair, each once.

        Room for `answer_tokens` is left in the model's window. Returns the reading, and how many tokens
        were cut from each passage so that its prompt fits.

        Raises RagkitError where a question alone does not fit, or the answer's length does not.
        """
        ...

    def text(self, answer: Tokens, passage: Passage) -> str:
        """The tokens as text, without what marks the end, spelled as in the passage where that is known."""
        ...


def token_log_likelihoods(reading: Reading, rows: Sequence[int], answers: Sequence[Tokens]) -> Tensor:
    """log p(y_t | x, z, y_<t) of every token of answer i given the prompt of row rows[i].

    Args:
        rows: (n,) rows of `reading`, in any order, each as often as wanted.
        answers: n token sequences, none empty.

    Returns (n, longest) float64, 0 behind an answer's end; the sum over a row is log p(y|x,z).
    """
    lengths = [len(answer) for answer in answers]
    found = torch.zeros(len(answers), max(lengths), dtype=torch.float64)
    vocabulary = reading.logits.shape[-1]
    for _, together in groupby(
        sorted(range(len(answers)), key=lambda i: (rows[i], -lengths[i])),
        lambda i: None if reading.shares else rows[i],
    ):
        waiting = list(together)
        while waiting:
            longest = max(map(lengths.__getitem__, waiting))
            size = max(1, ELEMENTS // (longest * vocabulary))
            chunk, waiting = waiting[:size], waiting[size:]
            chunk = [chunk[i] for i in even([rows[i] for i in chunk])]
            tokens = torch.zeros(len(chunk), longest, dtype=torch.long)
            for at, i in enumerate(chunk):
                tokens[at, : lengths[i]] = torch.tensor(answers[i])
            scores = _teacher_forced(reading, torch.tensor([rows[i] for i in chunk]), tokens)
            for at, i in enumerate(chunk):
                found[i, : lengths[i]] = scores[at, : lengths[i]]
    return found


def even(prompts: Sequence[int]) -> list[int]:
    """Places in `prompts`, which are sorted, such that each prompt has as many: its last one is repeated."""
    of_prompt = [list(places) for _, places in groupby(range(len(prompts)), prompts.__getitem__)]
    most = max(map(len, of_prompt))
    return [place for places in of_prompt for place in places + places[-1:] * (most - len(places))]


def _teacher_forced(reading: Reading, rows: Tensor, tokens: Tensor) -> Tensor:
    """(n, t) float64: log p of each token after those before it. No token sees what is behind an end."""
    rows, tokens = rows.to(reading.logits.device), tokens.to(reading.logits.device)
    first = _log_probability(reading.logits[rows][:, None], tokens[:, :1])
    if tokens.shape[1] == 1:
        return first.cpu()
    rest = _log_probability(reading.select(rows).extend(tokens[:, :-1]), tokens[:, 1:])
    return torch.cat([first, rest], dim=1).cpu()


def _log_probability(logits: Tensor, tokens: Tensor) -> Tensor:
    chosen = logits.gather(-1, tokens[..., None])[..., 0]
    return chosen.double() - logits.logsumexp(-1).double()
