"""Rows 151-153: what is drawn, what is maximised, and the predictor that needs no training."""

from collections import Counter
from itertools import permutations, product

import numpy as np
import torch
from torch import Tensor

from ragkit.models.meta.episodes import EpisodeSampler, split_classes
from ragkit.models.meta.kernel import kernel_prediction, log_kernel_prediction, rbf_scores
from ragkit.models.meta.objective import episode_loss

DRAWS = 10_000


def objective() -> dict[str, float]:
    """Row 151: the loss of a kernel predictor over all 2-way 1-shot episodes of a set of 9 items, against the
    mean over episodes drawn; and whether all are drawn alike often."""
    labels = torch.arange(3).repeat_interleave(3)
    items = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss(support: Tensor, own: Tensor, query: Tensor, wanted: Tensor) -> float:
        scores = rbf_scores(items[query], items[support], 1.0)
        return float(episode_loss(log_kernel_prediction(scores, own, 2), wanted))

    own = torch.arange(2)
    every = []
    for classes in permutations(range(3), 2):
        first = 3 * torch.tensor(classes)
        for (i, j), (k, m) in product(permutations(range(3), 2), repeat=2):
            every.append(loss(first + torch.tensor([i, k]), own, first + torch.tensor([j, m]), own))
    sampler, generator = EpisodeSampler(labels, 2, 1, 1), torch.Generator().manual_seed(1)
    drawn = [sampler.draw(generator) for _ in range(DRAWS)]
    values = np.array([loss(*episode[:4]) for episode in drawn])
    counts = np.array(list(Counter((*e.support.tolist(), *e.query.tolist()) for e in drawn).values()))
    even = DRAWS / len(every)
    squares = ((counts - even) ** 2 / even).sum() + even * (len(every) - len(counts))
    return {
        "mean loss off by, in s.e.": abs(values.mean() - np.mean(every)) / (values.std() / DRAWS**0.5),
        "χ² of the 216 episodes, 215 expected": float(squares),
    }


def overlaps() -> dict[str, float]:
    """Row 152: 5-way 1-shot episodes of 40 classes, 10 of them held out."""
    labels = torch.arange(40).repeat(6)
    train, test = split_classes(labels, range(30, 40))
    generator = torch.Generator().manual_seed(0)
    samplers = [EpisodeSampler(labels[rows], 5, 1, 3) for rows in (train, test)]
    met: list[set[int]] = [set(), set()]
    items = wrong = 0
    for draw in range(DRAWS):
        episode = samplers[draw % 2].draw(generator)
        met[draw % 2].update(episode.classes.tolist())
        items += len(set(episode.support.tolist()) & set(episode.query.tolist()))
        own = labels[(train, test)[draw % 2]]
        wrong += int((own[episode.support] != episode.classes[episode.labels]).sum())
        wrong += int((own[episode.query] != episode.classes[episode.query_labels]).sum())
        wrong += len(episode.classes) - len(set(episode.classes.tolist()))
    return {
        "items in support and query": items,
        "classes in training and test": len(met[0] & met[1]),
        "wrong or repeated labels": wrong,
    }


def kernel() -> dict[str, float]:
    """Row 153: scikit-learn's neighbours, all of them, weighted by the same kernel."""
    from sklearn.neighbors import KNeighborsClassifier

    generator = torch.Generator().manual_seed(0)
    support, query = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (40, 25))
    labels = torch.arange(40) % 4
    theirs = KNeighborsClassifier(40, weights=lambda d: np.exp(-(d**2) / (2 * 0.7**2)), algorithm="brute")
    wanted = torch.as_tensor(theirs.fit(support, labels).predict_proba(query))
    scores = rbf_scores(query, support, 0.7)
    weights = scores.softmax(dim=1)
    ours = kernel_prediction(weights, labels, 4)
    logs = log_kernel_prediction(scores, labels, 4).exp()
    narrow = kernel_prediction(rbf_scores(query, support, 1e-3).softmax(dim=1), labels, 4).argmax(dim=1)
    nearest = KNeighborsClassifier(1).fit(support, labels).predict(query)
    return {
        "error": max(float((ours - wanted).abs().max()), float((logs - wanted).abs().max())),
        "weights' sum off 1": float((weights.sum(dim=1) - 1).abs().max()),
        "narrow kernel unlike 1-NN": int((narrow.numpy() != nearest).sum()),
    }
