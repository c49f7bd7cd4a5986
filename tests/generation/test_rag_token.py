"""RAG-Token against enumeration and against transformers' mixture."""

import numpy as np
import pytest
import torch
from transformers import RagConfig, RagTokenForGeneration

from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.rag_token import RagToken

KINDS = ["t5", "bart", "gpt2"]
QUESTION = "one two : red"
TEXTS = ["apple red pear", "green plum two blue one three", "blue", "pear / two red"]


def mixture_candidates(rag, found, log_prior):
    reading, _ = rag.generator.read(
        [QUESTION] * len(found), [hit.passage for hit in found], rag.max_answer_tokens
    )
    return rag._candidates(reading, [log_prior])[0].answers


def whole_forward(generator, hit, answer):
    """log p(y_t|x,z,y_<t), (T,), without cache, padding or batch."""
    rendered = generator.render(QUESTION, "", hit.passage.text)
    prompt = torch.tensor([rendered["input_ids"]])
    with torch.no_grad():
        if hasattr(generator, "prefix"):
            prefix = torch.tensor([[*generator.prefix, *answer[:-1]]])
            logits = generator.model(input_ids=prompt, decoder_input_ids=prefix).logits[0]
        else:
            tokens = torch.cat([prompt, torch.tensor([answer[:-1]], dtype=torch.long)], dim=1)
            logits = generator.model(input_ids=tokens).logits[0]
    return (
        torch.log_softmax(logits[-len(answer) :], -1).gather(-1, torch.tensor(answer)[:, None])[:, 0].numpy()
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_equal_enumeration(tiny, hits, kind, seed):
    rag = RagToken(None, tiny(kind, seed), temperature=0.7, max_answer_tokens=5)
    found = hits(TEXTS)
    answer = rag.answer([QUESTION], [found])[0]
    log_prior = torch.log_softmax(
        torch.tensor([hit.score for hit in found], dtype=torch.float64) / 0.7, 0
    ).numpy()
    by_answer = {}
    for y in mixture_candidates(rag, found, log_prior):
        tokens = np.stack([whole_forward(rag.generator, hit, y) for hit in found])
        by_answer[y] = (np.log(np.exp(log_prior[:, None] + tokens).sum(0)).sum(), tokens)
    best = max(by_answer, key=lambda y: by_answer[y][0])
    log_p, tokens = by_answer[best]
    assert answer.text == rag.generator.text(best, found[0].passage)
    assert answer.log_probability == pytest.approx(log_p, abs=1e-5)
    joint = np.exp(log_prior + tokens.sum(1))
    for support in answer.support:
        assert support.posterior == pytest.approx(joint[int(support.passage.id[1:])] / joint.sum(), abs=1e-5)
    assert sum(support.posterior for support in answer.support) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_log_probabilities_equal_the_loss_of_transformers(tiny, hits, kind):
    generator = tiny(kind)
    rag = RagToken(None, generator, temperature=1.0, max_answer_tokens=5, min_answer_tokens=2)
    found = hits(TEXTS)
    config = RagConfig(
        question_encoder={
            "model_type": "dpr",
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
        },
        generator=generator.model.config.to_dict(),
        n_docs=len(found),
    )
    oracle = RagTokenForGeneration(
        config=config, question_encoder=torch.nn.Module(), generator=generator.model
    ).eval()
    batch = generator.tokenizer.pad(
        [generator.render(QUESTION, "", hit.passage.text) for hit in found], return_tensors="pt"
    )
    scores = torch.tensor([[hit.score for hit in found]], dtype=torch.float64)
    log_prior = torch.log_softmax(scores[0], 0).numpy()
    answer = rag.answer([QUESTION], [found])[0]
    losses = []
    for y in mixture_candidates(rag, found, log_prior):
        with torch.no_grad():
            # shift_tokens_right makes the decoder's input of the labels; a forced BOS has to be in both.
            logits = oracle(
                context_input_ids=batch["input_ids"],
                context_attention_mask=batch["attention_mask"],
                doc_scores=scores,
                decoder_input_ids=torch.tensor([[*generator.prefix, *y[:-1]]]),
            ).logits
            log_p = oracle.marginalize(logits, scores)[0, -len(y) :]
        losses.append(log_p.gather(-1, torch.tensor(y)[:, None]).sum().item())
    assert answer.log_probability == pytest.approx(max(losses), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_with_one_passage_it_is_rag_sequence(tiny, hits, kind):
    generator = tiny(kind)
    found = hits(TEXTS[:1])
    token = RagToken(None, generator, max_answer_tokens=6).answer([QUESTION], [found])[0]
    sequence = RagSequence(None, generator, max_answer_tokens=6).answer([QUESTION], [found])[0]
    assert token.text == sequence.text
    assert token.log_probability == pytest.approx(sequence.log_probability, abs=1e-9)


def test_leaving_a_passage_out_weighs_the_same_candidates(tiny, hits):
    rag = RagToken(None, tiny("bart"), temperature=0.5, max_answer_tokens=5)
    found = hits(TEXTS[:3])
    answer = rag.answer([QUESTION], [found], why=True)[0]
    log_prior = np.array([hit.score for hit in found]) / 0.5
    log_prior -= np.log(np.exp(log_prior).sum())
    candidates = mixture_candidates(rag, found, log_prior)
    for z, without in enumerate(answer.without):
        rest = [hit for i, hit in enumerate(found) if i != z]
        prior = np.exp(np.delete(log_prior, z))
        prior /= prior.sum()
        log_p = [
            np.log(
                (prior[:, None] * np.exp([whole_forward(rag.generator, hit, y) for hit in rest])).sum(0)
            ).sum()
            for y in candidates
        ]
        assert without.passage == found[z].passage
        assert without.log_probability == pytest.approx(max(log_p), abs=1e-5)
        assert without.text == rag.generator.text(candidates[int(np.argmax(log_p))], rest[0].passage)
    assert rag.config["model"] == "rag-token"
