"""Chapters 1 and 2: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.check import Check, Target

HERE = "ragkit.chapters.basics"
PARITY = 1e-10
"""Largest difference to a reference, both in float64 and from the same weights."""


def most(name: str, bound: float = PARITY) -> Target:
    return Target(name, at_most=bound)


def least(name: str, bound: float) -> Target:
    return Target(name, at_least=bound)


def none(name: str) -> Target:
    """A count that must be 0."""
    return Target(name, at_least=0, at_most=0)


NETWORKS = Chapter(
    1,
    "basics",
    "Shallow and deep neural networks",
    checks=(
        Check(
            1,
            "Shallow network",
            "nn.Sequential; 3D + 1",
            (none("parameters off by"), most("error")),
            f"{HERE}.networks.shallow_net",
        ),
        Check(2, "ReLU", "F.relu", (most("error", 0.0),), f"{HERE}.networks.relu"),
        Check(
            3,
            "Sigmoid, tanh",
            "torch.sigmoid, torch.tanh",
            (most("error"), most("tanh z - (2σ(2z) - 1)")),
            f"{HERE}.networks.sigmoid_and_tanh",
        ),
        Check(
            4,
            "LReLU, PReLU",
            "F.leaky_relu, nn.PReLU; slope 0.25",
            (most("error"), Target("slope", 0.23, 0.27)),
            f"{HERE}.networks.leaky_relus",
        ),
        Check(
            5,
            "Linear regions",
            "Zaslavsky's Σ C(D,j); slopes on a grid",
            tuple(
                none(name)
                for name in (
                    "nets above the bound",
                    "nets whose grid count differs",
                    "planes off Zaslavsky's count",
                )
            ),
            f"{HERE}.networks.linear_regions",
        ),
        Check(
            6,
            "Universal approximation",
            "sup error O(1/D²)",
            (least("least cut", 3.5),),
            f"{HERE}.networks.universal_approximation",
        ),
        Check(
            7,
            "Multivariate inputs and outputs",
            "nn.Linear pair; D(Di+1) + Do(D+1)",
            (
                none("parameters off by"),
                most("error"),
                most("sum of both outputs' gradients - gradient"),
                least("hidden weights that each output moves", 1),
            ),
            f"{HERE}.networks.multivariate",
        ),
        Check(
            8,
            "Deep MLP",
            "2^K pieces of the K-layer tent map",
            (none("regions off"), least("accuracy", 0.965)),
            f"{HERE}.digits.deep_mlp",
            trained=True,
        ),
        Check(
            9,
            "Width and depth",
            "Σ p.numel(), 20 configurations",
            (none("configurations off"),),
            f"{HERE}.networks.width_and_depth",
        ),
    ),
    recipes=(
        ChapterRecipe(
            "digits-mlp", "a multi-layer perceptron on sklearn's digits", (8,), f"{HERE}.digits.DigitsMlp"
        ),
    ),
)

TRAINING = Chapter(
    2,
    "basics",
    "Model training",
    checks=(
        Check(
            11,
            "Maximum-likelihood recipe",
            "torch.distributions, scipy; own samples",
            (most("error"), none("gradients off"), most("standard errors off", 3)),
            f"{HERE}.likelihoods.recipe",
        ),
        Check(
            12,
            "Normal, fixed σ",
            "F.mse_loss",
            (most("gradient - MSE's / 2σ²"),),
            f"{HERE}.likelihoods.normal_with_fixed_sigma",
        ),
        Check(
            17,
            "Exponential, gamma",
            "torch Exponential, Gamma",
            (most("error"), most("gamma at α=1 - exponential"), none("labels y ≤ 0 taken")),
            f"{HERE}.likelihoods.magnitudes",
        ),
        Check(
            18,
            "Beta",
            "torch Beta",
            (most("error"), none("infinite at 0 or 1"), none("labels outside [0, 1] taken")),
            f"{HERE}.likelihoods.beta",
        ),
        Check(
            19,
            "Multivariate normal",
            "torch MultivariateNormal; Frobenius norm",
            (most("error"), most("covariance off", 0.05)),
            f"{HERE}.likelihoods.multivariate_normal",
        ),
        Check(
            20,
            "von Mises",
            "scipy vonmises",
            (most("error"), most("loss(y) - loss(y + 2π)"), most("off the normal at κ=10⁴", 1e-4)),
            f"{HERE}.likelihoods.von_mises",
        ),
        Check(
            21,
            "Bernoulli",
            "BCEWithLogitsLoss",
            (most("error"), none("infinite at logits ±10⁴")),
            f"{HERE}.likelihoods.bernoulli",
        ),
        Check(
            22,
            "Categorical",
            "CrossEntropyLoss",
            (most("error"), most("changed by a shift")),
            f"{HERE}.likelihoods.categorical",
        ),
        Check(23, "Poisson", "torch Poisson, y = 0..20", (most("error"),), f"{HERE}.likelihoods.poisson"),
        Check(
            24,
            "Plackett-Luce",
            "softmax of the rest, place by place; all 120 rankings",
            (most("error"), most("sum over 120 rankings - 1"), most("two items - BCE of the difference")),
            f"{HERE}.likelihoods.plackett_luce",
        ),
        Check(
            25,
            "Inference by the mode",
            "scipy minimize, enumeration",
            (most("mode - search", 1e-3),),
            f"{HERE}.likelihoods.inference",
        ),
        Check(
            26,
            "Gradient descent",
            "torch SGD; α = 2/λmax",
            (most("error"), none("step sizes on the wrong side")),
            f"{HERE}.optimisers.gradient_descent",
        ),
        Check(
            29,
            "Learning-rate schedules",
            "torch StepLR, Cosine; transformers, 200 steps",
            (most("error"), most("error of LambdaLR resumed", 0.0)),
            f"{HERE}.optimisers.schedules",
        ),
        Check(
            30,
            "Momentum",
            "torch SGD(lr=α(1-β), momentum=β)",
            (most("error", 2e-15),),
            f"{HERE}.optimisers.momentum",
        ),
        Check(
            31,
            "Nesterov momentum",
            "torch SGD(nesterov=True); the notes' two lines",
            (most("error", 2e-15), most("error of the notes' form", 2e-15)),
            f"{HERE}.optimisers.nesterov",
        ),
        Check(
            32,
            "Adam",
            "torch Adam, AdamW, Adam(betas=(0, 0))",
            (
                most("error"),
                most("error of the notes' form"),
                least("notes' bounce / α", 0.5),
                most("decayed Adam's bounce / α", 0.1),
            ),
            f"{HERE}.optimisers.adam",
        ),
        Check(
            33,
            "Backpropagation",
            "autograd, gradcheck; 4 layers",
            (most("error"), none("gradcheck failures")),
            f"{HERE}.gradients.backpropagation",
        ),
        Check(
            34,
            "Vanishing and exploding gradients",
            "first layer's gradient / 50th's",
            (
                most("ratio at 0.1 × He's variance", 1e-6),
                Target("ratio at He's variance", 0.1, 10),
                least("ratio at 10 × He's variance", 1e6),
            ),
            f"{HERE}.gradients.vanishing_and_exploding",
        ),
        Check(
            35,
            "Initialisation",
            "2/D_in, 2/(D_in + D_out); nn.init",
            (most("variance off", 0.02), most("largest / smallest variance of 50 layers", 5)),
            f"{HERE}.gradients.initialisation",
        ),
    ),
)

CHAPTERS = (NETWORKS, TRAINING)
