"""Prompts kept between questions: the answers are those without a cache, and less is read."""

import pytest
import torch

from ragkit.errors import RagkitError
from ragkit.generation.prompt_cache import Kept, PromptCache, key_of, shared_length
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.rag_token import RagToken

TEXTS = ["apple red pear", "green plum two blue one three", "blue", "pear / two red"]
ASKED = [
    (["one two : red"], [TEXTS]),
    (["pear", "three three one question"], [TEXTS[1:], [*TEXTS[:2], "plum"]]),
    (["one two : red"], [TEXTS]),
]


def test_what_was_asked_for_longest_ago_makes_room():
    cache = PromptCache(100)
    kept = [Kept((i,), {"states": torch.zeros(10)}) for i in range(4)]  # 40 bytes each
    cache.put(b"a", kept[0])
    cache.put(b"b", kept[1])
    assert cache.get(b"a") is kept[0]
    cache.put(b"c", kept[2])
    assert (cache.get(b"a"), cache.get(b"b"), cache.get(b"c")) == (kept[0], None, kept[2])
    cache.put(b"a", kept[3])
    assert cache.get(b"a") is kept[3]
    assert (len(cache), cache.size) == (2, 80)
    cache.put(b"a", Kept((1,), {"states": torch.zeros(1000)}))
    assert (cache.get(b"a"), cache.size) == (None, 40)
    with pytest.raises(RagkitError, match="give 0 for none"):
        PromptCache(-1)


def test_keys_and_beginnings():
    assert key_of("a", "bc") != key_of("ab", "c")
    assert key_of((1, 2)) == key_of((1, 2))
    assert [shared_length((1, 2, 3), other) for other in ((1, 2, 4), (1, 2, 3), (1, 2), (), (5,))] == [
        2,
        3,
        2,
        0,
        0,
    ]


def answers(generator, hits, model):
    rag = model(None, generator, temperature=0.7, max_answer_tokens=5)
    return [
        answer
        for questions, texts in ASKED
        for answer in rag.answer(questions, [hits(some) for some in texts])
    ]


@pytest.mark.parametrize("limit", [1, 10_000, 10**9])
@pytest.mark.parametrize("model", [RagSequence, RagToken])
@pytest.mark.parametrize("kind", ["t5", "bart", "encoder-decoder", "pointer", "gpt2"])
def test_answers_are_those_without_a_cache(tiny, hits, kind, model, limit):
    plain, caching = tiny(kind, 1), tiny(kind, 1)
    caching.cache = PromptCache(limit)
    for one, other in zip(answers(plain, hits, model), answers(caching, hits, model), strict=True):
        assert one.text == other.text
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-9)
        assert [s.posterior for s in one.support] == pytest.approx(
            [s.posterior for s in other.support], abs=1e-9
        )
    assert caching.cache.size <= limit
    assert bool(len(caching.cache)) == (limit > 1)
    assert len(plain.cache) == 0


def tokens_read(generator, hits, questions):
    module = generator.model.get_encoder() if hasattr(generator.model, "get_decoder") else generator.model
    read = []
    hook = module.register_forward_pre_hook(
        lambda module, args, given: read.append(given.get("input_ids", args[0] if args else None).numel()),
        with_kwargs=True,
    )
    passages = [hit.passage for hit in hits(TEXTS)]
    for question in questions:
        generator.read([question] * len(passages), passages, 5)
    hook.remove()
    return read


def test_a_causal_model_reads_only_what_follows_the_passage_again(tiny, hits):
    generator = tiny("gpt2")
    generator.cache = PromptCache(10**9)
    first, second, again = tokens_read(generator, hits, ["one two : red", "pear", "pear"])
    # "\nQuestion\nAnswer :" for each of four passages: 5 tokens, of which the first is the same.
    assert first > second == 4 * 4
    assert again == 4


def test_an_encoder_reads_the_same_prompt_once(tiny, hits):
    generator = tiny("bart")
    generator.cache = PromptCache(10**9)
    assert len(tokens_read(generator, hits, ["one two : red", "one two : red", "pear"])) == 2
