"""A corpus of made-up words, an encoder and generators of some kilobytes that know them, and questions."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ragkit.corpus.document import Document
from ragkit.retrieval.index import Index

TOPICS = 40
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,
}


def word(number: int, of: str) -> str:
    """A topic is called another way in questions (q) than in passages (p), where its answer (a) stands."""
    return f"{of}{LETTERS[number // 20]}{LETTERS[number % 20]}"


def documents() -> list[Document]:
    """One on each topic, ten to an article."""
    return [
        Document(f"d{i}", f"{word(i, 'p')} {word(i, 'a')} {word((i + 7) % TOPICS, 'p')}",
                 title=f"t{i // 10}", splittable=False)
        for i in range(TOPICS)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"t{i}" for i in range(4)] + [word(i, of) for of in "qpa" for i in range(TOPICS)]
    path = tmp_path_factory.mktemp("tokenizer") / "vocab.txt"
    path.write_text("\n".join(words))
    return BertTokenizerFast(str(path), model_max_length=32)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), **SIZES)).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert")), Pooling(32, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Index:
    out = tmp_path_factory.mktemp("index") / "index"
    return Index.build(documents(), out, encoder=encoder, factory="flat")


@pytest.fixture(scope="session")
def pointer(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    from transformers import BertConfig

    from ragkit.generation.pointer_generator import PointerGenerator, PointerGeneratorConfig

    torch.manual_seed(1)
    bert = BertConfig(vocab_size=len(tokenizer), **SIZES).to_dict()
    config = PointerGeneratorConfig(
        encoder=bert, decoder_layers=2, max_target_positions=16,
        bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("pointer")
    PointerGenerator(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bart(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    from transformers import BartConfig, BartForConditionalGeneration

    torch.manual_seed(2)
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=2, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        max_position_embeddings=32, init_std=0.4,
        pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=3, forced_eos_token_id=3,
    )  # fmt: skip
    model = BartForConditionalGeneration(config)
    model.generation_config.forced_bos_token_id = 2
    folder = tmp_path_factory.mktemp("bart")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BEIR folder: two questions a topic, each with its answer; and one without an answer."""
    folder = tmp_path_factory.mktemp("asked")
    asked = [(f"{i}-{j}", f"{word(i, 'q')} {word((i + 3 * j + 1) % TOPICS, 'q')}", i)
             for i in range(TOPICS) for j in range(2)]  # fmt: skip

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write("queries.jsonl", [{"_id": name, "text": text} for name, text, _ in [*asked, ("none", "qaa", 0)]])
    write("answers.jsonl", [{"_id": name, "answers": [word(i, "a")]} for name, _, i in asked])
    (folder / "qrels").mkdir()
    judged = "".join(f"{name}\td{i}\t1\n" for name, _, i in [*asked, ("none", "", 0)])
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder
