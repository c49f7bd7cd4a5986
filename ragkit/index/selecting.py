"""FAISS search parameters that let only some positions of an engine through."""

from typing import Any

import faiss
import numpy as np

from ragkit.index.vector_index import Ids


def selector(positions: Ids, count: int) -> Any:
    """Of `positions` among the `count` that there are."""
    allowed = np.zeros(count, dtype=np.bool_)
    allowed[positions] = True
    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def selecting(engine: Any, chosen: Any, nprobe: int | None = None) -> Any:
    """Search parameters that keep the engine's own settings and add a selector, through all its layers."""
    engine = faiss.downcast_index(engine)
    if isinstance(engine, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=selecting(engine.index, chosen, nprobe))
    if isinstance(engine, faiss.IndexRefine):
        return faiss.IndexRefineSearchParameters(
            k_factor=engine.k_factor, base_index_params=selecting(engine.base_index, chosen, nprobe)
        )
    if isinstance(engine, faiss.IndexIVF):
        kind = (
            faiss.IVFPQSearchParameters if isinstance(engine, faiss.IndexIVFPQ) else faiss.SearchParametersIVF
        )
        return kind(sel=chosen, nprobe=nprobe or engine.nprobe)
    if isinstance(engine, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=chosen, efSearch=engine.hnsw.efSearch)
    return faiss.SearchParameters(sel=chosen)
