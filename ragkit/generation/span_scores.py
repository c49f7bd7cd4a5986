"""The probability of every span of a passage as the answer to a question, from a question-answering model.

With s_i and e_j the scores of beginning at token i and of ending at token j (Devlin et al. 2019, 4.2),

    p(span i..j | x, z) = exp(s_i + e_j) / (exp(s_0 + e_0) + sum over i' <= j' < i' + L of exp(s_i' + e_j'))

where s_0 + e_0, at [CLS], says that the passage z holds no answer. A passage too long for the model is read
through overlapping windows; each token begins a span in one window alone, the one where it stands furthest
from the edge, and the passage holds no answer if none of its windows does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ragkit.corpus.document import Passage
from ragkit.encoders.batches import padded_length, token_budget_batches
from ragkit.encoders.hashing import hash_json, hash_weights
from ragkit.errors import RagkitError
from ragkit.generation.marginal import Logs, log_sum
from ragkit.generation.pair_frame import PairFrame, Tokens
from ragkit.generation.tokenised import TokenisedText, tokenise, windows_of
from ragkit.runtime.precision import AUTO

WINDOW = 384
STRIDE = 128
QUESTION_TOKENS = 64
"""As in training (`ragkit train reader`). Of a longer question the reader sees the beginning."""

Window = tuple[int, int, tuple[Logs, Logs, float]]
"""Tokens [begin, end) of a passage, with their start scores, their end scores and the score of no answer."""


@dataclass(frozen=True, slots=True)
class SpanScores:
    """The spans of one passage under one question.

    Attributes:
        start: scores of beginning at each of the passage's tokens, (n,), as the window that owns it says.
        ends: for each token the scores of ending a span begun there, after 0 .. L-1 more tokens, (n, L);
            -inf where the passage or the window ends before.
        null: the score of no answer.
        log_all: log of the denominator above.
    """

    tokens: TokenisedText
    start: Logs
    ends: Logs
    null: float
    log_all: float

    def log_probability(self, span: tuple[int, int]) -> float:
        """log p(span | x, z) of the first and the last token of a span of at most L tokens."""
        first, last = span
        return float(self.start[first] + self.ends[first, last - first] - self.log_all)

    def best(self, count: int) -> list[tuple[int, int]]:
        """The spans of highest probability, best first; of equal ones the first."""
        scores = (self.start[:, None] + self.ends).ravel()
        order = np.argsort(-scores, kind="stable")[:count]
        places = [divmod(int(at), self.ends.shape[1]) for at in order if np.isfinite(scores[at])]
        return [(first, first + more) for first, more in places]

    def characters(self, span: tuple[int, int], text: str) -> tuple[int, int]:
        """[start, end) of a span in the passage's text, without the white space that tokens begin with."""
        start, end = int(self.tokens.offsets[span[0], 0]), int(self.tokens.offsets[span[1], 1])
        stripped = text[start:end].strip()
        start += text[start:end].find(stripped)
        return start, start + len(stripped)

    def occurrences(self, answer: tuple[int, ...]) -> list[tuple[int, int]]:
        """Where a sequence of tokens stands in the passage, whole and no longer than L."""
        ids, length = self.tokens.ids, len(answer)
        if not 0 < length <= min(len(ids), self.ends.shape[1]):
            return []
        views = np.lib.stride_tricks.sliding_window_view(ids, length)
        return [(int(at), int(at) + length - 1) for at in np.flatnonzero((views == answer).all(axis=1))]


class SpanScorer:
    """Reads passages under questions with a question-answering model.

    Args:
        model: of `AutoModelForQuestionAnswering`'s kind, with start and end scores.
        tokenizer: its fast tokenizer.
        max_answer_tokens: L, the most tokens of a span.
        runtime, precision: as in `PairModel`.

    Raises RagkitError for a tokenizer that does not serve, and as `PairModel`.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        max_answer_tokens: int,
        runtime: str = AUTO,
        precision: str = AUTO,
    ) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise RagkitError("the reader's tokenizer gives no character offsets: it must be a fast one")
        from ragkit.runtime.pairs import PairModel

        self.model, self.tokenizer = model.eval(), tokenizer
        self.max_answer_tokens = max_answer_tokens
        self.frame = PairFrame.of(tokenizer)
        self.window = min(WINDOW, getattr(model.config, "max_position_embeddings", WINDOW))
        self.question_tokens = min(QUESTION_TOKENS, self.window // 2)
        outputs = ("start_logits", "end_logits")
        self._pairs = PairModel(model, tokenizer, outputs, self._identity, runtime, precision)

    def _identity(self) -> str:
        return hash_json([hash_weights(self.model), self.model.config.to_dict()])

    def read(self, pairs: Sequence[tuple[str, Passage]]) -> list[SpanScores]:
        """Scores every span of each passage under its question."""
        texts = list(dict.fromkeys(text for question, passage in pairs for text in (question, passage.text)))
        tokens = dict(zip(texts, tokenise(self.tokenizer, texts), strict=True))
        asked = {question: tokens[question].ids[: self.question_tokens] for question, _ in pairs}
        rows: list[tuple[int, int, int]] = []
        for pair, (question, passage) in enumerate(pairs):
            room = self.window - len(asked[question]) - self.frame.tokens
            count = len(tokens[passage.text].ids)
            rows += [(pair, begin, end) for begin, end in windows_of(count, room, min(STRIDE, room - 1))]
        inputs = [
            (asked[pairs[pair][0]], tokens[pairs[pair][1].text].ids[begin:end]) for pair, begin, end in rows
        ]
        lengths = [len(question) + len(passage) + self.frame.tokens for question, passage in inputs]
        windows: dict[int, list[Window]] = {pair: [] for pair in range(len(pairs))}
        scores: dict[int, tuple[Logs, Logs, float]] = {}
        forward = self._pairs.forward(len(rows))
        batches = list(token_budget_batches(lengths, forward.tokens_a_batch))
        arrays = (self._arrays([inputs[row] for row in batch], forward.multiple) for batch in batches)
        for batch, (starts, ends) in zip(batches, forward(arrays), strict=True):
            for row, first, last in zip(batch, starts, ends, strict=True):
                asking, read = inputs[row]
                at, null = self.frame.passage_at(asking), self.frame.null
                inside = slice(at, at + len(read))
                scores[row] = first[inside], last[inside], float(first[null] + last[null])
        for row, (pair, begin, end) in enumerate(rows):
            windows[pair].append((begin, end, scores[row]))
        return [self._joined(tokens[passage.text], windows[pair]) for pair, (_, passage) in enumerate(pairs)]

    def _arrays(
        self, inputs: Sequence[tuple[Tokens, Tokens]], multiple: int
    ) -> dict[str, npt.NDArray[np.int64]]:
        """Questions and passages as rows of one batch."""
        joined = [self.frame.joined(question, passage) for question, passage in inputs]
        longest = max(len(ids) for ids, _ in joined)
        shape = (len(inputs), padded_length(longest, multiple, self.window))
        arrays = {
            "input_ids": np.full(shape, self.tokenizer.pad_token_id, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        for row, (ids, types) in enumerate(joined):
            arrays["input_ids"][row, : len(ids)] = ids
            arrays["attention_mask"][row, : len(ids)] = 1
            arrays["token_type_ids"][row, : len(ids)] = types
        return arrays

    def _joined(self, tokens: TokenisedText, windows: Sequence[Window]) -> SpanScores:
        """One table of spans from all windows of a passage."""
        count, most = len(tokens.ids), self.max_answer_tokens
        start, ends = np.full(count, -np.inf), np.full((count, most), -np.inf)
        # Where two windows overlap, the first keeps the tokens of the first half.
        cuts = [0, *((a[1] + b[0] + 1) // 2 for a, b in pairwise(windows)), count]
        for (begin, _, (starts, window_ends, _)), (first, last) in zip(windows, pairwise(cuts), strict=True):
            if first < last:
                padded = np.concatenate([window_ends, np.full(most - 1, -np.inf)])
                view = np.lib.stride_tricks.sliding_window_view(padded, most)
                start[first:last] = starts[first - begin : last - begin]
                ends[first:last] = view[first - begin : last - begin]
        null = min(found[2] for _, _, found in windows)
        log_all = float(log_sum(np.append((start[:, None] + ends).ravel(), null)))
        return SpanScores(tokens, start, ends, null, log_all)
