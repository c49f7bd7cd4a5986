"""A small language model that learns when to call a calculator. Row 110.

Schick et al. 2023, Toolformer: calls are proposed for questions with known answers, those whose result makes
the answer likelier are kept (`training.tools.filtering`), and the model learns to write them. Nothing tells
it which questions are sums.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.tensors import TensorRecipe
from ragkit.corpus.document import Passage
from ragkit.generation.causal import CausalGenerator
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.tools.calculator import Calculator, calculate
from ragkit.generation.tools.tool import ToolCall, begun
from ragkit.retrieval.hit import Hit
from ragkit.training.checkpoint import save_model
from ragkit.training.loop import train
from ragkit.training.recipe import LoopSettings, OnEvent, Recipe
from ragkit.training.tools.filtering import Proposal, keep_helpful

SUMS = ("what is {a} plus {b}?", "{a} + {b} = ?", "add {b} to {a}")
DIFFERENCES = ("what is {a} minus {b}?", "{a} - {b} = ?", "take {b} from {a}")
OTHERS = (("which comes first, {a} or {b}?", "{a}"), ("which comes last, {a} or {b}?", "{b}"))
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 ?,.=+-*/()[]>\n"
LONGEST = 72
"""Characters of a question with its call, and the answer."""
PLAIN, FITTING = 0.25, 0.75
"""Shares of what is read: questions without a calculation; calculations that are the question's own."""
ROPE_BASE = 100.0
"""Of the rotary positions: small, as the texts are short, so that digits are copied from exact places."""
HELD_OUT = 11
"""One pair of numbers in so many is never trained on: those whose remainders agree, of any last digit."""


@dataclass(frozen=True, slots=True)
class Item:
    question: str
    answer: str
    kind: str
    """sum, difference or other"""
    numbers: tuple[int, int]

    def proposals(self) -> list[Proposal]:
        """The calculator with the question's numbers, every way round: most of them are of no help."""
        a, b = self.numbers
        calls = [f"{a}+{b}", f"{a}-{b}", f"{b}-{a}"]
        return [
            Proposal(self.question, self.answer, ToolCall("calculator", call, calculate(call)))
            for call in calls
        ]


def items(seed: int, held_out: bool) -> Iterator[Item]:
    """Questions about two numbers of three digits, without end."""
    rng = random.Random(f"{seed} {held_out}")
    while True:
        a, b = rng.randint(100, 999), rng.randint(100, 999)
        if ((a - b) % HELD_OUT == 0) != held_out:
            continue
        match rng.randrange(3):
            case 0:
                yield Item(rng.choice(SUMS).format(a=a, b=b), str(a + b), "sum", (a, b))
            case 1:
                yield Item(rng.choice(DIFFERENCES).format(a=a, b=b), str(a - b), "difference", (a, b))
            case _:
                question, answer = rng.choice(OTHERS)
                yield Item(question.format(a=a, b=b), answer.format(a=a, b=b), "other", (a, b))


def taken(count: int, seed: int, held_out: bool = False) -> list[Item]:
    found = items(seed, held_out)
    return [next(found) for _ in range(count)]


def character_tokenizer() -> Any:
    """One token a character, as transformers has it."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate(["<pad>", "<unk>", "<end>", *CHARACTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="<end>",
        model_max_length=2 * LONGEST,
    )  # fmt: skip


def small_model(tokenizer: Any, width: int, layers: int) -> Any:
    """A decoder-only Transformer; it reads "question=" and writes the answer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=4, max_position_embeddings=2 * LONGEST, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    config.ragkit_prompt = "{passage}{question}="
    return LlamaForCausalLM(config)


def examples(tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """(question, what is to be written) -> tokens and labels, (n, LONGEST); -100 where nothing is learnt.

    A text that ends in "->" is a call: what the tool says is not the model's to write, so that it has no end.
    """
    tokens = torch.full((len(pairs), LONGEST), tokenizer.pad_token_id)
    labels = torch.full((len(pairs), LONGEST), -100)
    for row, (question, written) in enumerate(pairs):
        prompt = tokenizer(f"{question}=")["input_ids"]
        target = tokenizer(written)["input_ids"]
        if not written.endswith("->"):
            target.append(tokenizer.eos_token_id)
        whole = torch.tensor([*prompt, *target])
        tokens[row, : len(whole)] = whole
        labels[row, len(prompt) : len(whole)] = whole[len(prompt) :]
    return tokens, labels


@dataclass(frozen=True, kw_only=True)
class Toolformer(Experiment):
    """Learns to read calls, keeps those that help, learns to write them.

    `threshold` in nats; `proposed` questions get calls proposed.
    """

    width: int = 64
    layers: int = 2
    batch_size: int = 64
    questions: int = 30_000
    proposed: int = 16_000
    threshold: float = 1.0
    test: int = 300
    loop: LoopSettings = LoopSettings(
        learning_rate=5e-3, max_steps=2_500, precision="fp32", validate_every=500, warm_up=0.05
    )

    def recipe(self) -> Recipe:
        """A language model that has read questions with answers; beside most of them stands a calculation,
        the fitting one three times in four, as in texts that people write."""
        tokenizer = character_tokenizer()
        rng = random.Random(self.loop.seed)
        pairs = []
        for item in taken(self.questions, self.loop.seed):
            fitting = [p for p in item.proposals() if p.call.result == item.answer]
            shown = rng.choice(fitting if fitting and rng.random() < FITTING else item.proposals())
            plain = rng.random() < PLAIN
            pairs.append((item.question if plain else f"{item.question} {shown.call}", item.answer))
        return self._recipe(small_model(tokenizer, self.width, self.layers), tokenizer, pairs)

    def run(self, out: Path, on_event: OnEvent | None = None) -> dict[str, float]:
        torch.manual_seed(self.loop.seed)
        recipe = self.recipe()
        model: Any = recipe.model
        train(recipe, out / "reading", self.loop, on_event, fingerprint={"part": "reading", **asdict(self)})
        tokenizer = character_tokenizer()
        generator = CausalGenerator(model, tokenizer)
        test = taken(self.test, self.loop.seed, held_out=True)
        without, _ = self._right(generator, test, [])

        asked = taken(self.proposed, self.loop.seed)
        proposals = [proposal for item in asked for proposal in item.proposals()]
        kept = {
            (proposal.question, proposal.answer): proposal.call
            for proposal, _ in keep_helpful(generator, tokenizer, proposals, self.threshold)
        }
        # Anew: one that has learnt to answer from the calculation beside it is slower to learn to write it.
        model = small_model(tokenizer, self.width, self.layers)
        calling = self._recipe(model, tokenizer, list(_to_write(asked, kept)))
        train(calling, out / "calling", self.loop, on_event, fingerprint={"part": "calling", **asdict(self)})
        with_tool, calls = self._right(CausalGenerator(model, tokenizer), test, [Calculator()])
        needed = [item.kind != "other" for item in asked]
        helped = [(item.question, item.answer) in kept for item in asked]
        save_model(out / "model", model, tokenizer)
        return {
            "sums with the calculator": with_tool["sum"],
            "sums without": without["sum"],
            "differences with the calculator": with_tool["difference"],
            "questions without a sum": with_tool["other"],
            "calls where none is needed": calls["other"],
            "kept as it should be": sum(map(bool.__eq__, needed, helped)) / len(asked),
        }

    def _recipe(self, model: nn.Module, tokenizer: Any, pairs: Sequence[tuple[str, str]]) -> Recipe:
        held, kept = pairs[:200], pairs[200:]
        tokens, labels = examples(tokenizer, held)

        def loss(model: nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
            return model(input_ids=tokens, labels=labels).loss

        return TensorRecipe(
            model, examples(tokenizer, kept), loss,
            lambda model: {"loss": float(loss(model, tokens, labels))},
            batch_size=self.batch_size, seed=self.loop.seed,
        )  # fmt: skip

    @staticmethod
    def _right(
        generator: CausalGenerator, test: Sequence[Item], tools: Sequence[Calculator]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """By kind of question, the share of exact answers and of questions that a tool was called for."""
        rag = RagSequence(generator=generator, tools=tools, beams=1, max_answer_tokens=8)
        nothing = Hit(Passage("none", "none", "", 0, 0), 0.0, 1)
        answers = rag.answer([item.question for item in test], [[nothing]] * len(test))
        right: dict[str, list[bool]] = {"sum": [], "difference": [], "other": []}
        called: dict[str, list[bool]] = {kind: [] for kind in right}
        for item, answer in zip(test, answers, strict=True):
            right[item.kind].append(answer.text == item.answer)
            called[item.kind].append(bool(answer.calls))
        return (
            {kind: sum(values) / len(values) for kind, values in right.items()},
            {kind: sum(values) / len(values) for kind, values in called.items()},
        )


def _to_write(asked: Sequence[Item], kept: dict[tuple[str, str], ToolCall]) -> Iterator[tuple[str, str]]:
    """What is to be written after each question, and after its call."""
    for item in asked:
        call = kept.get((item.question, item.answer))
        if call is None:
            yield item.question, item.answer
        else:
            yield item.question, begun(call.tool, call.argument)
            yield f"{item.question} {call}", item.answer


def three_digit_sums() -> dict[str, list[float]]:
    """Row 110, one seed: a run takes eight minutes."""
    measured = over_seeds(Toolformer(), seeds=(0,))
    targets = (
        "sums with the calculator",
        "sums without",
        "calls where none is needed",
        "kept as it should be",
    )
    return {name: measured[name] for name in targets}
