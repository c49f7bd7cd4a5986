"""Passages ranked anew by what their neighbours in the passage graph score. Integration 11.

The best `pool` of the hybrid's candidates keep their log-odds s (`fusion`) and get an addition from a graph
network that sees how well each passage and its sampled neighbours fit the question:

    s'_n = s_n + ω [x_n; h_n of each kind of edge],    x = (z_dense, z_lexical, s, is a candidate)

Each kind of edge is one filter of the convolution framework (row 142): its own mean-aggregating network
(row 138), over at most `fan_out` neighbours a layer (row 133), so that a question costs the same in an index
of any size. ω begins at 0: before training the ranking is the hybrid's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ragkit.encoders.encoder import Vectors
from ragkit.errors import RagkitError
from ragkit.index.vector_index import Ids
from ragkit.models.graph.neighbour_sampling import NeighbourSampler
from ragkit.models.graph.neighbours import Neighbours
from ragkit.models.graph.network import GraphNetwork
from ragkit.retrieval.fusion import Candidates, Scores, standardised
from ragkit.retrieval.hit import Hit
from ragkit.retrieval.index import Index
from ragkit.retrieval.passage_graph import KINDS, PassageGraph

FEATURES = 4
WIDTH = 16
FAN_OUT = (5, 5)
"""Neighbours drawn a node, one number a layer."""
POOL = 50
"""Candidates of a question that are ranked anew."""


class Field(NamedTuple):
    """What one kind of edge brings to the pool: features (touched, 4), the pool first, and who hears whom."""

    features: Tensor
    layers: list[Neighbours]


class Surroundings(NamedTuple):
    """The pool of one question, best first: `rows`, s (p,), x (p, 4), and a field for each kind of edge."""

    rows: Ids
    fused: Tensor
    own: Tensor
    fields: dict[str, Field]


class GraphScorer(nn.Module):
    """One network for each kind of edge, merged by ω."""

    def __init__(self) -> None:
        super().__init__()
        widths = [FEATURES, *[WIDTH] * len(FAN_OUT)]
        self.networks = nn.ModuleDict({kind: GraphNetwork(widths, "mean") for kind in KINDS})
        self.merge = nn.Linear(FEATURES + len(KINDS) * WIDTH, 1)
        nn.init.zeros_(self.merge.weight)
        nn.init.zeros_(self.merge.bias)

    def forward(self, around: Surroundings) -> Tensor:
        """s' of the pool, (p,)."""
        heard = [
            torch.relu(self.networks[kind](field.features, field.layers))
            for kind, field in around.fields.items()
        ]
        added: Tensor = self.merge(torch.cat([around.own, *heard], dim=1))
        return around.fused + added[:, 0]


class Neighbourhoods:
    """Draws the surroundings of a question's pool from an index and its graph."""

    def __init__(self, index: Index, graph: PassageGraph, pool: int = POOL) -> None:
        self.index, self.pool = index, pool
        self.vectors = index.passage_vectors()
        self.samplers = {
            kind: NeighbourSampler(torch.from_numpy(edges), graph.rows, FAN_OUT)
            for kind, edges in graph.edges.items()
        }

    def around(
        self, question: Scores, candidates: Candidates, generator: torch.Generator | None = None
    ) -> Surroundings:
        """`question`: its vector, (dimension,); `candidates` as `Index.candidates` gives them."""
        fused = self.index.fusion.fuse(candidates)
        known = np.column_stack([*standardised(candidates), fused, np.ones(len(fused))])
        order = np.lexsort((candidates.rows, -fused))[: self.pool]
        rows, pool = candidates.rows[order], torch.from_numpy(candidates.rows[order]).long()
        fields = {}
        for kind, sampler in self.samplers.items():
            sample = sampler.sample(pool, generator)
            others = sample.nodes[len(pool) :].numpy()
            beside = self._features(question, candidates, known, others)
            fields[kind] = Field(
                torch.from_numpy(np.concatenate([known[order], beside])).float(), sample.layers
            )
        own = torch.from_numpy(known[order]).float()
        return Surroundings(rows, own[:, 2], own, fields)

    def _features(self, question: Scores, candidates: Candidates, known: Scores, rows: Ids) -> Scores:
        """x of `rows`: what is no candidate has its likeness alone, and the s of the last candidate."""
        found = np.zeros((len(rows), FEATURES))
        place = np.searchsorted(candidates.rows, rows).clip(max=len(candidates.rows) - 1)
        there = candidates.rows[place] == rows
        found[there] = known[place[there]]
        if not there.all():
            best = candidates.best_dense
            found[~there, 0] = (self.vectors(rows[~there]) @ question - best.mean()) / (best.std() + 1e-9)
            found[~there, 1:3] = known[:, 1:3].min(axis=0)
        return found


@dataclass
class GraphReranker:
    """Searches an index by the hybrid and ranks the best anew."""

    index: Index
    neighbourhoods: Neighbourhoods
    scorer: GraphScorer

    @classmethod
    def load(cls, index: Index, graph: PassageGraph, weights: Path) -> "GraphReranker":
        """`weights`: of `train_graph_reranker`. Raises RagkitError where they are not."""
        scorer = GraphScorer()
        try:
            scorer.load_state_dict(load_file(weights))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise RagkitError(f"{weights} holds no weights of a graph reranker") from error
        return cls(index, Neighbourhoods(index, graph), scorer.eval())

    def rank(self, vectors: Vectors, candidates: Sequence[Candidates]) -> list[tuple[Scores, Ids]]:
        """s' and rows of each question's pool, best first; the same neighbours are drawn each time."""
        rankings = []
        with torch.no_grad():
            for vector, found in zip(vectors, candidates, strict=True):
                around = self.neighbourhoods.around(vector, found, torch.Generator().manual_seed(0))
                scores = self.scorer(around).numpy()
                order = np.argsort(-scores, kind="stable")
                rankings.append((scores[order], around.rows[order]))
        return rankings

    def search_batch(self, questions: Sequence[str], k: int = 5) -> list[list[Hit]]:
        """The best k passages of each question, at most as many as the pool holds."""
        vectors = self.index.encoder.encode_questions(questions)
        ranked = self.rank(vectors, self.index.candidates(questions, vectors))
        return [
            [
                Hit(passage, float(score), place)
                for place, (passage, score) in enumerate(
                    zip(self.index.passages(rows[:k]), scores[:k], strict=True), 1
                )
            ]
            for scores, rows in ranked
        ]
