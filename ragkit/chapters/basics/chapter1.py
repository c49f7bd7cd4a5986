"""Chapter 1, shallow and deep networks: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.check import Target
from ragkit.chapters.rows import checks_in, least, most, none

HERE = "ragkit.chapters.basics"
check = checks_in(HERE)

NETWORKS = Chapter(
    1,
    "basics",
    "Shallow and deep neural networks",
    checks=(
        check(
            1,
            "Shallow network",
            "nn.Sequential; 3D + 1",
            "networks.shallow_net",
            none("parameters off by"),
            most("error"),
        ),
        check(2, "ReLU", "F.relu", "networks.relu", most("error", 0.0)),
        check(
            3,
            "Sigmoid, tanh",
            "torch.sigmoid, torch.tanh",
            "networks.sigmoid_and_tanh",
            most("error"),
            most("tanh z - (2σ(2z) - 1)"),
        ),
        check(
            4,
            "LReLU, PReLU",
            "F.leaky_relu, nn.PReLU; slope 0.25",
            "networks.leaky_relus",
            most("error"),
            Target("slope", 0.23, 0.27),
        ),
        check(
            5,
            "Linear regions",
            "Zaslavsky's Σ C(D,j); slopes on a grid",
            "networks.linear_regions",
            none("nets above the bound"),
            none("nets whose grid count differs"),
            none("planes off Zaslavsky's count"),
        ),
        check(
            6,
            "Universal approximation",
            "sup error O(1/D²)",
            "networks.universal_approximation",
            least("least cut", 3.5),
        ),
        check(
            7,
            "Multivariate inputs and outputs",
            "nn.Linear pair; D(Di+1) + Do(D+1)",
            "networks.multivariate",
            none("parameters off by"),
            most("error"),
            most("sum of both outputs' gradients - gradient"),
            least("hidden weights that each output moves", 1),
        ),
        check(
            8,
            "Deep MLP",
            "2^K pieces of the K-layer tent map",
            "digits.deep_mlp",
            none("regions off"),
            least("accuracy", 0.965),
            trained=True,
        ),
        check(
            9,
            "Width and depth",
            "Σ p.numel(), 20 configurations",
            "networks.width_and_depth",
            none("configurations off"),
        ),
        check(
            10,
            "Hierarchical features",
            "scikit-learn's LogisticRegression",
            "probes.hierarchical_features",
            most("probabilities off", 1e-5),
            least("points gained", 1),
            trained=True,
        ),
    ),
    recipes=(
        ChapterRecipe("pieces", "a shallow network, drawn with its pieces", (1, 5), f"{HERE}.pieces.Pieces"),
        ChapterRecipe(
            "digits-mlp", "a multi-layer perceptron on sklearn's digits", (8,), f"{HERE}.digits.DigitsMlp"
        ),
        ChapterRecipe(
            "layer-probes",
            "a CNN on digits, then a linear probe on each layer",
            (10,),
            f"{HERE}.probes.Probes",
        ),
    ),
)
