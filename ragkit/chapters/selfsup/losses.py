"""Rows 62-67: losses on pairs, what feeds them, and what they cost."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.chapters.selfsup.digits import DigitsEncoder, images, view
from ragkit.models.selfsup.alignment_uniformity import alignment, uniformity
from ragkit.models.selfsup.contrastive import contrastive_loss
from ragkit.models.selfsup.gradient_cache import cached_backward
from ragkit.models.selfsup.hard_negatives import hard_negatives
from ragkit.models.selfsup.siamese import Siamese
from ragkit.models.selfsup.sim_clr import nt_xent
from ragkit.models.selfsup.triplet import triplet_loss


def siamese() -> dict[str, float]:
    """Row 62."""
    x, y = torch.rand(2, 20, 1, 8, 8).unbind()
    network = Siamese(DigitsEncoder())
    own = {id(parameter) for parameter in network.parameters()}
    with torch.no_grad():
        there, back, same = network(x, y), network(y, x), network(x, x)
    return {
        "parameters beside the encoder's": len(own - {id(p) for p in network.encoder.parameters()}),
        "d(x,y) - d(y,x)": float((there - back).abs().max()),
        "d(x,x)": float(same.max()),
    }


def contrastive() -> dict[str, float]:
    """Row 63: both forms in numpy; sentence-transformers' loss is half of Hadsell's."""
    from sentence_transformers.sentence_transformer.losses import ContrastiveLoss
    from sentence_transformers.sentence_transformer.losses.contrastive import SiameseDistanceMetric

    a, b = torch.randn(2, 200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()
    same, margin = torch.arange(200) % 3 == 0, 2.5
    d = np.linalg.norm((a - b).numpy(), axis=1)
    by_hand = {
        "standard": np.where(same, d**2, np.maximum(0, margin - d) ** 2),
        "notes": np.where(same, d**2, np.maximum(0, margin - d**2)),
    }
    ours = {name: contrastive_loss(a, b, same, margin, name) for name in ("standard", "notes")}
    model: Any = nn.Identity()
    theirs = ContrastiveLoss(model, SiameseDistanceMetric.EUCLIDEAN, margin)
    mean = theirs.compute_loss_from_embeddings([a, b], same.long())
    return {
        "error": max(float(np.abs(ours[name].numpy() - of).max()) for name, of in by_hand.items()),
        "2 x sentence-transformers' off by": abs(float(2 * mean / ours["standard"].mean()) - 1),
    }


def triplet() -> dict[str, float]:
    """Row 64."""
    a, p, n = torch.randn(3, 100, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()

    def squared(x: Tensor, y: Tensor) -> Tensor:
        return (x - y).square().sum(dim=-1)

    theirs = nn.TripletMarginWithDistanceLoss(distance_function=squared, margin=0.7, reduction="none")
    return {"error": float((triplet_loss(a, p, n, 0.7) - theirs(a, p, n)).abs().max())}


def heavy_augmentation() -> dict[str, list[float]]:
    """Row 65: NT-Xent on digits for 150 steps with and without changes; then digits of one class, unseen."""
    data = images()
    still, apart = [], []
    for seed in (0, 1, 2):
        drawn: dict[float, tuple[float, float]] = {}
        for strength in (0.0, 1.0):
            torch.manual_seed(seed)
            encoder = nn.Sequential(DigitsEncoder(), nn.Linear(256, 32))
            optimiser = torch.optim.Adam(encoder.parameters(), lr=1e-3)
            widest = 0.0
            for _ in range(150):
                x = data.train_x[torch.randint(len(data.train_x), (128,))]
                a, b = (encoder(view(x, strength)) for _ in range(2))
                first, second = (functional.normalize(v.detach()) for v in (a, b))
                widest = max(widest, float(alignment(first, second)))
                optimiser.zero_grad()
                nt_xent(a, b).backward()
                optimiser.step()
            with torch.no_grad():
                tested = functional.normalize(encoder(data.test_x))
            within = [tested[data.test_y == digit] for digit in range(10)]
            paired = float(torch.stack([alignment(v, v.roll(1, 0)) for v in within]).mean())
            drawn[strength] = widest, paired / -float(uniformity(tested))
        still.append(drawn[0.0][0])
        apart.append(drawn[0.0][1] / drawn[1.0][1])
    return {"alignment of the views without": still, "classmates apart without / with": apart}


def large_batch() -> dict[str, float]:
    """Row 66: 8 chunks of 16 against one batch of 128."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 8)).double()
    x = torch.randn(128, 10, dtype=torch.float64)

    def loss(z: Tensor) -> Tensor:
        first, second = z.chunk(2)
        return nt_xent(first, second, temperature=0.1)

    whole = loss(encoder(x))
    wanted = torch.autograd.grad(whole, list(encoder.parameters()))
    value = cached_backward(encoder, loss, x.split(16))
    errors = [float((p.grad - g).abs().max()) for p, g in zip(encoder.parameters(), wanted, strict=True)]  # type: ignore[operator]
    return {"gradient off": max(errors), "loss off": abs(float(value - whole.detach()))}


def mined() -> dict[str, float]:
    """Row 67: against sorting by hand, and against negatives drawn at random."""
    generator = torch.Generator().manual_seed(0)
    passages = functional.normalize(torch.randn(400, 24, generator=generator, dtype=torch.float64), dim=1)
    noise = torch.randn(400, 24, generator=generator, dtype=torch.float64)
    questions = functional.normalize(passages + 0.2 * noise, dim=1)
    gold = [{row, (row + 1) % 400} for row in range(400)]
    found = hard_negatives(questions, passages, gold, 5)
    wrong = 0
    for row, places in enumerate(found.tolist()):
        scores = (passages @ questions[row]).tolist()
        best = sorted((p for p in range(400) if p not in gold[row]), key=lambda p: -scores[p])[:5]
        wrong += places != best

    def loss(negatives: Tensor) -> float:
        right = (questions * passages).sum(dim=1, keepdim=True)
        others = torch.einsum("qd,qnd->qn", questions, passages[negatives])
        return float(-torch.log_softmax(20 * torch.cat([right, others], dim=1), dim=1)[:, 0].mean())

    drawn = torch.stack(
        [(torch.randperm(398, generator=generator)[:5] + row + 2) % 400 for row in range(400)]
    )
    return {"sets other than by sorting": wrong, "loss on mined / on random": loss(found) / loss(drawn)}
