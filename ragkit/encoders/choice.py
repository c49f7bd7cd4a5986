"""The fastest way to compute an encoder on this machine whose vectors are still the encoder's."""

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ragkit.encoders.encoder import Encoder, Vectors
from ragkit.errors import RagkitError
from ragkit.runtime.precision import AUTO, Precision, computes_bf16, graph_runtime

if TYPE_CHECKING:
    from ragkit.encoders.sentence import SentenceEncoder

WORTH_EXPORTING = 1_000
"""Passages from which on an export, five seconds for a small model, is made up for."""
WORTH_MEASURING = 5_000
"""Passages from which on it is worth finding out whether int8 serves."""
TIMED, COMPARED = 16, 192
"""Passages that are timed, a core, and that vectors are compared on."""
COSINE = 0.99
RECALL_LOST = 0.005
K = 10
WORDS = 8
"""Of a passage, taken as a question to it."""

Passages = Sequence[tuple[str, str]]


def fastest(encoder: Encoder, passages: Passages, begun: Collection[str] = ()) -> Encoder:
    """The encoder itself, or the same model computed faster.

    Only an encoder that leaves both runtime and precision open is touched, and only on a processor that has
    no GPU beside it. bfloat16 where the processor has it; int8 where it is faster on `TIMED` passages a core
    and agrees with single precision on `COMPARED`: mean cosine at least `COSINE`, and at most `RECALL_LOST`
    less recall@10 of the passages by pieces of themselves. On all cores, or on half of them, and so on, where
    that is faster: a core that other work keeps busy holds the others up.

    Args:
        passages: (title, text) of those to come, `WORTH_MEASURING` of them or all there are.
        begun: beginnings of the fingerprints of encoders that encoded some of them before: one of these goes
            on, so that nothing is encoded twice.
    """
    from ragkit.encoders.sentence import SentenceEncoder

    open_choice = isinstance(encoder, SentenceEncoder) and (encoder.runtime, encoder.precision) == (
        AUTO,
        AUTO,
    )
    if not open_choice or graph_runtime(AUTO, AUTO) is None or len(passages) < WORTH_EXPORTING:
        return encoder
    assert isinstance(encoder, SentenceEncoder)
    if encoder.model.device.type != "cpu":
        return encoder
    try:
        return _fastest(encoder, passages, begun)
    except RagkitError:  # no graph can be made of it, or kept
        return encoder


def _fastest(encoder: "SentenceEncoder", passages: Passages, begun: Collection[str]) -> Encoder:
    native: Precision = "bf16" if computes_bf16(encoder.model.device) else "fp32"
    runtime = graph_runtime(AUTO, native)
    plain = encoder if runtime is None else encoder.using(runtime, native)
    if len(passages) < WORTH_MEASURING or _is_begun(plain, begun):
        return plain
    runtime = graph_runtime(AUTO, "int8")
    assert runtime is not None
    quantised = encoder.using(runtime, "int8")
    if _is_begun(quantised, begun):
        return quantised
    timed = TIMED * encoder.threads
    chosen = np.random.default_rng(0).permutation(len(passages))[: max(timed, COMPARED)]
    sample = [passages[i] for i in chosen]
    slow, quick = (_seconds(partial(one.encode_passages, sample[:timed])) for one in (plain, quantised))
    exact = encoder.using(runtime, "fp32")
    if quick < slow and agrees(quantised, exact, sample[:COMPARED]):
        return _on_fewer_cores(quantised, sample[:timed], quick)
    return _on_fewer_cores(plain, sample[:timed], slow)


def _on_fewer_cores(encoder: "SentenceEncoder", passages: Passages, seconds: float) -> "SentenceEncoder":
    """The encoder on half of its cores, as long as that is faster than the `seconds` that it takes."""
    if encoder.runtime == AUTO or encoder.threads == 1:  # torch keeps its own threads
        return encoder
    fewer = encoder.using(encoder.runtime, encoder.precision, encoder.threads // 2)  # type: ignore[arg-type]
    faster = _seconds(partial(fewer.encode_passages, passages))
    return _on_fewer_cores(fewer, passages, faster) if faster < seconds else encoder


def _is_begun(encoder: Encoder, begun: Collection[str]) -> bool:
    """Its passport also tries it out: a graph that cannot be made shows here."""
    fingerprint = encoder.passport().fingerprint
    return any(fingerprint.startswith(beginning) for beginning in begun)


def agrees(encoder: Encoder, exact: Encoder, passages: Passages) -> bool:
    """Whether the encoder's vectors serve as well as exact ones: see `fastest`."""
    mine, wanted = encoder.encode_passages(passages), exact.encode_passages(passages)
    if cosine(mine, wanted) < COSINE:
        return False
    questions = [_piece(text) for _, text in passages]
    found = recall(encoder.encode_questions(questions), mine)
    return found >= recall(exact.encode_questions(questions), wanted) - RECALL_LOST


def cosine(a: Vectors, b: Vectors) -> float:
    """Mean cosine of the rows of two matrices."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())


def recall(questions: Vectors, passages: Vectors) -> float:
    """The share of questions whose own passage, the one of the same row, is among the `K` best."""
    scores = questions @ passages.T
    better = (scores > scores.diagonal()[:, None]).sum(axis=1)
    return float((better < K).mean())


def _piece(text: str) -> str:
    words = text.split()
    start = max(0, (len(words) - WORDS) // 2)
    return " ".join(words[start : start + WORDS])


def _seconds(compute: Callable[[], object]) -> float:
    """The shorter of two runs after one that warms up."""
    compute()
    times = []
    for _ in range(2):
        began = time.perf_counter()
        compute()
        times.append(time.perf_counter() - began)
    return min(times)
