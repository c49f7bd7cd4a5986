"""Chapter 11, model compression: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.rows import checks_in, least, most, none

HERE = "ragkit.chapters.compress"
check = checks_in(HERE)

COMPRESS = Chapter(
    11,
    "compress",
    "Model compression",
    checks=(
        check(
            143, "Threshold pruning", "torch.nn.utils.prune", "pruning.threshold_pruning",
            none("weights masked otherwise"),
        ),
        check(
            144, "Prune, fine-tune loop", "before the fine-tuning", "pruning.prune_and_fine_tune",
            least("points gained by fine-tuning", 0), most("points lost in the end", 1.5),
            most("weights left", 0.15), most("CSR / dense bytes", 0.3), trained=True,
        ),
        check(
            145, "90 % claim", "the dense network", "pruning.ninety_percent",
            most("weights left", 0.108), most("points lost", 1),
            least("points lost without retraining", 2), trained=True,
        ),
        check(
            146, "Masked net", "masking the gradient only", "pruning.masked_network",
            none("pruned weights that moved"), least("that moved with the gradient masked only", 1),
            most("f(x; m θ) off", 0),
        ),
        check(
            147, "Lottery ticket", "dense; the same mask drawn anew", "lottery.ticket",
            least("≤ 20 % left: points over dense", -0.3),
            least("≤ 7 % left: points over the mask drawn anew", 1),
            most("steps to dense accuracy / the dense network's", 1), most("weights left", 0.07),
            trained=True,
        ),
        check(
            148, "FP16/BF16, INT8", "torch.fake_quantize_*", "quantisation.eight_bits",
            most("int8 off torch's, in steps", 1e-4), most("affine off torch's, in steps", 1e-4),
            most("int8 error in steps", 0.5001), most("affine error in steps", 0.5001),
            most("halves' error / unit roundoff", 1),
        ),
        check(
            149, "INT4", "torch.fake_quantize_per_channel_affine; a scale a row", "quantisation.four_bits",
            most("off torch's, in steps", 1e-4), most("error in steps", 0.5001),
            most("bytes / float32's", 0.141), least("squared error of a row's scale / groups'", 1.5),
        ),
        check(
            150, "Quantisation-aware training", "torch.fake_quantize_per_tensor_affine; rounding afterwards",
            "quantisation.quantisation_aware",
            most("forward off torch's"), most("gradient off torch's"),
            most("finished weights off the grid", 0),
            least("points over rounding afterwards, 4 bits", 0),
            least("points over rounding afterwards, 2 bits", 0),
            most("answers changed by integers", 0.01), none("tensors that are not integers"), trained=True,
        ),
    ),
    recipes=(
        ChapterRecipe(
            "pruned", "digits by an MLP that is pruned while it is trained", (143, 144, 145, 146),
            f"{HERE}.pruning.Pruned",
        ),
        ChapterRecipe("lottery", "a lottery ticket of an MLP on digits", (147,), f"{HERE}.lottery.Lottery"),
        ChapterRecipe(
            "quantised", "digits by an MLP whose weights stay on a grid of few bits", (148, 149, 150),
            f"{HERE}.quantisation.Quantised",
        ),
    ),
)  # fmt: skip

CHAPTERS = (COMPRESS,)
