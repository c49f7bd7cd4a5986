"""Cora: 2,708 papers, who cites whom, and their 7 fields, 140 of them told (split of Yang et al. 2016)."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ragkit.chapters.data import data_folder
from ragkit.models.graph.graph import Graph, undirected
from ragkit.models.graph.splits import NodeSplit

CLASSES = 7


class Cora(NamedTuple):
    """Sparse features that sum to 1 a paper, as Kipf and Welling (2017) have them; labels (nodes,)."""

    graph: Graph
    labels: Tensor
    split: NodeSplit


def cora() -> Cora:
    """Reads cora.npz.

    Raises:
        MissingError: if it is not on this machine.
    """
    with np.load(data_folder("cora") / "cora.npz", allow_pickle=False) as file:
        kept = {name: torch.from_numpy(file[name]) for name in file.files}
    counts = kept["x_indptr"].diff()
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    values = kept["x_data"].float()
    totals = torch.zeros(len(counts)).index_add_(0, rows, values).clamp(min=1e-9)
    features = torch.sparse_coo_tensor(
        torch.stack([rows, kept["x_indices"].long()]),
        values / totals[rows],
        tuple(kept["x_shape"].tolist()),
        check_invariants=True,
    ).coalesce()
    graph = Graph(features, undirected(kept["edges"].long()))
    split = NodeSplit(*(kept[f"{name}_idx"].long() for name in ("train", "val", "test")))
    return Cora(graph, kept["y"].long(), split)
