"""Rows 99-102 and 106-108: p(z|x), the dual encoder's loss, passages, indexes, measures and costs."""

import random
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ragkit.chapters.check import MissingError

QUESTIONS, PASSAGES, DIMENSION, K = 50, 2000, 32, 10


def prior() -> dict[str, float]:
    """Row 99: softmax over the scores of the top k, and no others, against torch's."""
    import torch

    from ragkit.generation.marginal import log_priors

    rng = np.random.default_rng(0)
    error, broken = 0.0, 0
    for _ in range(200):
        scores, temperature = 30 * rng.normal(size=K), float(rng.uniform(0.05, 5))
        ours = log_priors(scores.tolist(), temperature)
        theirs = torch.log_softmax(torch.tensor(scores) / temperature, 0).numpy()
        error = max(error, float(np.abs(ours - theirs).max()), abs(float(np.exp(ours).sum()) - 1))
        broken += bool((np.argsort(ours) != np.argsort(scores)).any())
    return {"error": error, "orders broken": broken}


def dual_encoder_loss() -> dict[str, float]:
    """Row 100: value and gradient against `BiEncoderNllLoss.calc` of facebookresearch/DPR."""
    import torch
    from torch.nn import functional

    from ragkit.training.retrieval.losses import retrieval_loss

    class Vectors(torch.nn.Module):
        similarity_fn_name = "dot"

    torch.manual_seed(0)
    errors = []
    for hard in (0, 1, 3):
        columns = [torch.randn(6, 8, dtype=torch.float64) for _ in range(2 + hard)]
        ours = [column.clone().requires_grad_() for column in columns]
        theirs = [column.clone().requires_grad_() for column in columns]
        loss: Any = retrieval_loss(Vectors(), "nll")
        value = loss.compute_loss_from_embeddings(ours, None)
        question, *passages = theirs
        # DPR puts a question's positive first and its negatives behind it.
        every = torch.stack(passages, dim=1).flatten(0, 1)
        positive = torch.arange(len(question)) * len(passages)
        expected = functional.nll_loss((question @ every.T).log_softmax(dim=1), positive)
        value.backward()
        expected.backward()
        errors.append(abs(float((value - expected).detach())))
        for a, b in zip(ours, theirs, strict=True):
            assert a.grad is not None and b.grad is not None
            errors.append(float((a.grad - b.grad).abs().max()))
    return {"error": max(errors)}


def splitting() -> dict[str, float]:
    """Row 101: every passage is a slice; a stretch of words no longer than the overlap is never cut."""
    from ragkit.corpus.document import Document
    from ragkit.corpus.splitting import Splitting, split

    rng = random.Random(0)
    foreign, cut = 0, 0
    for number in range(100):
        words = [f"word{i}" + rng.choice([".", "", ",", "\n\n"]) for i in range(rng.randint(1, 300))]
        text = " ".join(words)
        size = rng.randint(5, 60)
        overlap = rng.randint(0, (size - 1) // 2)
        passages = split(
            Document(str(number), text), Splitting(rng.choice(["words", "sentences"]), size, overlap)
        )
        foreign += sum(text[one.start : one.end] != one.text for one in passages)
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])
        length = min(overlap, len(words))
        for first in range(len(words) - length + 1 if length else 0):
            start, end = starts[first], starts[first + length - 1] + len(words[first + length - 1].rstrip())
            cut += not any(one.start <= start and end <= one.end for one in passages)
    return {"passages that are no slices": foreign, "answers cut": cut}


def _vectors(count: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((20, DIMENSION))
    found = centres[rng.integers(0, 20, count)] + 0.7 * rng.standard_normal((count, DIMENSION))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def indexes() -> dict[str, float]:
    """Row 102: exact families against numpy, the others' recall@10, and ids after saving and loading."""
    from ragkit.index.faiss_index import FaissIndex
    from ragkit.index.vector_index import brute_force

    passages, questions = _vectors(PASSAGES, 1), _vectors(QUESTIONS, 2)
    ids = np.random.default_rng(3).permutation(np.arange(5, 5 + 3 * PASSAGES, 3)).astype(np.int64)
    _, exact = brute_force(passages, ids, questions, K)
    families = {
        "Flat": {}, "IVF16,Flat": {"nprobe": 16}, "HNSW16": {"efSearch": 64},
        "SQ8": {}, "PQ16": {}, "RaBitQ": {},
    }  # fmt: skip
    wrong, changed, recalls = 0, 0, {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.faiss"
        for factory, search in families.items():
            index = FaissIndex(DIMENSION, factory, search)
            index.build(passages, ids)
            _, found = index.search(questions, K)
            index.save(path)
            changed += int((FaissIndex.load(path).search(questions, K)[1] != found).sum())
            if factory.endswith("Flat"):
                wrong += int((found != exact).sum())
            else:
                shared = [
                    len(set(a) & set(b)) / K for a, b in zip(found.tolist(), exact.tolist(), strict=True)
                ]
                recalls[f"recall {factory}"] = float(np.mean(shared))
    return {"ids of exact families wrong": wrong, "ids other after loading": changed, **recalls}


def measures(names: tuple[str, ...]) -> float:
    """Largest difference to ir-measures over 1,000 random rankings with ties and grades 0 to 3."""
    try:
        import ir_measures
    except ModuleNotFoundError as missing:
        raise MissingError("needs ir-measures: pip install ir-measures") from missing
    from ragkit.evaluation.metrics import evaluate_run, judged

    rng = np.random.default_rng(0)
    documents = [f"d{at}" for at in range(40)]
    qrels, run = {}, {}
    for number in range(1000):
        graded = rng.choice(documents, size=rng.integers(1, 9), replace=False).tolist()
        found = rng.choice(documents, size=rng.integers(1, 31), replace=False).tolist()
        qrels[f"q{number}"] = {name: int(rng.integers(0, 4)) for name in graded}
        scores = rng.integers(0, 4, len(found)) if number % 2 else rng.normal(size=len(found))
        run[f"q{number}"] = dict(zip(found, scores.astype(float).tolist(), strict=True))
    ours, error = evaluate_run(run, qrels, names), 0.0
    for name in names:
        measured = ir_measures.iter_calc([ir_measures.parse_measure(name)], qrels, run)
        expected = {metric.query_id: metric.value for metric in measured}
        theirs = np.array([expected[question] for question in judged(qrels)])
        error = max(error, float(np.abs(ours[name] - theirs).max()))
    return error


def recall_and_success() -> dict[str, float]:
    """Row 106: share of all relevant ones (R) and any hit (Success) are told apart."""
    return {"error": measures(("R@1", "R@5", "R@20", "Success@1", "Success@5"))}


def ranked_measures() -> dict[str, float]:
    """Row 107."""
    return {"error": measures(("AP", "AP@10", "RR", "nDCG", "nDCG@10"))}


def costs() -> dict[str, float]:
    """Row 108: bytes a vector on disk against FAISS's code size and 8 of the id; what a report tells."""
    import faiss

    from ragkit.evaluation.retrieval import Costs
    from ragkit.index.faiss_index import FaissIndex

    vectors, off = _vectors(2 * PASSAGES, 1), 0.0
    with TemporaryDirectory() as folder:
        for factory in ("Flat", "SQ8", "SQfp16", "PQ16", "RaBitQ"):
            sizes = []
            index = FaissIndex(DIMENSION, factory)
            for begin in (0, PASSAGES):
                some, ids = vectors[begin : begin + PASSAGES], np.arange(begin, begin + PASSAGES)
                index.add(some, ids) if begin else index.build(some, ids)
                index.save(Path(folder) / f"{factory}{begin}")
                sizes.append((Path(folder) / f"{factory}{begin}").stat().st_size)
            code = faiss.index_factory(DIMENSION, factory, faiss.METRIC_INNER_PRODUCT).sa_code_size()
            off = max(off, abs((sizes[1] - sizes[0]) / PASSAGES - code - 8))
    told = {field.name for field in fields(Costs)}
    wanted = {"p50_ms", "p95_ms", "index_bytes", "peak_memory_bytes", "build_seconds"}
    return {"bytes a vector off by": off, "costs not told": len(wanted - told)}
