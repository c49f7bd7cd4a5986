"""Measures the index recipes: `python eval/index_recipes.py DATA [RECIPE...]`, the folder of the evaluation
sets, and the names of recipes if not all.

Prints for each recipe a `[[measured]]` table for its TOML file: recall of the 10 best of exact search,
milliseconds of processor time a question (one thread, questions one by one) and bytes a vector. The vectors
are means of the packaged model's word vectors over sentences of real text: quick to make in any number.
"""

import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from ragkit.encoders.loading import packaged_folder
from ragkit.index.faiss_index import FaissIndex, training_rows
from ragkit.index.recipe import choose, recipes

SENTENCES, QUESTIONS, K = 50_000, 500, 10


def sentences(data: Path) -> Iterator[str]:
    for name in ("squad", "medquad", "fairytaleqa", "scifact"):
        with gzip.open(data / name / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                yield from (part for part in json.loads(line)["text"].split(". ") if len(part) > 40)


def questions(data: Path) -> Iterator[str]:
    with gzip.open(data / "squad" / "queries.jsonl.gz", "rt", encoding="utf-8") as file:
        yield from (json.loads(line)["text"] for line in file)


def word_vector_means(texts: list[str]) -> np.ndarray:
    """(n, 384), of length one."""
    folder = packaged_folder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    words = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    words = words - words.mean(axis=0)
    rows = [
        words[encoded.ids].mean(axis=0) for encoded in tokenizer.encode_batch(texts, add_special_tokens=False)
    ]
    return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)


def main() -> None:
    data = Path(sys.argv[1])
    faiss.omp_set_num_threads(1)
    texts = list(dict.fromkeys(sentences(data)))
    texts = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:SENTENCES]]
    passages = word_vector_means(texts)
    asked = list(questions(data))
    asked = [asked[i] for i in np.random.default_rng(1).permutation(len(asked))[:QUESTIONS]]
    vectors = word_vector_means(asked)
    ids = np.arange(len(passages))
    exact = None
    for recipe in recipes():
        if sys.argv[2:] and recipe.name not in {"flat", *sys.argv[2:]}:  # the first one, exact, always
            continue
        choice = choose(recipe.name, len(passages), passages.shape[1])
        index = FaissIndex(passages.shape[1], choice.factory, choice.search)
        start = time.process_time()
        first = min(len(ids), training_rows(choice.factory))
        index.build(passages[:first], ids[:first])
        index.add(passages[first:], ids[first:])
        built = time.process_time() - start
        start = time.process_time()
        found = np.vstack([index.search(vector[None], K)[1] for vector in vectors])
        spent = time.process_time() - start
        exact = found if exact is None else exact  # the first recipe is the exact one
        hits = [len(set(a) & set(b)) for a, b in zip(found.tolist(), exact.tolist(), strict=True)]
        with TemporaryDirectory() as folder:
            index.save(Path(folder) / "index.faiss")
            size = (Path(folder) / "index.faiss").stat().st_size
        search = ", ".join(f"{name} = {value}" for name, value in choice.search.items())
        print(f"# {recipe.name}.toml\n[[measured]]")
        print(f'on = "{len(ids):,} sentences as means of MiniLM word vectors, {QUESTIONS} questions"')
        print(f'factory = "{choice.factory}"\nsearch = {{{search}}}')
        print(f"recall_at_10 = {np.mean(hits) / K:.3f}\nms_a_query = {1000 * spent / len(vectors):.2f}")
        print(f"bytes_a_vector = {size / len(ids):.0f}\nbuild_seconds = {built:.1f}\n", flush=True)


if __name__ == "__main__":
    main()
