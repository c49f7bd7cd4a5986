"""Chapter 12, meta-learning: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.rows import checks_in, least, most, none

HERE = "ragkit.chapters.meta"
check = checks_in(HERE)

META = Chapter(
    12,
    "meta",
    "Meta-learning",
    checks=(
        check(
            151, "Meta objective", "all episodes of a small set, counted out", "sampling.objective",
            most("mean loss off by, in s.e.", 4), most("χ² of the 216 episodes, 215 expected", 280),
        ),
        check(
            152, "K-shot N-way episodes", "10,000 draws", "sampling.overlaps",
            none("items in support and query"), none("classes in training and test"),
            none("wrong or repeated labels"),
        ),
        check(
            153, "Kernel predictor", "KNeighborsClassifier, weighted; 1-NN", "sampling.kernel",
            most("error"), most("weights' sum off 1", 1e-12), none("narrow kernel unlike 1-NN"),
        ),
        check(
            154, "Conv siamese", "numpy; nearest pixels", "few_shot.siamese",
            most("error"), least("accuracy", 0.75), least("points over pixels", 20), trained=True,
        ),
        check(
            155, "Matching networks", "numpy; the bare cosine", "few_shot.matching",
            most("error"), least("accuracy", 0.82), least("points over the bare cosine", 10), trained=True,
        ),
        check(
            156, "Relation network", "loops; flat features", "few_shot.relation",
            most("error"), least("accuracy", 0.75), least("points over flat features", 0), trained=True,
        ),
        check(
            157, "LSTM optimiser", "SGD, momentum, Adam at their best rates", "optimiser.learned_optimiser",
            most("error"), most("loss / best rival's", 1), trained=True,
        ),
        check(
            158, "MAML", "closed form of a quadratic; joint training", "inner_steps.maml",
            most("error"), most("sinusoids: error / jointly trained", 0.4),
            least("characters after 1 step", 0.78), trained=True,
        ),
    ),
    recipes=(
        ChapterRecipe(
            "few-shot", "siamese, matching, prototype or relation network on characters", (154, 155, 156),
            f"{HERE}.few_shot.FewShot",
        ),
        ChapterRecipe(
            "learned-optimiser", "an LSTM that descends quadratics, against SGD, momentum and Adam", (157,),
            f"{HERE}.optimiser.LearnedOptimiser",
        ),
        ChapterRecipe(
            "maml-sinusoids", "MAML on sinusoids from five points", (158,), f"{HERE}.inner_steps.Sinusoid"
        ),
        ChapterRecipe(
            "maml-characters", "MAML on characters from one drawing each", (158,),
            f"{HERE}.inner_steps.MamlCharacters",
        ),
    ),
)  # fmt: skip

CHAPTERS = (META,)
