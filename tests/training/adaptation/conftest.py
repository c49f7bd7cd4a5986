"""A small encoder with a BERT's parts, and documents whose sentences speak of one thing."""

from pathlib import Path

import pytest

from ragkit.corpus.document import Document

TOPICS = 40
SYLLABLES = "ba de fi go ku la me ni po ru".split()


def word(topic: int, number: int) -> str:
    return SYLLABLES[topic // 10] + SYLLABLES[topic % 10] + SYLLABLES[number]


def document(number: int) -> Document:
    """Three sentences, each of four of the six words of the document."""
    topics = (number % TOPICS, (7 * number + 1) % TOPICS)
    own = [word(topic, 3 * (number // TOPICS) + i) for i in range(3) for topic in topics]
    parts = [" ".join(own[(2 * turn + i) % 6] for i in range(4)).capitalize() + "." for turn in range(3)]
    return Document(f"d{number}", " ".join(parts), splittable=False)


@pytest.fixture(scope="package")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained sentence encoder of a few kilobytes that knows the words of `document`."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("start")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
    words += [word(topic, number) for topic in range(TOPICS) for number in range(10)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder / "bert")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=32, initializer_range=0.3, **sizes)
    BertModel(config).save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert")), Pooling(32, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture(scope="package")
def index(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ragkit.index.stored import StoredIndex

    documents = [document(number) for number in range(3 * TOPICS)]
    return StoredIndex.build(documents, tmp_path_factory.mktemp("index") / "index", encoder=start).path
