"""What reader and generator have in common: batches of questions with right and with wrong passages."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from ragkit.training.answering.data import ReadingExample, token_batches
from ragkit.training.answering.negatives import HardNegatives
from ragkit.training.answering.reading_set import ReadingSet, Window
from ragkit.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How pairs are shown.

    `negatives` is the number of questions an epoch asks of a wrong passage, as a share of all of them.
    The first `cropped_epochs` show passages cut to `crop_tokens` around the answer, which is half the
    work; after that whole ones. `held_out` questions at most, of articles never trained on, validate.
    """

    max_tokens: int = 384
    stride: int = 128
    max_question_tokens: int = 64
    batch_tokens: int = 3072
    crop_tokens: int = 96
    cropped_epochs: float = 1.0
    negatives: float = 1 / 6
    held_out: int = 400


class PairRecipe(Recipe):
    """Batches of windows; what is learnt from them is the subclass's matter."""

    def __init__(
        self, model: nn.Module, train: ReadingSet, held_out: ReadingSet, settings: PairSettings, seed: int
    ) -> None:
        self.model, self.train_set, self.held_out = model, train, held_out
        self.pairs, self._seed = settings, seed
        self._negatives = HardNegatives(train.passages)
        self._own = [window for at in range(len(train.examples)) for window in train.windows(at)]

    def batches(self, epoch: int) -> Sequence[list[Window]]:
        rng = np.random.default_rng((self._seed, epoch))
        windows = self._own + self._wrong(rng)
        share = min(1.0, max(0.0, self.pairs.cropped_epochs - epoch))
        cropped = rng.permutation(len(windows)) < round(share * len(windows))
        short = [self._crop(window, rng) for window, cut in zip(windows, cropped, strict=True) if cut]
        whole = [window for window, cut in zip(windows, cropped, strict=True) if not cut]
        return self._grouped(short, rng) + self._grouped(whole, rng)

    def _grouped(self, windows: list[Window], rng: np.random.Generator) -> list[list[Window]]:
        widths = np.array([self.train_set.width(window) for window in windows])
        rows = token_batches(widths, self.pairs.batch_tokens, rng)
        return [[windows[row] for row in batch] for batch in rows]

    def _wrong(self, rng: np.random.Generator) -> list[Window]:
        data = self.train_set
        asked = rng.permutation(len(data.examples))[: round(len(data.examples) * self.pairs.negatives)]
        examples = [data.examples[at] for at in asked]
        drawn = self._negatives.draw(examples, [data.passage_of[at] for at in asked], rng)
        return [data.windows(int(at), p)[0] for at, p in zip(asked, drawn, strict=True) if p is not None]

    def _crop(self, window: Window, rng: np.random.Generator) -> Window:
        # Of a passage whose answer stands nowhere in it as written, no part may be missing.
        if self.train_set.is_free(window):
            return window
        return self.train_set.crop(window, self.pairs.crop_tokens, rng)


def reading_sets(
    tokenizer: object,
    train: Sequence[ReadingExample],
    held_out: Sequence[ReadingExample],
    settings: PairSettings,
) -> tuple[ReadingSet, ReadingSet]:
    """Training and held-out examples, tokenised."""
    sizes = (settings.max_tokens, settings.stride, settings.max_question_tokens)
    return ReadingSet(train, tokenizer, *sizes), ReadingSet(held_out, tokenizer, *sizes)
