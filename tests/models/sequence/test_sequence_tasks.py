"""What the models of chapter 6 learn, on made tasks: rows 77, 87, 93. Minutes of training: `-m slow`."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.sequence.additive_attention import AttentiveEncoderDecoder
from ragkit.models.sequence.decoding import Ends, greedy
from ragkit.models.sequence.encoder_decoder import EncoderDecoder
from ragkit.models.sequence.many_to_one import ManyToOne
from ragkit.models.sequence.one_to_many import OneToMany
from ragkit.models.sequence.transformer import Transformer, shifted_right

PADDING, BEGIN, END = 0, 1, 2
FIRST = 3  # the digit 0; ten digits follow

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("seed", [0, 1, 2])]


def train(model: nn.Module, loss: Callable[[], Tensor], steps: int, rate: float) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def digits(rows: int, least: int, most: int) -> tuple[Tensor, Tensor]:
    """Rows of digits of unequal lengths, and the lengths."""
    lengths = torch.randint(least, most + 1, (rows,))
    tokens = torch.randint(FIRST, FIRST + 10, (rows, most))
    return tokens.masked_fill(torch.arange(most) >= lengths[:, None], PADDING), lengths


def ended(rows: list[list[int]]) -> Tensor:
    """Target rows with their end and padding."""
    width = max(map(len, rows)) + 1
    return torch.tensor([[*row, END] + [PADDING] * (width - 1 - len(row)) for row in rows])


def token_loss(logits: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PADDING)


def exact(found: list[list[int]], target: Tensor) -> float:
    wanted = [[t for t in row if t != PADDING] for row in target.tolist()]
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted)


@pytest.mark.row(77)
def test_many_to_one_learns_the_parity_of_bits(seed: int) -> None:
    torch.manual_seed(seed)
    model = ManyToOne(2, 8, 24, 2)

    def draw(rows: int) -> tuple[Tensor, Tensor, Tensor]:
        lengths = torch.randint(1, 9, (rows,))
        bits = torch.randint(2, (rows, 8))
        real = torch.arange(8) < lengths[:, None]
        return bits, lengths, (bits * real).sum(1) % 2

    def loss() -> Tensor:
        bits, lengths, truth = draw(128)
        return functional.cross_entropy(model(bits, lengths), truth)

    train(model, loss, 1200, 1e-2)
    bits, lengths, truth = draw(2000)
    with torch.no_grad():
        assert (model(bits, lengths).argmax(1) == truth).float().mean() >= 0.99


@pytest.mark.row(77)
def test_one_to_many_counts_up(seed: int) -> None:
    """From the digit n the sequence n, n+1, … 9 and its end: ten outputs of ten lengths."""
    torch.manual_seed(seed)
    model = OneToMany(10, 13, 8, 24)
    objects = torch.arange(10)
    target = ended([[FIRST + digit for digit in range(n, 10)] for n in range(10)])
    train(model, lambda: token_loss(model(objects, shifted_right(target, BEGIN)), target), 400, 2e-2)
    with torch.no_grad():
        found = greedy(model.decoder.step, model.start(objects), 10, Ends(BEGIN, END, 12))
    assert exact(found, target) >= 0.99


@pytest.mark.row(77)
def test_many_to_many_copies_backwards_at_another_length(seed: int) -> None:
    """d_1 … d_n to d_n d_n … d_1 d_1, twice as long, through one vector."""
    torch.manual_seed(seed)
    model = EncoderDecoder(13, 13, 32, 96)

    def draw(rows: int) -> tuple[Tensor, Tensor, Tensor]:
        source, lengths = digits(rows, 1, 3)
        wanted = [
            [token for digit in reversed(row[:n]) for token in (digit, digit)]
            for row, n in zip(source.tolist(), lengths.tolist(), strict=True)
        ]
        return source, lengths, ended(wanted)

    def loss() -> Tensor:
        source, lengths, target = draw(128)
        return token_loss(model(source, lengths, shifted_right(target, BEGIN)), target)

    train(model, loss, 1200, 1e-2)
    source, lengths, target = draw(500)
    with torch.no_grad():
        found = greedy(model.decoder.step, model.start(source, lengths), 500, Ends(BEGIN, END, 8))
    assert exact(found, target) >= 0.98


@pytest.mark.row(87)
def test_attention_finds_the_place_that_is_copied(seed: int) -> None:
    torch.manual_seed(seed)
    model = AttentiveEncoderDecoder(13, 13, 16, 32)

    def draw(rows: int) -> tuple[Tensor, Tensor, Tensor]:
        source, lengths = digits(rows, 2, 6)
        return (
            source,
            lengths,
            ended([row[:n] for row, n in zip(source.tolist(), lengths.tolist(), strict=True)]),
        )

    def loss() -> Tensor:
        source, lengths, target = draw(96)
        return token_loss(model(source, lengths, shifted_right(target, BEGIN))[0], target)

    train(model, loss, 900, 1e-2)
    source, lengths, target = draw(500)
    with torch.no_grad():
        logits, weights = model(source, lengths, shifted_right(target, BEGIN))
    copied = source != PADDING  # target place t is a copy of source place t
    assert (logits.argmax(-1) == target)[target != PADDING].float().mean() >= 0.98
    places = torch.arange(source.shape[1]).expand_as(source)
    on_gold = weights[:, : source.shape[1]].argmax(-1) == places
    assert on_gold[copied].float().mean() >= 0.95


@pytest.mark.row(93)
@pytest.mark.parametrize("task", ["sort", "reverse"])
def test_transformer_sorts_and_reverses_digit_strings(seed: int, task: str) -> None:
    torch.manual_seed(seed)
    model = Transformer(13, 48, 2, 4, 96, dropout=0.0, norm="pre")

    def draw(rows: int) -> tuple[Tensor, Tensor]:
        source, lengths = digits(rows, 1, 6)
        rows_of_digits = [row[:n] for row, n in zip(source.tolist(), lengths.tolist(), strict=True)]
        return source, ended([sorted(r) if task == "sort" else r[::-1] for r in rows_of_digits])

    def loss() -> Tensor:
        source, target = draw(128)
        return token_loss(model(source, shifted_right(target, BEGIN)), target)

    train(model, loss, 1000, 4e-3)
    source, target = draw(500)
    with torch.no_grad():
        found = greedy(model.step, model.start(source), 500, Ends(BEGIN, END, 8))
    assert exact(found, target) >= 0.98
