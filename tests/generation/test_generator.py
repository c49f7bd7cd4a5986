import pytest
import torch

import ragkit.generation.generator as generator_module
from ragkit.errors import RagkitError
from ragkit.generation.causal import CausalGenerator
from ragkit.generation.generator import token_log_likelihoods
from ragkit.generation.seq2seq import Seq2SeqGenerator

ANSWERS = [(5, 6, 2), (2,), (7, 8, 9, 10, 2), (5, 6, 7, 2), (11,)]
ROWS = [1, 0, 1, 0, 1]


@pytest.mark.parametrize("kind", ["t5", "pointer", "gpt2"])
def test_likelihoods_do_not_depend_on_how_they_are_batched(tiny, hits, monkeypatch, kind):
    generator = tiny(kind)
    reading, _ = generator.read(["red", "one two"], [hit.passage for hit in hits(["apple pear", "blue"])], 8)
    together = token_log_likelihoods(reading, ROWS, ANSWERS)
    monkeypatch.setattr(generator_module, "ELEMENTS", 1)
    alone = token_log_likelihoods(reading, ROWS, ANSWERS)
    assert together.dtype == torch.float64
    assert together.shape == (5, 5)
    assert torch.allclose(together, alone, atol=1e-5)
    assert all((together[i, len(y) :] == 0).all() for i, y in enumerate(ANSWERS))
    assert (together.sum(1) < 0).all()


@pytest.mark.parametrize("kind", ["t5", "encoder-decoder", "gpt2"])
def test_a_selection_lives_its_own_life(tiny, hits, kind):
    generator = tiny(kind)
    reading, _ = generator.read(["red", "one two"], [hit.passage for hit in hits(["apple pear", "blue"])], 8)
    first = reading.select(torch.tensor([1, 1, 0]))
    before = first.extend(torch.tensor([[5, 6], [7, 8], [5, 6]]))
    again = reading.select(torch.tensor([1])).extend(torch.tensor([[5, 6]]))
    assert torch.allclose(before[:1], again)
    first.reorder(torch.tensor([1, 0, 2]))
    swapped = first.extend(torch.tensor([[9], [9], [9]]))
    straight = reading.select(torch.tensor([1])).extend(torch.tensor([[7, 8, 9]]))[:, -1:]
    assert torch.allclose(swapped[:1], straight)


def test_a_chat_template_is_used_and_no_line_end_ends_an_answer(tiny, hits):
    plain = tiny("gpt2")
    tokenizer = plain.tokenizer
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"][-1]
    assert newline in plain.ending.stops
    tokenizer.chat_template = (
        "{% for m in messages %}<s> {{ m['content'] }} </s>{% endfor %}"
        "{% if add_generation_prompt %} Answer :{% endif %}"
    )
    chat = CausalGenerator(plain.model, tokenizer, "{question} // {passage}")
    assert newline not in chat.ending.stops
    assert 2 in chat.ending.stops
    prompt = chat.render("red </s> one", "", "blue")["input_ids"]
    # A chat's marks within the question do not end the user's turn.
    assert tokenizer.convert_ids_to_tokens(prompt) == "<s> red <unk> <unk> one // blue </s> Answer :".split()


def test_text_is_what_stands_before_the_end(tiny, hits):
    passage = hits(["Red APPLE"])[0].passage
    for kind in ("t5", "bart", "gpt2"):
        generator = tiny(kind)
        assert generator.text(tuple(generator.tokenizer("red apple")["input_ids"]), passage) == "red apple"
        assert generator.text((2,), passage) == ""


def test_what_the_model_folder_says_comes_before_the_defaults(tiny):
    t5, gpt2 = tiny("t5"), tiny("gpt2")
    t5.model.config.ragkit_prompt = "{passage} {question}"
    t5.model.generation_config.length_penalty = 0.5
    again = Seq2SeqGenerator(t5.model, t5.tokenizer)
    assert again.ending.length_penalty == 0.5
    assert t5.tokenizer.decode(again.render("red", "", "blue")["input_ids"]) == "blue red </s>"
    gpt2.model.config.ragkit_prompt = "{passage} // {question}"
    again = CausalGenerator(gpt2.model, gpt2.tokenizer)
    assert gpt2.tokenizer.decode(again.render("red", "", "blue")["input_ids"]) == "blue // red"


def test_models_that_cannot_end_or_begin_are_refused(tiny, hits):
    t5 = tiny("t5")
    t5.model.generation_config.decoder_start_token_id = None
    t5.model.config.decoder_start_token_id = None
    with pytest.raises(RagkitError, match="decoder_start_token_id"):
        Seq2SeqGenerator(t5.model, t5.tokenizer)
    bart = tiny("bart")
    bart.model.generation_config.eos_token_id = bart.model.config.eos_token_id = None
    bart.tokenizer.eos_token = None
    with pytest.raises(RagkitError, match="eos_token_id"):
        Seq2SeqGenerator(bart.model, bart.tokenizer)
    with pytest.raises(RagkitError, match="no room"):
        tiny("gpt2").read(["red"], [hits(["blue"])[0].passage], 48)


@pytest.mark.parametrize("kind", ["t5", "bart", "encoder-decoder", "pointer"])
def test_prompts_are_encoded_alike_in_one_batch_and_in_several(tiny, hits, monkeypatch, kind):
    generator = tiny(kind)
    found = hits(["apple pear", "blue", "green plum two blue one three", "red red"])
    given = (["red"] * 4, [hit.passage for hit in found], 8)
    together, _ = generator.read(*given)
    monkeypatch.setattr("ragkit.generation.prompt_encoder.TOKENS_AT_ONCE", 1)
    alone, _ = generator.read(*given)
    assert torch.allclose(together.logits, alone.logits, atol=1e-6)
    tokens = torch.tensor([[5, 6]] * 4)
    assert torch.allclose(together.extend(tokens), alone.extend(tokens), atol=1e-6)
