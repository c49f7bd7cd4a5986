"""Encoders of some kilobytes with random weights, written to a folder the way their makers write them."""

from pathlib import Path
from typing import Any

import pytest

WORDS = "the a cat dog sat on mat of france capital is what paris plants light into sugar how do i close file"
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.4,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No graph that this machine's user has exported decides how a test computes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared with the models' own makers is computed as they do, on every machine."""
    for module in ("runtime.precision", "runtime.openvino_graph", "encoders.choice", "encoders.forward"):
        monkeypatch.setattr(f"ragkit.{module}.computes_bf16", lambda device: False)


class TinyModels:
    """Each method saves a model into the folder `name` and returns its path; the seed makes its weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tokenizer(self, folder: Path) -> int:
        """Saves a BERT tokenizer and returns the size of its vocabulary."""
        from transformers import BertTokenizerFast

        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split(), "?", ".", ",", ":"]
        vocabulary += [x for x in letters if x not in vocabulary] + [f"##{x}" for x in letters]
        folder.mkdir(parents=True)
        (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
        BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
        return len(vocabulary)

    def bert(self, name: str, seed: int = 0) -> Path:
        import torch
        from transformers import BertConfig, BertModel

        folder = self.folder / name
        size = self.tokenizer(folder)
        torch.manual_seed(seed)
        BertModel(BertConfig(vocab_size=size, **SIZES)).save_pretrained(folder)
        return folder

    def sentence(self, name: str, seed: int = 0, pooling: str = "mean", **settings: Any) -> Path:
        """`settings` as SentenceTransformer takes them: prompts, similarity_fn_name."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

        modules = [Transformer(str(self.bert(f"{name}-bert", seed))), Pooling(16, pooling)]
        SentenceTransformer(modules=modules, device="cpu", **settings).save(str(self.folder / name))
        return self.folder / name

    def asymmetric(self, name: str) -> Path:
        """Another tower for queries than for documents."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Router, Transformer

        queries, documents = (Transformer(str(self.bert(f"{name}-{seed}", seed))) for seed in (1, 2))
        router = Router.for_query_document([queries, Pooling(16, "mean")], [documents, Pooling(16, "cls")])
        model = SentenceTransformer(modules=[router], device="cpu", similarity_fn_name="dot")
        model.save(str(self.folder / name))
        return self.folder / name

    def dpr(self, name: str, tower: str, seed: int = 0) -> Path:
        """`tower` is "Question" or "Context"."""
        import torch
        import transformers

        folder = self.folder / name
        size = self.tokenizer(folder)
        torch.manual_seed(seed)
        config = transformers.DPRConfig(vocab_size=size, **SIZES)
        getattr(transformers, f"DPR{tower}Encoder")(config).save_pretrained(folder)
        return folder


@pytest.fixture
def tiny(tmp_path: Path) -> TinyModels:
    return TinyModels(tmp_path)


@pytest.fixture(scope="session")
def packaged() -> Any:
    from ragkit.encoders.loading import load_encoder

    return load_encoder()
