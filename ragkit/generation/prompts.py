"""From a question and a passage to the tokens of a prompt that fits the model's window."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError

PAIR = "pair"
"""The format of models that read `[CLS] question [SEP] passage [SEP]`, the title left out."""

T5 = "question: {question} context: {title}{passage}"
BART = "{title}{passage} // {question}"
"""As the generator of Lewis et al. 2020 was trained: title / passage // question."""
INSTRUCTION = (
    "Answer the question with as few words as possible, taken from the passage.\n\n"
    "Passage: {title}{passage}\n\nQuestion: {question}"
)

SEQ2SEQ_FORMATS = {
    "bart": BART,
    "mbart": BART,
    "encoder-decoder": PAIR,
    "ragkit-pointer-generator": PAIR,
}
"""Prompt format by `config.model_type`; any other sequence-to-sequence model is prompted as T5 is."""

TITLE_ENDS = {BART: " / "}

Render = Callable[[str, str, str], dict[str, list[int]]]
"""(question, title, passage) -> the model's inputs, one list of `input_ids` and what goes with them."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt within the window. `cut` is how many tokens shorter it is than with the whole passage."""

    inputs: dict[str, list[int]]
    cut: int

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


def renderer(tokenizer: Any, format: str, *, chat: bool = False) -> Render:
    """How prompts of a format become tokens.

    Args:
        format: "pair", or a template that holds `{question}`, `{passage}` and, if wanted, `{title}`.
        chat: the template is a user's message in the tokenizer's chat template.

    What looks like a special token in a question or a passage ("</s>", "[SEP]", "<|im_end|>") is broken up
    by a space: text that was found must not be able to end its part of the prompt.

    Raises RagkitError if a template lacks the question or the passage.
    """
    plain = _without_specials(tokenizer)
    if format == PAIR:
        return lambda question, title, passage: _tokens(tokenizer, plain(question), plain(passage))
    if "{question}" not in format or "{passage}" not in format:
        raise RagkitError(f"the prompt format {format!r} must hold {{question}} and {{passage}}")
    title_end = TITLE_ENDS.get(format, ": ")

    def render(question: str, title: str, passage: str) -> dict[str, list[int]]:
        values = {
            "{question}": plain(question),
            "{title}": plain(title) + title_end if title else "",
            "{passage}": plain(passage),
        }
        text = re.sub(r"\{(?:question|title|passage)\}", lambda found: values[found[0]], format)
        if not chat:
            return _tokens(tokenizer, text)
        message = [{"role": "user", "content": text}]
        written = tokenizer.apply_chat_template(
            message, add_generation_prompt=True, tokenize=False, enable_thinking=False
        )
        return _tokens(tokenizer, written, add_special_tokens=False)

    return render


def fit(render: Render, question: str, passage: Passage, window: int) -> Prompt:
    """The prompt of a question and a passage in at most `window` tokens, the passage's end cut if need be.

    The cut falls between words where there are any. A title that alone overflows is left out.

    Raises RagkitError if the question does not fit without any passage.
    """
    whole = render(question, passage.title, passage.text)
    length = len(whole["input_ids"])
    if length <= window:
        return Prompt(whole, 0)
    title = passage.title
    if len(render(question, title, "")["input_ids"]) > window:
        title = ""
        least = len(render(question, title, "")["input_ids"])
        if least > window:
            raise RagkitError(
                f"the question takes {least} tokens with its prompt and the model reads {window}: "
                f"shorten the question ({question[:40]!r}...)"
            )

    def fits(characters: int) -> bool:
        return len(render(question, title, passage.text[:characters])["input_ids"]) <= window

    end = _longest(fits, len(passage.text), first_guess=4 * window)
    kept = render(question, title, passage.text[: _word_end(passage.text, end)])
    return Prompt(kept, length - len(kept["input_ids"]))


def _longest(fits: Callable[[int], bool], most: int, first_guess: int) -> int:
    """The largest n <= most that fits, 0 being known to. Little of what lies beyond is looked at."""
    low, high = 0, min(first_guess, most)
    while high < most and fits(high):
        low, high = high, min(2 * high, most)
    if fits(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _word_end(text: str, end: int) -> int:
    """The last end of a word at or before `end`, or `end` where no word ends before it."""
    if end >= len(text) or text[end].isspace():
        return end
    head = text[:end]
    cut = len(head) - len(re.split(r"\s", head)[-1])
    return len(head[:cut].rstrip()) or end


def _tokens(tokenizer: Any, *texts: str, **options: Any) -> dict[str, list[int]]:
    return dict(tokenizer(*texts, verbose=False, **options))


def _without_specials(tokenizer: Any) -> Callable[[str], str]:
    specials = {str(token) for token in tokenizer.all_special_tokens}
    specials |= {str(token) for token in getattr(tokenizer, "added_tokens_decoder", {}).values()}
    longest_first = sorted((token for token in specials if len(token) > 1), key=len, reverse=True)
    pattern = "|".join(re.escape(token) for token in longest_first)
    if not pattern:
        return lambda text: text
    return lambda text: re.sub(pattern, lambda found: f"{found[0][0]} {found[0][1:]}", text)
