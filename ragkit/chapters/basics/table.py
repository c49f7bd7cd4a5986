"""Chapters 1 and 2: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.check import Check, Target

HERE = "ragkit.chapters.basics"
PARITY = 1e-10
"""Largest difference to a reference computed in float64 from the same weights."""

NETWORKS = Chapter(
    1,
    "basics",
    "Shallow and deep neural networks",
    checks=(
        Check(
            8,
            "Deep MLP",
            "2^K pieces of the K-layer tent map",
            (Target("regions wrong", at_most=0), Target("accuracy", at_least=0.965)),
            f"{HERE}.digits.deep_mlp",
            trained=True,
        ),
    ),
    recipes=(
        ChapterRecipe(
            "digits-mlp", "a multi-layer perceptron on sklearn's digits", (8,), f"{HERE}.digits.DigitsMlp"
        ),
    ),
)

CHAPTERS = (NETWORKS,)
