"""What a generator writes, and how likely each of its tokens was: differentiable, without caches."""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor

from ragkit.corpus.document import Passage
from ragkit.generation.beams import beam_search
from ragkit.generation.causal import CausalGenerator
from ragkit.generation.generator import Tokens
from ragkit.generation.prompts import fit
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.generation.window import decoder_window, padded

Generator = Seq2SeqGenerator | CausalGenerator
ANSWER_TOKENS = 16
"""Most tokens of an answer that is written."""


def written(generator: Generator, questions: Sequence[str], passages: Sequence[Passage]) -> list[Tokens]:
    """The likeliest token each time, to the end or to `ANSWER_TOKENS`; never empty."""
    most = ANSWER_TOKENS
    if isinstance(generator, Seq2SeqGenerator):
        most = min(most, decoder_window(generator.model.config) - len(generator.prefix))
    reading, _ = generator.read(questions, passages, most)
    alone = torch.zeros(len(questions), 1)
    found = beam_search(reading, alone, generator.ending, beams=1, max_tokens=most)
    return [best.tokens for (best, *_) in found]


def forced(
    generator: Generator, questions: Sequence[str], passages: Sequence[Passage], answers: Sequence[Tokens]
) -> list[Tensor]:
    """log p of every token in the place of each of an answer's, after those before it.

    Returns an answer a tensor, (its tokens, vocabulary), with a gradient where gradients are on.
    """
    longest = max(map(len, answers))
    room = 0 if isinstance(generator, Seq2SeqGenerator) else longest
    prompts = [
        fit(generator.render, question, passage, generator.window - room)
        for question, passage in zip(questions, passages, strict=True)
    ]
    model = generator.model
    inputs = padded(prompts, generator.tokenizer, model.device)
    accepted = inspect.signature(model.forward).parameters
    inputs = {name: value for name, value in inputs.items() if name in accepted}
    tokens = torch.zeros(len(answers), longest, dtype=torch.long, device=model.device)
    for row, answer in enumerate(answers):
        tokens[row, : len(answer)] = torch.tensor(answer)
    if isinstance(generator, Seq2SeqGenerator):
        prefix = tokens.new_tensor([generator.prefix]).expand(len(tokens), -1)
        before = torch.cat([prefix, tokens[:, :-1]], dim=1)
        logits = model(**inputs, decoder_input_ids=before, use_cache=False).logits
        begins = [len(generator.prefix) - 1] * len(answers)
    else:
        # An answer stands right behind its prompt; what is behind the answer no token sees.
        ids = torch.cat([inputs["input_ids"], torch.zeros_like(tokens)], dim=1)
        begins = [len(prompt) - 1 for prompt in prompts]
        for row, (begin, answer) in enumerate(zip(begins, answers, strict=True)):
            ids[row, begin + 1 : begin + 1 + len(answer)] = torch.tensor(answer)
        logits = model(input_ids=ids, use_cache=False).logits
    return [
        row[begin : begin + len(answer)].float().log_softmax(-1)
        for row, begin, answer in zip(logits, begins, answers, strict=True)
    ]
