"""Search engines that a question is put to in eval/speed/queries.py: ragkit and what people use instead.

Each takes the same weights (all-MiniLM-L6-v2, a local folder) and the same vectors of the same passages, and
gives the ids of the k best for one question: encoding, search, and the passages' texts.
"""

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from ragkit.encoders.encoder import Vectors

Search = Callable[[str], list[str]]
Texts = Sequence[tuple[str, str]]
"""Id and text."""

PACKAGES = {"txtai": "txtai", "Haystack": "haystack_integrations", "LangChain + FAISS": "langchain_community"}
"""What a peer needs that ragkit does not."""


def missing() -> list[str]:
    """Peers whose packages are not installed."""
    return [name for name, module in PACKAGES.items() if find_spec(module) is None]


def sentence_transformers_faiss(folder: str, texts: Texts, vectors: Vectors, k: int) -> Search:
    """The least there can be: `encode`, then FAISS's exact index."""
    import faiss
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, local_files_only=True, device="cpu")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)

    def search(question: str) -> list[str]:
        _, rows = index.search(model.encode([question], show_progress_bar=False), k)
        return [texts[row][0] for row in rows[0]]

    return search


def txtai(folder: str, texts: Texts, vectors: Vectors, k: int) -> Search:
    """`Embeddings`, which chooses the index (FAISS) and keeps the texts in SQLite (`content`)."""
    import numpy as np
    from txtai import Embeddings

    ready = {text: vector for (_, text), vector in zip(texts, vectors, strict=True)}

    class Given(Embeddings):  # type: ignore[misc]
        """Takes the passages' vectors as given; questions it encodes itself."""

        def loadvectors(self) -> Any:
            model = super().loadvectors()
            own = model.encode

            def encode(data: list[str], category: str | None = None) -> Any:
                return np.stack([ready[text] for text in data]) if category == "data" else own(data, category)

            model.encode = encode
            return model

    embeddings = Given(path=folder, content=True, gpu=False)
    embeddings.index([(name, text, None) for name, text in texts])
    return lambda question: [hit["id"] for hit in embeddings.search(question, k)]


def haystack(folder: str, texts: Texts, vectors: Vectors, k: int) -> Search:
    """A `Pipeline` of text embedder and retriever over the in-memory document store."""
    os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
    from haystack import Document, Pipeline
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from haystack.utils import ComponentDevice
    from haystack_integrations.components.embedders.sentence_transformers import (
        SentenceTransformersTextEmbedder,
    )

    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    store.write_documents(
        [
            Document(id=name, content=text, embedding=vector.tolist())
            for (name, text), vector in zip(texts, vectors, strict=True)
        ]
    )
    embedder = SentenceTransformersTextEmbedder(
        model=folder, device=ComponentDevice.from_str("cpu"), progress_bar=False, local_files_only=True
    )
    pipeline = Pipeline()
    pipeline.add_component("embedder", embedder)
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=k))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")

    def search(question: str) -> list[str]:
        found = pipeline.run({"embedder": {"text": question}})
        return [document.id for document in found["retriever"]["documents"]]

    return search


def langchain_faiss(folder: str, texts: Texts, vectors: Vectors, k: int) -> Search:
    """LangChain's FAISS vector store over sentence-transformers' embeddings."""
    from langchain_community.vectorstores import FAISS
    from langchain_community.vectorstores.utils import DistanceStrategy
    from langchain_core.embeddings import Embeddings
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, local_files_only=True, device="cpu")

    class Encoder(Embeddings):  # what langchain-huggingface's class does
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return model.encode(texts, show_progress_bar=False).tolist()

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    store = FAISS.from_embeddings(
        [(text, vector.tolist()) for (_, text), vector in zip(texts, vectors, strict=True)],
        Encoder(),
        ids=[name for name, _ in texts],
        distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT,
    )
    return lambda question: [str(document.id) for document in store.similarity_search(question, k)]


PEERS: dict[str, Callable[[str, Texts, Vectors, int], Search]] = {
    "sentence-transformers + FAISS": sentence_transformers_faiss,
    "txtai": txtai,
    "Haystack": haystack,
    "LangChain + FAISS": langchain_faiss,
}
