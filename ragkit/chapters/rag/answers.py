"""Rows 103-105, 111 and 112: the marginal likelihood, what is frozen, spans, grounding and the window."""

import itertools
import json
import math
import random
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from ragkit.corpus.demo import demo_documents
from ragkit.corpus.document import Passage
from ragkit.corpus.splitting import split
from ragkit.generation.answer import Answer
from ragkit.retrieval.hit import Hit

ASKED = 40
SHIFT = 7
"""How far passages are moved from their questions, so that each gets another's."""


def rag_sequence() -> dict[str, float]:
    """Row 103: all outputs of two tokens sum to one; transformers' loss; gradients of the question."""
    import torch
    from transformers import RagConfig, RagSequenceForGeneration

    from ragkit.training.rag.loss import sequence_nll

    torch.manual_seed(0)
    k, vocabulary, batch, length = 3, 4, 5, 4
    question, passages = torch.randn(6, dtype=torch.float64, requires_grad=True), torch.randn(k, 6).double()
    table = torch.randn(k, vocabulary + 1, vocabulary, dtype=torch.float64).log_softmax(-1)
    outputs = torch.tensor(list(itertools.product(range(vocabulary), repeat=2)))
    before = torch.stack([torch.full((len(outputs),), vocabulary), outputs[:, 0]], 1)
    tokens = table[:, before, outputs].transpose(0, 1)
    scores = (passages @ question).expand(len(outputs), k)
    nll = sequence_nll(scores, tokens, torch.ones(outputs.shape, dtype=torch.bool))
    total = float((-nll).exp().sum().detach())
    nll[0].backward()
    assert question.grad is not None

    encoder = {"model_type": "dpr", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    generator = {"model_type": "bart", "vocab_size": vocabulary, "pad_token_id": 0, "bos_token_id": 1}
    oracle = RagSequenceForGeneration(
        config=RagConfig(question_encoder=encoder, generator=generator, n_docs=k),
        question_encoder=torch.nn.Module(),
        generator=torch.nn.Module(),
    )  # fmt: skip  (only get_nll is asked, which has no weights)
    scores, logits = torch.randn(batch, k), torch.randn(batch, k, length, vocabulary)
    answers = torch.randint(2, vocabulary, (batch, length))
    written = logits.log_softmax(-1).gather(-1, answers[:, None, :, None].expand(-1, k, -1, 1))[..., 0]
    target = torch.cat([torch.full((batch, 1), 2), answers], 1)
    padded = torch.cat([logits, torch.zeros(batch, k, 1, vocabulary)], 2).flatten(0, 1)
    expected = oracle.get_nll(padded, scores, target, reduce_loss=False)
    ours = sequence_nll(scores, written, torch.ones(batch, length, dtype=torch.bool))
    return {
        "sum over outputs - 1": abs(total - 1),
        "error": float((ours - expected).abs().max()),
        "question's gradient": float(question.grad.abs().max()),
    }


def partial_training() -> dict[str, float]:
    """Row 104: a step of the whole model moves what is trained and nothing that is frozen."""
    import torch
    from transformers import BartConfig, BartForConditionalGeneration

    from ragkit.training.rag.model import generator_shape

    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=20, d_model=16, encoder_layers=3, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=16,
    )  # fmt: skip
    model = BartForConditionalGeneration(config)
    tokens = torch.randint(4, 20, (2, 6))
    with generator_shape(model, frozen_layers=2):
        frozen = {name for name, one in model.named_parameters() if not one.requires_grad}
        before = {name: one.detach().clone() for name, one in model.named_parameters()}
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
    moved = {name for name, one in model.named_parameters() if not torch.equal(one, before[name])}
    lower = [
        name for name in before if name.startswith(("model.encoder.layers.0.", "model.encoder.layers.1."))
    ]
    return {
        "frozen tensors moved": len(frozen & moved),
        "tensors of frozen layers not frozen": len(set(lower) - frozen),
        "tensors moved": len(moved),
    }


def spans() -> dict[str, float]:
    """Row 105: the best span against enumeration, and the packaged reader's answers as slices of passages."""
    import torch

    from ragkit.generation.spans import best_span

    torch.manual_seed(0)
    wrong, longest = 0, 4
    start, end = torch.randn(60, 12), torch.randn(60, 12)
    allowed = torch.rand(60, 12) < 0.8
    for row, (i, j) in enumerate(zip(*best_span(start, end, allowed, longest)[:2], strict=True)):
        valid = [
            (float(start[row, a] + end[row, b]), -a, -b)
            for a in range(12)
            for b in range(a, min(12, a + longest))
            if allowed[row, a] and allowed[row, b]
        ]
        wrong += bool(valid) and (-int(i), -int(j)) != max(valid)[1:]
    foreign = 0
    for answer in _read("own"):
        place = next(one for one in answer.support if one.start is not None)
        foreign += place.passage.text[place.start : place.end] != answer.text
    return {"spans wrong": wrong, "answers that are no slices": foreign}


def grounded() -> dict[str, float]:
    """Row 111: the grounding score of answers with their passages, against that of answers which are made
    from another question's passage, and of the same answers shown with one."""
    from sklearn.metrics import roc_auc_score

    from ragkit.generation.grounding import grounding

    def scores(answers: list[Answer]) -> list[float]:
        return [found.score for answer in answers if (found := grounding(answer))]

    own, others = _read("own"), _read("others")
    moved = [
        Answer(a.question, a.text, a.log_probability, b.support) for a, b in zip(own, others, strict=True)
    ]
    good = scores(own)
    return {
        name: float(roc_auc_score([1] * len(good) + [0] * len(bad), good + bad))
        for name, bad in (("AUC made from others", scores(others)), ("AUC shown with others", scores(moved)))
    }


def window() -> dict[str, float]:
    """Row 112: prompts of the packaged generator's tokenizer over random windows; where answers come from."""
    from transformers import AutoTokenizer

    from ragkit.generation.loading import WEIGHTS
    from ragkit.generation.prompts import BART, PAIR, T5, fit, renderer

    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS / "generator")
    rng, over, uncounted = random.Random(0), 0, 0
    documents = demo_documents()
    for _ in range(150):
        render = renderer(tokenizer, rng.choice([PAIR, BART, T5]))
        document = rng.choice(documents)
        text = document.text[: rng.randint(0, 4000)]
        passage = Passage("p", document.id, text, 0, len(text), document.title * rng.choice([1, 30]))
        size = rng.randint(48, 512)
        prompt = fit(render, "What does this statement do?", passage, size)
        whole = len(render("What does this statement do?", passage.title, text)["input_ids"])
        over += len(prompt) > size
        uncounted += prompt.cut != whole - len(prompt)
    nameless = sum(
        not answer.support or not all(one.passage.id for one in answer.support) for answer in _read("own")
    )
    return {
        "prompts over the window": over,
        "cuts miscounted": uncounted,
        "answers without sources": nameless,
        "odds of weighed sources off by": _odds_off(),
    }


def _odds_off() -> float:
    """Largest error of a prior's odds where sources are weighed by their metadata."""
    from ragkit.generation.reader import ExtractiveReader

    def hits(weights: list[float]) -> list[Hit]:
        passages = [Passage(f"p{z}", "d", "red", 0, 3, metadata={"trust": w}) for z, w in enumerate(weights)]
        return [Hit(passage, -float(z), z + 1) for z, passage in enumerate(passages)]

    weights = [1.0, 4.0, 0.25]
    reader = ExtractiveReader(weight_by="trust", temperature=1.0)
    [answer] = reader.answer(["which?"], [hits(weights)])
    prior = {one.passage.id: one.prior for one in answer.support}
    return max(abs(prior[f"p{z}"] / prior["p0"] - weight * math.exp(-z)) for z, weight in enumerate(weights))


@cache
def _read(whose: str) -> list[Answer]:
    """The packaged reader's answers to demo questions, each from the passage with its evidence, or from
    another question's."""
    from ragkit.generation.reader import ExtractiveReader

    passages = {document.id: split(document) for document in demo_documents()}
    found: list[tuple[str, Passage]] = []
    for line in (files("ragkit.corpus") / "demo_questions.jsonl").read_text("utf-8").splitlines():
        record: dict[str, Any] = json.loads(line)
        evidence = " ".join((record["evidence"] or "").split())
        holding = (
            passage
            for topic in record["topics"]
            for passage in passages.get(topic, [])
            if evidence and evidence in " ".join(passage.text.split())
        )
        found += [(record["text"], passage) for passage in itertools.islice(holding, 1)]
        if len(found) == ASKED:
            break
    given = [passage for _, passage in found]
    if whose == "others":
        given = np.roll(np.array(given, dtype=object), SHIFT).tolist()
    reader = ExtractiveReader(allow_empty=False)
    return reader.answer([question for question, _ in found], [[Hit(passage, 0.0, 1)] for passage in given])
