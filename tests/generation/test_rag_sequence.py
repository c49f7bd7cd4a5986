"""RAG-Sequence against enumeration, against transformers, and against itself."""

import itertools
import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import RagConfig, RagSequenceForGeneration

from ragkit.errors import RagkitError
from ragkit.generation.candidates import merged
from ragkit.generation.generator import Hypothesis, token_log_likelihoods
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.rag_token import RagToken

EMPTY = (2,)
"""The end at once."""
KINDS = ["t5", "bart", "encoder-decoder", "pointer", "gpt2"]
QUESTION = "one two : red"
TEXTS = ["apple red pear", "green plum two blue one three", "blue", "pear / two red"]


def prompt_inputs(generator, question, hit):
    rendered = generator.render(question, hit.passage.title, hit.passage.text)
    return {
        name: torch.tensor([rendered[name]])
        for name in ("input_ids", "attention_mask", "token_type_ids")
        if name in rendered
    }


def plain_likelihood(generator, question, hit, answer):
    """log p(y_t|x,z,y_<t), (T,), by one whole forward pass of the model: no cache, no padding, no batch."""
    inputs = prompt_inputs(generator, question, hit)
    with torch.no_grad():
        if hasattr(generator, "prefix"):
            prefix = [*generator.prefix, *answer[:-1]]
            logits = generator.model(**inputs, decoder_input_ids=torch.tensor([prefix])).logits[0]
        else:
            tokens = torch.cat([inputs["input_ids"], torch.tensor([answer[:-1]], dtype=torch.long)], dim=1)
            logits = generator.model(input_ids=tokens).logits[0]
    logits = logits[-len(answer) :].double()
    return torch.log_softmax(logits, -1).gather(-1, torch.tensor(answer)[:, None])[:, 0].numpy()


def candidates_of(rag, question, hits):
    reading, _ = rag.generator.read(
        [question] * len(hits), [hit.passage for hit in hits], rag.max_answer_tokens
    )
    (candidates,) = rag._candidates(reading, [np.log(np.full(len(hits), 1 / len(hits)))])
    return candidates


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_equal_enumeration(tiny, hits, kind, seed):
    rag = RagSequence(None, tiny(kind, seed), temperature=0.7, max_answer_tokens=5, alternatives=99)
    found = hits(TEXTS)
    answer = rag.answer([QUESTION], [found])[0]

    prior = np.exp(np.array([hit.score for hit in found]) / 0.7)
    prior /= prior.sum()
    expected = {}
    for y in candidates_of(rag, QUESTION, found).answers:
        likelihood = np.array([plain_likelihood(rag.generator, QUESTION, hit, y).sum() for hit in found])
        expected[y] = (math.log(np.sum(prior * np.exp(likelihood))), likelihood)
    if rag.generator.ending.empty_is_none and expected[EMPTY][1].sum() <= math.log(0.5):
        del expected[EMPTY]
    best = max(expected, key=lambda y: expected[y][0])
    log_p, likelihood = expected[best]
    assert answer.log_probability == pytest.approx(log_p, abs=1e-5)
    assert answer.text == rag.generator.text(best, found[0].passage)
    posterior = prior * np.exp(likelihood)
    posterior /= posterior.sum()
    for support in answer.support:
        z = int(support.passage.id[1:])
        assert support.prior == pytest.approx(prior[z], abs=1e-12)
        assert support.log_likelihood == pytest.approx(likelihood[z], abs=1e-5)
        assert support.posterior == pytest.approx(posterior[z], abs=1e-5)
    assert sum(support.posterior for support in answer.support) == pytest.approx(1, abs=1e-12)
    assert [s.posterior for s in answer.support] == sorted(
        (s.posterior for s in answer.support), reverse=True
    )
    by_text = {}
    for y, (value, _) in expected.items():
        text = rag.generator.text(y, found[0].passage)
        by_text[text] = max(value, by_text.get(text, -np.inf))
    assert {answer.text: answer.log_probability, **dict(answer.alternatives)} == pytest.approx(
        by_text, abs=1e-5
    )


@pytest.mark.row(103)
@pytest.mark.parametrize("model", [RagSequence, RagToken])
@pytest.mark.parametrize("kind", KINDS)
def test_all_outputs_of_two_tokens_sum_to_one(tiny, hits, kind, model):
    rag = model(None, tiny(kind), temperature=1.0)
    found = hits(TEXTS[:3])
    reading, _ = rag.generator.read([QUESTION] * 3, [hit.passage for hit in found], 4)
    vocabulary = reading.logits.shape[-1]
    outputs = list(itertools.product(range(vocabulary), repeat=2))
    rows = [z for _ in outputs for z in range(3)]
    tokens = token_log_likelihoods(reading, rows, [y for y in outputs for _ in range(3)])
    log_prior = np.log([0.5, 0.3, 0.2])
    log_p = rag._log_probability(log_prior, tokens.numpy().reshape(len(outputs), 3, 2))
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-5)


def transformers_rag(generator, passages):
    """RagSequenceForGeneration over the same weights."""
    config = RagConfig(
        question_encoder={
            "model_type": "dpr",
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
        },
        generator=generator.model.config.to_dict(),
        n_docs=passages,  # generate(n_docs=...) is ignored when it rescores: only the configuration counts
    )
    # T5 has no BOS and generate() fails on looking for one. A token that is never written stands in.
    config.bos_token_id = 1
    oracle = RagSequenceForGeneration(
        config=config, question_encoder=torch.nn.Module(), generator=generator.model
    )
    return oracle.eval()


def read_no_padding(monkeypatch, model, mask):
    """Its generate() hands attention_mask=None to the beams, which then read the padding as text."""
    generate = model.generate
    monkeypatch.setattr(
        model, "generate", lambda inputs, **options: generate(inputs, **options | {"attention_mask": mask})
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_winner_and_losses_equal_transformers(tiny, hits, monkeypatch, kind, seed):
    generator = tiny(kind, seed)
    # Two tokens at least: for an answer of one the prior, which transformers adds at the second, is lost.
    rag = RagSequence(None, generator, temperature=1.0, max_answer_tokens=6, min_answer_tokens=2)
    found = hits(TEXTS)
    oracle = transformers_rag(generator, len(found))
    batch = generator.tokenizer.pad(
        [generator.render(QUESTION, "", hit.passage.text) for hit in found], return_tensors="pt"
    )
    given = {
        "context_input_ids": batch["input_ids"],
        "context_attention_mask": batch["attention_mask"],
        "doc_scores": torch.tensor([[hit.score for hit in found]], dtype=torch.float64),
    }
    answers = candidates_of(rag, QUESTION, found).answers
    with torch.no_grad():
        reading, _ = generator.read([QUESTION] * 4, [hit.passage for hit in found], 6)
        tokens = token_log_likelihoods(
            reading, [z for _ in answers for z in range(4)], [y for y in answers for _ in found]
        )
        log_prior = torch.log_softmax(given["doc_scores"][0], 0).numpy()
        ours = rag._log_probability(log_prior, tokens.numpy().reshape(len(answers), 4, -1))
        for y, log_p in zip(answers, ours, strict=True):
            labels = torch.tensor([[*generator.prefix, *y]])  # begins with decoder_start_token_id
            loss = oracle(**given, labels=labels, exclude_bos_score=len(generator.prefix) > 1).loss
            assert -loss.item() == pytest.approx(log_p, abs=1e-5)
        read_no_padding(monkeypatch, generator.model, batch["attention_mask"])
        winner = oracle.generate(
            **given,
            num_beams=4,
            max_new_tokens=5 + len(generator.prefix),
            min_new_tokens=len(generator.prefix),
        )[0].tolist()
    winner = winner[len(generator.prefix) :]
    winner = tuple(winner[: winner.index(2) + 1]) if 2 in winner else tuple(winner)
    assert winner == answers[int(ours.argmax())]
    assert rag.answer([QUESTION], [found])[0].text == generator.text(winner, found[0].passage)


@pytest.mark.parametrize("model", [RagSequence, RagToken])
@pytest.mark.parametrize("kind", KINDS)
def test_each_prompt_is_read_once(tiny, hits, kind, model):
    generator = tiny(kind)
    reader = generator.model.get_encoder() if kind != "gpt2" else generator.model
    widths: list[tuple[int, int]] = []
    reader.register_forward_pre_hook(
        lambda module, args, kwargs: widths.append(
            tuple((kwargs.get("input_ids", args[0] if args else None)).shape)
        ),
        with_kwargs=True,
    )
    rag = model(None, generator, max_answer_tokens=6)
    rag.answer([QUESTION, "two"], [hits(TEXTS), hits(TEXTS[:2])], why=True)
    long = [shape for shape in widths if shape[1] > 6]
    assert [rows for rows, _ in long] == [6]
    if kind != "gpt2":
        assert long == widths


@pytest.mark.parametrize("decoding", ["thorough", "fast"])
@pytest.mark.parametrize("kind", KINDS)
def test_leaving_a_passage_out_equals_asking_without_it(tiny, hits, kind, decoding):
    rag = RagSequence(None, tiny(kind), temperature=0.5, max_answer_tokens=5, decoding=decoding)
    found = hits(TEXTS)
    answer = rag.answer([QUESTION], [found], why=True)[0]
    assert [w.passage.id for w in answer.without] == [hit.passage.id for hit in found]
    for left_out, without in zip(found, answer.without, strict=True):
        again = rag.answer([QUESTION], [[hit for hit in found if hit is not left_out]])[0]
        assert without.text == again.text
        assert without.log_probability == pytest.approx(again.log_probability, abs=1e-5)


def test_fast_counts_only_the_passages_that_proposed_an_answer(tiny, hits):
    generator = tiny("bart")
    rag = RagSequence(None, generator, temperature=1.0, max_answer_tokens=5, decoding="fast")
    found = hits(TEXTS)
    answer = rag.answer([QUESTION], [found])[0]
    proposed = candidates_of(rag, QUESTION, found)
    prior = {support.passage.id: support.prior for support in answer.support}
    best = max(
        sum(
            prior[found[z].passage.id] * math.exp(plain_likelihood(generator, QUESTION, found[z], y).sum())
            for z in np.flatnonzero(by)
        )
        for y, by in zip(proposed.answers, proposed.found_by, strict=True)
    )
    assert answer.log_probability == pytest.approx(math.log(best), abs=1e-5)
    silent = [support for support in answer.support if support.posterior == 0]
    assert all(support.log_likelihood == -math.inf for support in silent)
    thorough = RagSequence(None, generator, temperature=1.0, max_answer_tokens=5).answer([QUESTION], [found])[
        0
    ]
    assert thorough.log_probability >= answer.log_probability


@pytest.mark.parametrize("model", [RagSequence, RagToken])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_questions_equals_one_by_one(tiny, hits, kind, model):
    rag = model(None, tiny(kind), temperature=0.6, max_answer_tokens=6)
    questions = [QUESTION, "pear", "three three one question context : two"]
    found = [hits(TEXTS), hits(TEXTS[1:2]), hits([" ".join(TEXTS), "plum", "red"])]
    together = rag.answer(questions, found, why=True)
    for question, its, answer in zip(questions, found, together, strict=True):
        alone = rag.answer([question], [its], why=True)[0]
        assert (answer.question, answer.text) == (question, alone.text)
        assert answer.log_probability == pytest.approx(alone.log_probability, abs=1e-5)
        assert dict(answer.alternatives) == pytest.approx(dict(alone.alternatives), abs=1e-4)
        for ours, theirs in zip(answer.support, alone.support, strict=True):
            assert ours.passage == theirs.passage
            assert ours.posterior == pytest.approx(theirs.posterior, abs=1e-5)
        assert [w.text for w in answer.without] == [w.text for w in alone.without]


def test_more_questions_than_one_batch_holds(tiny, hits, monkeypatch):
    monkeypatch.setattr("ragkit.generation.rag.PROMPTS_AT_ONCE", 5)
    rag = RagSequence(None, tiny("t5"), max_answer_tokens=4)
    found = [hits(TEXTS[: 1 + i % 4]) for i in range(6)]
    found.insert(2, [])
    answers = rag.answer([QUESTION] * 7, found)
    assert [len(answer.support) for answer in answers] == [len(its) for its in found]
    assert answers[2].text == "" and answers[2].log_probability == 0


def test_hypotheses_are_different_and_say_who_proposed_them(tiny, hits):
    rag = RagSequence(None, tiny("t5"), max_answer_tokens=3)
    candidates = candidates_of(rag, QUESTION, hits(["red", "red", "blue"]))
    assert max(Counter(candidates.answers).values()) == 1
    assert (candidates.found_by[:, 0] == candidates.found_by[:, 1]).all()
    assert (candidates.found_by.sum(axis=0) == rag.beams).all()


def test_what_the_beams_know_and_what_is_scored_may_differ_in_length(tiny, hits):
    generator = tiny("t5")
    rag = RagSequence(None, generator, temperature=1.0, max_answer_tokens=6)
    found = hits(["red", "blue"])
    short, long = Hypothesis((5, 2), (-1.0, -0.5)), Hypothesis((5, 6, 7, 2), (-1.0, -1.0, -1.0, -0.5))
    rag._candidates = lambda reading, priors: [merged([[short, long], [long]])]
    answer = rag.answer([QUESTION], [found])[0]
    assert answer.support[0].log_likelihood == pytest.approx(
        -1.5 if answer.text == generator.text((5, 2), found[0].passage) else -3.5
    )
    expected = plain_likelihood(generator, QUESTION, found[1], (5, 2)).sum()
    prior = [s.prior for s in sorted(answer.support, key=lambda s: s.passage.id)]
    log_p = {answer.text: answer.log_probability, **dict(answer.alternatives)}
    assert log_p[generator.text((5, 2), found[0].passage)] == pytest.approx(
        math.log(prior[0] * math.exp(-1.5) + prior[1] * math.exp(expected)), abs=1e-6
    )


def test_an_empty_answer_is_an_answer(tiny, hits):
    generator = tiny("bart")
    generator.model.final_logits_bias[0, 2] = 30
    answer = RagSequence(None, generator).answer([QUESTION], [hits(TEXTS)])[0]
    assert answer.text == ""
    assert answer.log_probability == pytest.approx(0, abs=1e-6)
    longer = RagSequence(None, generator, min_answer_tokens=3).answer([QUESTION], [hits(TEXTS)])[0]
    assert len(longer.text.split()) == 2


@pytest.mark.parametrize(("bias", "nothing"), [(5.3, False), (30.0, True)])
def test_a_generator_that_may_find_nothing_says_so_when_no_passage_answers(tiny, hits, bias, nothing):
    generator = tiny("pointer")
    generator.model.vocabulary_bias.data[EMPTY[0]] = bias
    generator.model.gate.bias.data[:] = 30
    rag = RagSequence(None, generator, temperature=1.0, max_answer_tokens=5)
    answer = rag.answer([QUESTION], [hits(TEXTS)], why=True)[0]
    likelihoods = np.array([plain_likelihood(generator, QUESTION, hit, EMPTY).sum() for hit in hits(TEXTS)])
    assert (math.exp(likelihoods.sum()) > 0.5) == nothing
    assert (answer.text == "") == nothing
    prior = np.array([hit.score for hit in hits(TEXTS)])
    mixture = np.logaddexp.reduce(prior - np.logaddexp.reduce(prior) + likelihoods)
    assert mixture >= answer.log_probability - 1e-9  # it would have won as the mixture
    # Each passage alone may still say that it holds no answer.
    for left in answer.without:
        rest = [p for p, hit in zip(likelihoods, hits(TEXTS), strict=True) if hit.passage != left.passage]
        assert (left.text == "") == (math.exp(sum(rest)) > 0.5)


def test_what_is_cut_from_a_passage_is_reported(tiny, hits):
    found = hits(["red " * 100, "blue"])
    answer = RagSequence(None, tiny("bart")).answer([QUESTION], [found])[0]
    # <s> passage // question </s>: 48 tokens hold 41 of the passage's 100.
    assert answer.truncated == {"p0": 59}


@pytest.mark.row(112)
@pytest.mark.parametrize("kind", KINDS)
def test_prompts_stay_within_the_window_and_answers_name_their_passages(tiny, hits, kind):
    generator = tiny(kind)
    lengths: list[int] = []
    reader = generator.model.get_encoder() if kind != "gpt2" else generator.model
    reader.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(
            (kwargs.get("input_ids", args[0] if args else None)).shape[1]
        ),
        with_kwargs=True,
    )
    found = hits(["one two three " * 40, "pear", "plum " * 300], titles=["apple", "red " * 90, ""])
    answer = RagSequence(None, generator, max_answer_tokens=7).answer([QUESTION], [found])[0]
    assert max(lengths) == (48 if kind != "gpt2" else 48 - 7)
    assert {support.passage.id for support in answer.support} == {"p0", "p1", "p2"}
    assert {"p0", "p2"} <= set(answer.truncated)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be"),
        ({"beams": 0}, "beams must be"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"max_answer_tokens": 0}, "length must satisfy"),
        ({"min_answer_tokens": 33}, "length must satisfy"),
        ({"decoding": "greedy"}, "no such decoding"),
        ({"mode": "psychic"}, "no such search mode"),
    ],
)
def test_options_out_of_range_are_refused(tiny, options, message):
    with pytest.raises(RagkitError, match=message):
        RagSequence(None, tiny("t5"), **options)


def test_questions_that_cannot_be_answered_are_refused(tiny, hits):
    rag = RagSequence(None, tiny("bart"))
    with pytest.raises(RagkitError, match="question is empty"):
        rag.answer(["  "], [hits(TEXTS)])
    with pytest.raises(RagkitError, match="no index"):
        rag.ask("red")
    with pytest.raises(RagkitError, match="2 questions"):
        rag.answer(["red", "blue"], [hits(TEXTS)])
    with pytest.raises(RagkitError, match="question takes"):
        rag.answer(["red " * 100], [hits(TEXTS)])
    with pytest.raises(RagkitError, match="too long for this model"):
        RagSequence(None, rag.generator, max_answer_tokens=48).answer(["red"], [hits(TEXTS)])


def test_ask_searches_the_index(tiny, hits):
    class Index:
        reranker = None
        manifest = SimpleNamespace(passport=SimpleNamespace(name="packaged"), fusion=None)

        def search_batch(self, questions, k, *, mode, filter):
            self.call = (list(questions), k, mode, filter)
            return [hits(TEXTS[:k]) for _ in questions]

    index = Index()
    rag = RagSequence(index, tiny("t5"), k=2, mode="lexical", max_answer_tokens=4)
    answer = rag.ask(QUESTION, why=True, filter='lang == "en"')
    assert index.call == ([QUESTION], 2, "lexical", 'lang == "en"')
    assert len(answer.support) == len(answer.without) == 2
    assert rag.config == {
        "model": "rag-sequence",
        "k": 2,
        "temperature": 1.0,
        "mode": "lexical",
        "encoder": "packaged",
        "weights": "given",
        "beams": 4,
        "max_answer_tokens": 4,
        "min_answer_tokens": 0,
        "decoding": "thorough",
    }
