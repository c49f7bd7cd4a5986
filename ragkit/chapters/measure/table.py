"""Chapter 3, measuring performance: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.check import Target
from ragkit.chapters.rows import checks_in, least, most, none

HERE = "ragkit.chapters.measure"
check = checks_in(HERE)

MEASURE = Chapter(
    3,
    "measure",
    "Measuring performance",
    checks=(
        check(
            36, "Splits", "sklearn GroupShuffleSplit", "errors.splits",
            none("groups in two parts"), none("items moved by new data"), most("share off sklearn's", 0.05),
        ),
        check(
            37, "Learning curve", "sklearn log_loss", "confidence.learning_curve",
            most("log loss off"), least("final loss / lowest", 1.2),
            most("points of error above the lowest", 1.5), least("nats saved by temperature", 0.05),
            trained=True,
        ),
        check(
            38, "Bias, variance, noise", "closed form of linear regression", "errors.sources_of_error",
            most("parts / measured error - 1", 0.05), most("variance / closed form - 1", 0.05),
        ),
        check(
            39, "Reducing variance and bias", "variance ~ 1/N", "errors.reducing_error",
            Target("slope of log variance over log N", -1.3, -0.7), none("capacities that raise bias²"),
            least("bias² of the least capacity / most", 10),
        ),
        check(
            40, "Double descent", "as many features as items", "errors.double_descent",
            Target("width of the peak / items", 0.9, 1.1), least("peak / lowest before", 4),
            least("peak / lowest after", 4),
        ),
        check(
            41, "Curse of dimensionality", "numpy; cubes of known dimension", "dimensions.curse",
            most("contrast off numpy's"), none("dimensions that raise the contrast"),
            most("TwoNN of a cube of 5 off by", 0.5), most("TwoNN of passages", 40), trained=True,
        ),
        check(
            42, "L1, L2", "SGD(weight_decay), sklearn Lasso", "regularisers.penalties",
            most("SGD with L2 - weight decay"), most("L1 - Lasso", 1e-6), none("zeros other than Lasso's"),
            least("weights that are 0", 1), least("AdamW - Adam with L2", 1e-3),
        ),
        check(
            43, "Early stopping, checkpoints", "the log; an unbroken run", "regularisers.early_stopping",
            most("restored loss - best logged", 0), Target("validations after the best", 3, 3),
            most("weights resumed - unbroken", 0), none("losses resumed that differ"),
        ),
        check(
            44, "Data augmentation", "the same without", "few_labels.augmentation",
            least("points gained", 2), trained=True,
        ),
        check(
            45, "Dropout", "F.dropout", "regularisers.dropout",
            most("error"), most("mean off", 0.01), most("changed in evaluation", 0),
            most("mask rate off", 0.005), most("DropConnect of the notes: mean - (1-p)", 0.01),
        ),
    ),
    recipes=(
        ChapterRecipe(
            "double-descent", "a readout of random features, on the curve over their number", (40,),
            f"{HERE}.descent.DoubleDescent",
        ),
        ChapterRecipe(
            "learning-curve", "a network that grows too sure of itself", (37,),
            f"{HERE}.confidence.LearningCurve",
        ),
        ChapterRecipe(
            "few-labels", "digits from 100 labels, shifted and turned", (44,),
            f"{HERE}.few_labels.FewLabels",
        ),
    ),
)  # fmt: skip

CHAPTERS = (MEASURE,)
