"""Row 83: a bidirectional language model over characters, learnt from WikiText-2's validation part."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.sequence.elmo import golden_error
from ragkit.chapters.sequence.language import wikitext
from ragkit.models.sequence.bilm import BilmConfig
from ragkit.models.sequence.characters import BEGIN_SENTENCE, END_SENTENCE, word_characters
from ragkit.models.sequence.elmo import UNKNOWN, Elmo
from ragkit.training.pretraining.elmo import ElmoRecipe, ElmoSettings
from ragkit.training.pretraining.elmo_data import BEGIN, END, Text, WordCorpus
from ragkit.training.recipe import LoopSettings, Recipe

WORD_LENGTH = 16
"""Characters of a word that are read, its marks included."""


@dataclass(frozen=True, kw_only=True)
class CharacterBilm(Experiment):
    """`ragkit train elmo` at a size that learns in a minute; tested on `held` words of the test part.

    The `vocabulary` most frequent words are predicted, the rest counts as unknown, as in WikiText-2 itself.
    """

    vocabulary: int = 2000
    width: int = 64
    cells: int = 128
    layers: int = 2
    dropout: float = 0.1
    rows: int = 64
    row_words: int = 20
    held: int = 30_000
    loop: LoopSettings = LoopSettings(
        learning_rate=1e-2, max_steps=250, precision="fp32", validate_every=125, warm_up=0.05
    )

    def recipe(self) -> Recipe:
        corpus = self.corpus()
        config = BilmConfig(
            width=self.width, cells=self.cells, layers=self.layers, dropout=self.dropout,
            filters=((1, 16), (2, 16), (3, 32), (4, 32)), highways=1, word_length=WORD_LENGTH,
            vocabulary=len(corpus.vocabulary),
        )  # fmt: skip
        settings = ElmoSettings(loop=self.loop, rows=self.rows, row_words=self.row_words)
        model = Elmo(config, corpus.vocabulary)
        assert model.bilm.softmax is not None
        with torch.no_grad():  # so that the first thing learnt is not how frequent the words are
            model.bilm.softmax.bias.copy_(-torch.arange(1, len(corpus.vocabulary) + 1).log())
        return ElmoRecipe(model, corpus, settings)

    def corpus(self) -> WordCorpus:
        learnt, tested = (_sentences(part, self.row_words - 2) for part in ("valid", "test"))
        tested = tested[: np.searchsorted(np.cumsum([sum(map(len, text)) for text in tested]), self.held)]
        counts = Counter(chain(*chain(*learnt)))
        words = [BEGIN_SENTENCE, END_SENTENCE, UNKNOWN, *(w for w, _ in counts.most_common() if w != "<unk>")]
        words += sorted({w for w in chain(*chain(*tested)) if w not in counts})
        number = {word: at for at, word in enumerate(words)} | {"<unk>": words.index(UNKNOWN)}

        def numbered(texts: Sequence[list[list[str]]]) -> list[Text]:
            return [
                [np.array([BEGIN, *(number[word] for word in words), END], dtype=np.int32) for words in text]
                for text in texts
            ]

        characters = torch.tensor([word_characters(word, WORD_LENGTH) for word in words], dtype=torch.int16)
        return WordCorpus(words[: self.vocabulary], characters, numbered(learnt), numbered(tested))


def _sentences(part: str, most: int) -> list[list[list[str]]]:
    """Paragraphs of a part as sentences of at most so many words."""
    found = []
    for words in wikitext(part):
        ends = [at + 1 for at, word in enumerate(words) if word == "."] + [len(words)]
        parts = [words[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        found.append([p[at : at + most] for p in parts for at in range(0, len(p), most)])
    return found


def bilm() -> dict[str, float | list[float]]:
    """Row 83."""
    reached = over_seeds(CharacterBilm())
    pairs = zip(reached["perplexity"], reached["unigram_perplexity"], strict=True)
    return {
        "golden files off by": golden_error(),
        "perplexity / unigram's": [model / unigram for model, unigram in pairs],
    }
