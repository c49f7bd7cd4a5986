"""Digits compressed to a few numbers, and freed from noise. Rows 119, 120."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ragkit.chapters.data import Split, digits
from ragkit.chapters.experiment import Experiment, over_seeds
from ragkit.chapters.generative.digits import (
    PIXELS,
    binary_digits,
    class_entropies,
    draw_rows,
    rebuilt_by_components,
)
from ragkit.chapters.tensors import TensorRecipe
from ragkit.models.basics.mlp import Mlp
from ragkit.models.generative.autoencoder import Autoencoder, reconstruction_error
from ragkit.models.generative.denoising import corrupted, psnr
from ragkit.training.recipe import LoopSettings, Recipe


@dataclass(frozen=True, kw_only=True)
class DigitsAutoencoder(Experiment):
    """`code` numbers a digit; `noise` above 0 is the denoising one; `hidden` 0 is the linear one; `binary`
    takes pixels of 0 and 1."""

    code: int = 8
    hidden: int = 256
    noise: float = 0.0
    binary: bool = False
    batch_size: int = 64
    loop: LoopSettings = LoopSettings(
        learning_rate=2e-3, max_steps=2500, weight_decay=0.0, precision="fp32", validate_every=500
    )

    def _data(self) -> Split:
        return binary_digits() if self.binary else digits()

    def recipe(self) -> Recipe:
        data = self._data()
        between = [self.hidden] if self.hidden else []
        model = Autoencoder(Mlp([PIXELS, *between, self.code]), Mlp([self.code, *between, PIXELS]))

        def loss(model: nn.Module, x: Tensor) -> Tensor:
            return reconstruction_error(x, model(corrupted(x, self.noise))).mean()

        def scores(model: nn.Module) -> dict[str, float]:
            torch.manual_seed(0)
            return {"loss": float(loss(model, data.test_x))}

        return TensorRecipe(
            model, (data.train_x,), loss, scores, batch_size=self.batch_size, seed=self.loop.seed
        )

    @torch.no_grad()
    def finish(self, recipe: Recipe, out: Path) -> dict[str, float]:
        data, model = self._data(), recipe.model.cpu()
        assert isinstance(model, Autoencoder)
        seen = corrupted(data.test_x, self.noise, generator=torch.Generator().manual_seed(0))
        rebuilt = model(seen)
        by_components = rebuilt_by_components(data.train_x, seen, self.code)
        draw_rows(
            [data.test_x[:10], seen[:10], rebuilt[:10], by_components[:10]],
            ["digits", "seen", "rebuilt", "by PCA"],
            out / "rebuilt.png",
        )
        own, theirs = (
            float(reconstruction_error(data.test_x, images).mean()) for images in (rebuilt, by_components)
        )
        numbers = {"error": own, "error of PCA": theirs, "error / PCA's": own / theirs}
        for name, codes in self._random_codes(model.encoder(data.train_x)).items():
            images = model.decoder(codes).clamp(0, 1)
            numbers[f"entropy of {name}'s classes"] = class_entropies(images)[0]
        if self.noise:
            before, after = psnr(data.test_x, seen), psnr(data.test_x, rebuilt)
            noisy = corrupted(data.train_x, self.noise, generator=torch.Generator().manual_seed(1))
            best = denoised_by_components(data.train_x, noisy, seen)
            of_components = psnr(data.test_x, best)
            numbers |= {"dB gained": float(after - before), "dB gained by PCA": float(of_components - before)}
        return numbers

    def _random_codes(self, codes: Tensor, count: int = 1000) -> dict[str, Tensor]:
        """From N(0, I), and from the normal that fits the codes (n, code)."""
        noise = torch.randn(count, self.code, generator=torch.Generator().manual_seed(0))
        factor = torch.linalg.cholesky(codes.T.cov() + 1e-6 * torch.eye(self.code))
        return {"N(0, I)": noise, "the fitted normal": codes.mean(dim=0) + noise @ factor.mT}


def denoised_by_components(clean: Tensor, noisy: Tensor, x: Tensor) -> Tensor:
    """x (n, 64) by PCA of the clean digits, of as many components as free their noisy copies best."""
    errors = [
        float(reconstruction_error(clean, rebuilt_by_components(clean, noisy, count)).mean())
        for count in range(1, PIXELS + 1)
    ]
    return rebuilt_by_components(clean, x, 1 + errors.index(min(errors)))


LINEAR = DigitsAutoencoder(
    hidden=0, batch_size=256, loop=replace(DigitsAutoencoder.loop, learning_rate=2e-2, max_steps=1600)
)
DENOISING = DigitsAutoencoder(code=32, noise=0.4)


def autoencoder() -> dict[str, float | list[float]]:
    """Row 119: the linear one, then an MLP, on digits not seen."""
    linear, deep = over_seeds(LINEAR), over_seeds(DigitsAutoencoder())
    return {
        "linear: error / PCA's": linear["error / PCA's"],
        "MLP: error / PCA's": deep["error / PCA's"],
    }


def denoising() -> dict[str, float | list[float]]:
    """Row 120: digits not seen, with noise of standard deviation 0.4, beside PCA at its best."""
    x, y = torch.rand(2, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    by_hand = -10 * torch.log10(torch.stack([(a - b) ** 2 for a, b in zip(x, y, strict=True)]).mean())
    reached = over_seeds(DENOISING)
    over_components = [
        own - theirs for own, theirs in zip(reached["dB gained"], reached["dB gained by PCA"], strict=True)
    ]
    return {
        "PSNR off": abs(float(psnr(x, y) - by_hand)),
        "dB over the noisy digits": reached["dB gained"],
        "dB over PCA": over_components,
    }
