"""A pretrained ELMo on novels it never saw, and whether it tells the senses of a word.

    python -m eval.training.elmo --data DATA [--model packaged] [--run runs/elmo]

The perplexity of both directions, full softmax, beside that of the best unigram model: the test text's own
frequencies, which none can beat. Senses: cosines of a word's vectors in two sentences of one sense less those
across two senses (`ragkit check 86` does the same with MiniLM). Writes eval/results/elmo.md and .json.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import torch

from eval.speed.measuring import write_results
from eval.training.bert import of_run
from eval.training.pretrain import novels
from ragkit.chapters.sequence.elmo import SENSES
from ragkit.corpus.words import sentence_words
from ragkit.encoders.elmo import PACKAGED_ELMO
from ragkit.evaluation.report import markdown
from ragkit.models.sequence.characters import word_characters
from ragkit.models.sequence.elmo import Elmo
from ragkit.training.pretraining.elmo import ElmoRecipe, ElmoSettings
from ragkit.training.pretraining.elmo_data import WordCorpus, numbered
from ragkit.training.pretraining.mlm_data import Text

LAYERS = ("letters (layer 0)", "layer 1", "layer 2")


def corpus_of(model: Elmo, path: Path, words: int, row_words: int) -> WordCorpus:
    """The first words of each novel, in the model's own numbers."""
    numbers = {word: at for at, word in enumerate(model.vocabulary)}
    texts: list[Text] = []
    books = [novel["text"] for novel in novels(path)]
    for book in books:
        text, left = numbered(book, numbers, row_words - 2), words // len(books)
        kept: Text = []
        for sentence in text:
            if left <= 0:
                break
            kept.append(sentence)
            left -= len(sentence)
        texts.append(kept)
    length = model.bilm.config.word_length
    characters = torch.tensor([word_characters(word, length) for word in numbers], dtype=torch.int16)
    return WordCorpus(model.vocabulary, characters, texts, texts)


@torch.inference_mode()
def senses(model: Elmo) -> list[dict[str, Any]]:
    """For each word and layer: mean cosine within a sense less that across senses."""
    found = []
    for word, *sentences in SENSES:
        vectors = []
        for sentence in sentences:
            words = [w for part in sentence_words(sentence) for w in part]
            vectors.append(model.layers([words])[0][0][:, words.index(word)])
        of = torch.stack(vectors, dim=1)  # (layers, sentences, dimension)
        cosines = torch.cosine_similarity(of[:, :, None], of[:, None], dim=-1)
        within = (cosines[:, 0, 1] + cosines[:, 2, 3]) / 2
        found.append({"word": word, "gaps": (within - cosines[:, :2, 2:].mean((1, 2))).tolist()})
    return found


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    model = Elmo.load(folder)
    settings = ElmoSettings(rows=32, row_words=64)
    path = options.data / "text" / "novels_valid.txt.gz"
    corpus = corpus_of(model, path, options.words, settings.row_words)
    with torch.inference_mode():
        recipe = ElmoRecipe(model, corpus, settings)
        scores = recipe.validate(recipe.model.eval())
    return scores | {
        "words": options.words,
        "weights": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(model.vocabulary),
        "senses": senses(model),
    }


def report(results: dict[str, Any], options: argparse.Namespace) -> str:
    scores = results["novels"]
    part = scores["perplexity"] / scores["unigram_perplexity"]
    rows = [[one["word"], *(f"{gap:+.3f}" for gap in one["gaps"])] for one in scores["senses"]]
    text = (
        "# The ELMo that comes with ragkit\n\n"
        f"`python -m eval.training.elmo --data DATA --model {options.model}`: {scores['weights'] / 1e6:.1f} "
        f"million weights, {scores['vocabulary']:,} words to predict; {scores['words']:,} words of five "
        "novels that it never saw.\n\n"
        f"Perplexity of both directions **{scores['perplexity']:.0f}**, of the text's own frequencies "
        f"{scores['unigram_perplexity']:.0f}: {100 * (1 - part):.0f} % below (bar: 40 %).\n\n"
        "Cosine within a sense less across senses, above 0 where the layer tells them apart:\n\n"
        f"{markdown(['word', *LAYERS[: len(rows[0]) - 1]], rows)}"
    )
    if run := results.get("run"):
        text += (
            f"\nOn text held out of its own sources, after {run['step']:,.0f} steps and "
            f"{run['seconds'] / 60:.0f} minutes: perplexity {math.exp(run['loss']):.0f}, the unigram's "
            f"{run['unigram_perplexity']:.0f}.\n"
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds text/")
    parser.add_argument("--model", default="packaged", help="packaged, or a folder that train elmo saved")
    parser.add_argument("--run", type=Path, help="folder of its training run")
    parser.add_argument("--words", type=int, default=100_000, help="of all novels, as many of each")
    options = parser.parse_args()
    folder = PACKAGED_ELMO if options.model == "packaged" else Path(options.model)
    results = {"novels": measure(folder, options)}
    if options.run:
        results["run"] = of_run(options.run)
    write_results("elmo", results, report(results, options))


if __name__ == "__main__":
    main()
