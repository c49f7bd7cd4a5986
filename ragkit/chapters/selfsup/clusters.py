"""Row 73: digits by the triplet loss, with and without the pull to the centroid of their class."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.picture import panels, save
from ragkit.chapters.selfsup.digits import VECTOR, DigitsEncoder, images, vectors
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.selfsup.centroid import centroid_loss
from ragkit.models.selfsup.triplet import triplet_loss
from ragkit.training.recipe import LoopSettings, Recipe

SIZE = 16


@dataclass(frozen=True, kw_only=True)
class Clusters(Experiment):
    """Each item of a batch with a like and an unlike one, drawn. `pull` is the regulariser's λ.

    The triplet loss stops pulling where the margin is kept, and leaves the clusters the shape they have then.
    """

    pull: float = 1.0
    margin: float = 1.0
    batch_size: int = 64
    loop: LoopSettings = LoopSettings(
        learning_rate=1e-3, max_steps=400, precision="fp32", validate_every=200, log_every=50
    )

    def recipe(self) -> Recipe:
        data = images()

        def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            z = model(x)
            same = y[:, None] == y
            like, unlike = (torch.multinomial(mask.float(), 1)[:, 0] for mask in (same, ~same))
            triplets = triplet_loss(z, z[like], z[unlike], self.margin)
            return triplets.mean() + self.pull * centroid_loss(z, y)

        return TensorRecipe(
            nn.Sequential(DigitsEncoder(), nn.Linear(VECTOR, SIZE)),
            (data.train_x, data.train_y),
            loss,
            lambda model: {"loss": float(loss(model, data.test_x, data.test_y))},
            batch_size=self.batch_size,
            seed=self.loop.seed,
        )

    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        from sklearn.metrics import silhouette_score
        from sklearn.neighbors import KNeighborsClassifier

        data = images()
        train, test = vectors(recipe.model, data)
        draw(test, data.test_y, out / "clusters.png")
        neighbours = KNeighborsClassifier(5).fit(train, data.train_y)
        return {
            "silhouette": float(silhouette_score(test, data.test_y)),
            "accuracy of 5 neighbours": float(neighbours.score(test, data.test_y)),
        }


def draw(points: Tensor, labels: Tensor, file: Path) -> None:
    """The vectors of the test digits on their first two principal components."""
    centred = points - points.mean(dim=0)
    _, _, axes_of = torch.linalg.svd(centred, full_matrices=False)
    x, y = (centred @ axes_of[:2].mT).unbind(dim=1)
    figure, (axes,) = panels(width=5.0, height=4.5)
    axes.scatter(x, y, c=labels, cmap="tab10", s=6)
    axes.set(xlabel="first component", ylabel="second component")
    save(figure, file)


def centroid_regulariser() -> dict[str, float | list[float]]:
    """Row 73; the loss once more in a loop over the classes."""
    z = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(30) % 7
    by_hand = sum(
        float((z[labels == c] - z[labels == c].mean(dim=0)).square().sum()) for c in labels.unique()
    ) / len(z)
    pulled, plain = over_seeds(Clusters()), over_seeds(replace(Clusters(), pull=0.0))
    gained = {
        name: [a - b for a, b in zip(pulled[name], plain[name], strict=True)]
        for name in ("silhouette", "accuracy of 5 neighbours")
    }
    return {
        "error": abs(float(centroid_loss(z, labels)) - by_hand),
        "silhouette gained": gained["silhouette"],
        "points of 5 neighbours gained": [100 * value for value in gained["accuracy of 5 neighbours"]],
    }
