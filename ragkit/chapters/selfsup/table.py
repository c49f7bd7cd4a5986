"""Chapter 5, self-supervised learning: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.rows import checks_in, least, most, none

HERE = "ragkit.chapters.selfsup"
check = checks_in(HERE)

SELFSUP = Chapter(
    5,
    "selfsup",
    "Self-supervised learning",
    checks=(
        check(
            62, "Siamese encoder", "one encoder", "losses.siamese",
            none("parameters beside the encoder's"), most("d(x,y) - d(y,x)", 0), most("d(x,x)", 0),
        ),
        check(
            63, "Contrastive loss", "numpy; sentence-transformers", "losses.contrastive",
            most("error"), most("2 x sentence-transformers' off by", 1e-5),
        ),
        check(64, "Triplet loss", "TripletMarginWithDistanceLoss", "losses.triplet", most("error")),
        check(
            65, "Heavy augmentation", "the same without", "losses.heavy_augmentation",
            most("alignment of the views without", 1e-6), least("classmates apart without / with", 1.1),
            trained=True,
        ),
        check(
            66, "Large batch", "one batch of 128", "losses.large_batch",
            most("gradient off"), most("loss off"),
        ),
        check(
            67, "Hard negatives", "sorting by hand; random negatives", "losses.mined",
            none("sets other than by sorting"), least("loss on mined / on random", 1.5),
        ),
        check(
            68, "Rotation", "torch.rot90; the encoder as drawn", "pretext.rotation",
            most("error", 0), least("rotations told", 0.9), least("points over the encoder as drawn", 3),
            trained=True,
        ),
        check(
            69, "Patch reconstruction, jigsaw", "chance; the mean patch", "pretext.jigsaw_and_patches",
            least("jigsaw / chance", 5), most("patches: error / mean patch's", 0.6), trained=True,
        ),
        check(
            70, "SimCLR", "the formula in loops; raw pixels", "pretraining.simclr",
            most("error"), least("points over pixels", 3), trained=True,
        ),
        check(
            71, "BYOL", "the formula in numpy", "pretraining.byol",
            most("error"), none("gradients at the target"), least("std of vectors x √d", 0.3),
            most("the same without predictor and average", 0.3), trained=True,
        ),
        check(
            72, "Barlow Twins", "the formula in numpy", "pretraining.barlow_twins",
            most("error", 1e-4), least("on the diagonal", 0.8), most("off the diagonal", 0.1), trained=True,
        ),
        check(
            73, "Centroid regulariser", "a loop; the loss without it", "clusters.centroid_regulariser",
            most("error"), least("silhouette gained", 0.05), least("points of 5 neighbours gained", -0.5),
            trained=True,
        ),
        check(
            74, "Pretrain, fine-tune", "the same from scratch", "pretraining.fine_tuning",
            least("points over the encoder as drawn", 0), trained=True,
        ),
    ),
    recipes=(
        ChapterRecipe(
            "pretext", "rotations, jigsaw puzzles or hidden patches of digits", (68, 69),
            f"{HERE}.pretext.Pretext",
        ),
        ChapterRecipe(
            "self-supervised", "SimCLR, BYOL or Barlow Twins on digits", (70, 71, 72),
            f"{HERE}.pretraining.SelfSupervised",
        ),
        ChapterRecipe(
            "clusters", "digits by the triplet loss, drawn to their centroids", (73,),
            f"{HERE}.clusters.Clusters",
        ),
        ChapterRecipe(
            "fine-tuned", "digits from 100 labels, from a simclr run's encoder", (74,),
            f"{HERE}.pretraining.FineTuned",
        ),
    ),
)  # fmt: skip

CHAPTERS = (SELFSUP,)
