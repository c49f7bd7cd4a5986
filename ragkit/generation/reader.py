"""The extractive reader: an answer is a span of a passage, summed over passages like a generated one.

With s_i and e_j the scores of beginning at token i and ending at token j (Devlin et al. 2019, section 4.2),

    p(span i..j | x, z) = exp(s_i + e_j) / (exp(s_0 + e_0) + sum over i' <= j' < i' + L of exp(s_i' + e_j'))
    p(y|x) = sum_z p(z|x) sum over the spans of z that read y of p(span | x, z)

where s_0 + e_0, at [CLS], says that the passage holds no answer. A passage too long for the model is read
through overlapping windows; each token begins a span in one window alone, the one where it stands furthest
from the edge, and the passage holds no answer if none of its windows does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ragkit.corpus.document import Passage
from ragkit.corpus.normalisation import normalise
from ragkit.encoders.batches import token_budget_batches
from ragkit.errors import RagkitError
from ragkit.generation.answer import Answer, Support, WithoutPassage
from ragkit.generation.answerer import Answerer, checked, nothing_found
from ragkit.generation.loading import PACKAGED, load_reader
from ragkit.generation.marginal import Logs, log_priors, log_sum, normalised, without
from ragkit.generation.tokenised import TokenisedText, tokenise, windows_of
from ragkit.retrieval.hit import Hit

if TYPE_CHECKING:
    from ragkit.retrieval.index import Index, Mode

WINDOW = 384
STRIDE = 128
QUESTION_TOKENS = 64
"""As in training (`ragkit train reader`). Of a longer question the reader sees the beginning."""
TOKENS_A_BATCH = 8192
PROPOSED = 10
"""Spans that each passage proposes as answers; each is then scored in every passage."""
EMPTY: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadPassage:
    """One passage under one question.

    Attributes:
        start, end: scores of the passage's tokens, (n,); each as seen by the window that owns the token.
        ends: for each token the scores of ending a span begun there, after 0 .. L-1 more tokens, (n, L);
            -inf where the passage ends before.
        log_all: log of the denominator above, without the null answer where that is ruled out.
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
        """The spans of highest probability, best first."""
        scores = (self.start[:, None] + self.ends).ravel()
        order = np.argsort(-scores, kind="stable")[:count]
        return [(int(at) // self.ends.shape[1], sum(divmod(int(at), self.ends.shape[1])))
                for at in order if np.isfinite(scores[at])]  # fmt: skip

    def occurrences(self, answer: tuple[int, ...]) -> list[tuple[int, int]]:
        """Where a sequence of word pieces stands in the passage, whole and no longer than L."""
        ids, length = self.tokens.ids, len(answer)
        if not 0 < length <= min(len(ids), self.ends.shape[1]):
            return []
        views = np.lib.stride_tricks.sliding_window_view(ids, length)
        return [(int(at), int(at) + length - 1) for at in np.flatnonzero((views == answer).all(axis=1))]


class ExtractiveReader(Answerer):
    """Finds answers word for word in the passages.

    Args:
        index: where `ask` searches; may be left out if only `answer` is used.
        reader: "packaged", a folder or hub id of a question-answering model, or (model, tokenizer).
        k, temperature, mode: as in `Answerer`.
        max_answer_tokens: L, the most word pieces of an answer.
        allow_empty: whether "no answer in the passages" may win; `Answer.text` is then "".

    Raises RagkitError for values out of range and where the model does not load.
    """

    def __init__(
        self,
        index: "Index | None" = None,
        reader: "str | tuple[Any, Any]" = PACKAGED,
        *,
        k: int = 5,
        temperature: float | None = None,
        mode: "Mode" = "hybrid",
        max_answer_tokens: int = 30,
        allow_empty: bool = True,
    ) -> None:
        super().__init__(index, k=k, temperature=temperature, mode=mode)
        if max_answer_tokens < 1:
            raise RagkitError(f"max_answer_tokens must be at least 1, not {max_answer_tokens}")
        self.max_answer_tokens = max_answer_tokens
        self.allow_empty = allow_empty
        self.model, self.tokenizer = load_reader(reader) if isinstance(reader, str) else reader
        self.model.eval()
        if not getattr(self.tokenizer, "is_fast", False):
            raise RagkitError("the reader's tokenizer gives no character offsets: it must be a fast one")
        self.window = min(WINDOW, getattr(self.model.config, "max_position_embeddings", WINDOW))
        self.question_tokens = min(QUESTION_TOKENS, self.window // 2)

    @property
    def config(self) -> dict[str, Any]:
        return {
            "model": "reader",
            **super().config,
            "max_answer_tokens": self.max_answer_tokens,
            "allow_empty": self.allow_empty,
        }

    def answer(
        self, questions: Sequence[str], hits: Sequence[Sequence[Hit]], *, why: bool = False
    ) -> list[Answer]:
        """Answers each question from its own hits; questions share the model's batches.

        Raises RagkitError for an empty question.
        """
        checked(questions, hits)
        pairs = [
            (question, hit.passage) for question, found in zip(questions, hits, strict=True) for hit in found
        ]
        read = iter(self.read(pairs))
        answers = []
        for question, found in zip(questions, hits, strict=True):
            passages = [next(read) for _ in found]
            prior = log_priors([hit.score for hit in found], self.temperature) if found else None
            answers.append(
                nothing_found(question)
                if prior is None
                else self._answer(question, [hit.passage for hit in found], passages, prior, why)
            )
        return answers

    def read(self, pairs: Sequence[tuple[str, Passage]]) -> list[ReadPassage]:
        """Scores every span of each passage under its question."""
        texts = list(dict.fromkeys(text for question, passage in pairs for text in (question, passage.text)))
        tokens = dict(zip(texts, tokenise(self.tokenizer, texts), strict=True))
        asked = {question: tokens[question].ids[: self.question_tokens] for question, _ in pairs}
        rows: list[tuple[int, int, int]] = []
        for pair, (question, passage) in enumerate(pairs):
            room = self.window - len(asked[question]) - 3
            count = len(tokens[passage.text].ids)
            rows += [(pair, begin, end) for begin, end in windows_of(count, room, min(STRIDE, room - 1))]
        scores: list[Any] = [None] * len(rows)
        lengths = [len(asked[pairs[pair][0]]) + end - begin + 3 for pair, begin, end in rows]
        for batch in token_budget_batches(lengths, TOKENS_A_BATCH):
            inputs = [
                (asked[pairs[pair][0]], tokens[pairs[pair][1].text].ids[begin:end])
                for pair, begin, end in (rows[row] for row in batch)
            ]
            for row, found in zip(batch, self._score(inputs), strict=True):
                scores[row] = found
        grouped: list[list[tuple[int, int, Any]]] = [[] for _ in pairs]
        for (pair, begin, end), found in zip(rows, scores, strict=True):
            grouped[pair].append((begin, end, found))
        return [
            self._joined(tokens[passage.text], windows)
            for (_, passage), windows in zip(pairs, grouped, strict=True)
        ]

    def _score(
        self, inputs: Sequence[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]
    ) -> list[tuple[Logs, Logs, float]]:
        """(start, end, null) scores of the passage's tokens in `[CLS] question [SEP] passage [SEP]`."""
        import torch

        cls, sep, pad = (getattr(self.tokenizer, f"{name}_token_id") for name in ("cls", "sep", "pad"))
        width = max(len(question) + len(passage) + 3 for question, passage in inputs)
        ids = np.full((len(inputs), width), pad, np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for row, (question, passage) in enumerate(inputs):
            at, length = len(question) + 2, len(question) + len(passage) + 3
            ids[row, :length] = [cls, *question, sep, *passage, sep]
            mask[row, :length] = 1
            types[row, at:length] = 1
        arguments = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        if getattr(self.model.config, "type_vocab_size", 0) < 2:
            del arguments["token_type_ids"]
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            output = self.model(**{name: torch.from_numpy(a).to(device) for name, a in arguments.items()})
        start, end = (x.double().cpu().numpy() for x in (output.start_logits, output.end_logits))
        found = []
        for row, (question, passage) in enumerate(inputs):
            at = len(question) + 2
            inside = slice(at, at + len(passage))
            found.append((start[row, inside], end[row, inside], float(start[row, 0] + end[row, 0])))
        return found

    def _joined(
        self, tokens: TokenisedText, windows: Sequence[tuple[int, int, tuple[Logs, Logs, float]]]
    ) -> ReadPassage:
        """One table of spans from all windows of a passage."""
        count, most = len(tokens.ids), self.max_answer_tokens
        start, ends = np.full(count, -np.inf), np.full((count, most), -np.inf)
        # Where two windows overlap, the first keeps the tokens of the first half.
        cuts = [0, *((a[1] + b[0] + 1) // 2 for a, b in pairwise(windows)), count]
        for (begin, _, (starts, window_ends, _)), (first, last) in zip(windows, pairwise(cuts), strict=True):
            padded = np.concatenate([window_ends, np.full(most - 1, -np.inf)])
            view = np.lib.stride_tricks.sliding_window_view(padded, most)
            start[first:last] = starts[first - begin : last - begin]
            ends[first:last] = view[first - begin : last - begin]
        null = min(found[2] for _, _, found in windows)
        outcomes = (start[:, None] + ends).ravel()
        log_all = (
            float(log_sum(np.append(outcomes, null) if self.allow_empty else outcomes)) if count else null
        )
        return ReadPassage(tokens, start, ends, null, log_all)

    def _answer(
        self, question: str, passages: list[Passage], read: list[ReadPassage], prior: Logs, why: bool
    ) -> Answer:
        proposals = {
            tuple(passage.tokens.ids[first : last + 1].tolist())
            for passage in read
            for first, last in passage.best(PROPOSED)
        }
        # Word pieces -> where they stand; texts that differ in articles or punctuation are one answer.
        likelihood: dict[str, Logs] = {}
        places: dict[str, list[tuple[float, int, tuple[int, int]]]] = {}
        for answer in proposals:
            for z, (passage, shown) in enumerate(zip(passages, read, strict=True)):
                for span in shown.occurrences(answer):
                    log_p = shown.log_probability(span)
                    start, end = _characters(shown, span)
                    key = normalise(passage.text[start:end]) or passage.text[start:end]
                    column = likelihood.setdefault(key, np.full(len(read), -np.inf))
                    column[z] = np.logaddexp(column[z], log_p)
                    places.setdefault(key, []).append((prior[z] + log_p, z, (start, end)))
        if self.allow_empty:
            likelihood[""] = np.array([shown.null - shown.log_all for shown in read])
            places[""] = []
        if not likelihood:
            return nothing_found(question)
        keys = list(likelihood)
        table = np.stack([likelihood[key] for key in keys])
        texts = [_text(places[key], passages) for key in keys]
        marginal = log_sum(prior + table)
        order = np.argsort(-marginal, kind="stable")
        best = int(order[0])
        result = Answer(
            question=question,
            text=texts[best],
            log_probability=float(marginal[best]),
            support=_support(passages, prior, table[best], places[keys[best]]),
            alternatives=[(texts[c], float(marginal[c])) for c in order[1:PROPOSED]],
        )
        if why and len(passages) > 1:
            for z, passage in enumerate(passages):
                rest = log_sum(without(prior, z) + table)
                other = int(rest.argmax())
                elsewhere = [place for place in places[keys[other]] if place[1] != z]
                result.without.append(WithoutPassage(passage, _text(elsewhere, passages), float(rest[other])))
        return result


def _characters(read: ReadPassage, span: tuple[int, int]) -> tuple[int, int]:
    offsets = read.tokens.offsets
    return int(offsets[span[0], 0]), int(offsets[span[1], 1])


def _text(places: list[tuple[float, int, tuple[int, int]]], passages: list[Passage]) -> str:
    """The answer as it is written where it is likeliest; "" for the null answer, which stands nowhere."""
    if not places:
        return ""
    _, z, (start, end) = max(places)
    return passages[z].text[start:end]


def _support(
    passages: list[Passage],
    prior: Logs,
    likelihood: Logs,
    places: list[tuple[float, int, tuple[int, int]]],
) -> list[Support]:
    posterior = np.exp(normalised(prior + likelihood))
    found = []
    for z in np.argsort(-posterior, kind="stable"):
        support = Support(passages[z], float(np.exp(prior[z])), float(likelihood[z]), float(posterior[z]))
        inside = [place for place in places if place[1] == z]
        if inside:
            start, end = max(inside)[2]
            support = replace(support, start=start, end=end)
        found.append(support)
    return found
