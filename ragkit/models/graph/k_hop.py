"""k-hop neighbourhood: what a node hears after k layers, the receptive field of graphs. Row 132.

The field of n is where row n of (A + I)^k is not 0; that of a batch of nodes is the union. A network of k
layers gives exactly these nodes a gradient, and to train on the batch no other node is needed.
"""

import torch
from torch import Tensor


def k_hop(nodes: Tensor, edges: Tensor, hops: int, count: int) -> Tensor:
    """The nodes, in order, from which `nodes` hear over at most `hops` of the edges (2, edges), themselves
    among them; `count` nodes in all."""
    reached = torch.zeros(count, dtype=torch.bool, device=edges.device)
    reached[nodes] = True
    for _ in range(hops):
        heard = edges[0, reached[edges[1]]]
        reached[heard] = True
    return reached.nonzero()[:, 0]


def receptive_field(h: Tensor, features: Tensor, node: int) -> Tensor:
    """The nodes whose features (nodes, D) give the embedding h[node] a gradient, in order."""
    (gradient,) = torch.autograd.grad(h[node].square().sum(), features, retain_graph=True)
    return gradient.any(dim=1).nonzero()[:, 0]
