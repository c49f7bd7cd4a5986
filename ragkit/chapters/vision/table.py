"""Chapter 4, convolutional networks: what each row must reach, and what can be trained."""

from ragkit.chapters.basics.rows import least, most, none
from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.check import Check, Target

HERE = "ragkit.chapters.vision"


def check(
    row: int, item: str, reference: str, measure: str, *targets: Target, trained: bool = False
) -> Check:
    return Check(row, item, reference, targets, f"{HERE}.{measure}", trained)


VISION = Chapter(
    4,
    "vision",
    "Convolutional networks",
    checks=(
        check(
            46,
            "Convolution",
            "F.conv1d, F.conv2d; scipy's correlate2d, convolve2d",
            "convolutions.convolution",
            most("error"),
            most("correlation - scipy's"),
            most("kernel reversed - scipy's convolution"),
            most("f(shift x) - shift f(x)"),
            most("pooled f(shift x) - pooled f(x)"),
            least("f(shift x) - f(x)", 0.1),
        ),
        check(
            47,
            "Padding, stride, dilation",
            "F.conv1d, F.conv2d, 200 geometries",
            "convolutions.geometry",
            none("shapes off"),
            most("error"),
            none("notes' valid changes the size by"),
        ),
        check(
            48,
            "Channels",
            "nn.Conv2d, 20 layers; the notes' 27 + 1",
            "convolutions.channels",
            none("layers off"),
            Target("parameters of a 3x3 kernel on RGB", 28, 28),
        ),
        check(49, "Receptive field", "support of the gradient, 20 nets", "fields.fields", none("nets off")),
        check(
            50,
            "Sub-sample, max and average pool",
            "x[::2], F.max_pool1d/2d, F.avg_pool1d/2d",
            "sampling.downsampling",
            most("sub-sample"),
            most("max pool"),
            none("places off"),
            most("average pool"),
        ),
        check(
            51,
            "Duplicate, max-unpool, bilinear",
            "F.interpolate, F.max_unpool2d",
            "sampling.upsampling",
            most("duplicate"),
            most("max-unpool"),
            most("bilinear"),
            most("notes' unpool"),
            most("notes' bilinear"),
        ),
        check(
            52,
            "Transposed convolution",
            "F.conv_transpose1d/2d; <Ax, y> = <x, Aᵀy>",
            "convolutions.transposed",
            most("error"),
            most("<A x, y> - <x, Aᵀ y>"),
        ),
        check(
            53,
            "1x1 convolution",
            "nn.Linear at each pixel",
            "convolutions.pointwise",
            most("error"),
            most("1x1 - convolution"),
        ),
        check(
            54,
            "CNN classifier",
            "digits, 30 % held out",
            "classification.cnn_classifier",
            least("accuracy", 0.985),
            trained=True,
        ),
        check(
            55,
            "AlexNet, VGG",
            "published sizes; fields of Araujo et al. 2019",
            "sizes.published_sizes",
            none("AlexNet's parameters - 61,100,840"),
            none("VGG-16's parameters - 138,357,544"),
            none("logits of another shape"),
            Target("AlexNet's receptive field", 195, 195),
            Target("VGG-16's receptive field", 212, 212),
        ),
        check(
            56,
            "Object detection",
            "counted pixels, F.smooth_l1_loss; one digit on a canvas",
            "detection.object_detection",
            most("IoU - counted pixels"),
            most("smooth L1 - torch's"),
            least("mean IoU", 0.7),
            trained=True,
        ),
        check(
            57,
            "Semantic segmentation",
            "CrossEntropyLoss, scikit-learn's jaccard_score; shapes",
            "segmentation.semantic_segmentation",
            most("loss - CrossEntropyLoss"),
            most("mIoU - scikit-learn's"),
            least("mIoU", 0.85),
            trained=True,
        ),
        check(
            58,
            "ResNet",
            "published sizes; 40 plain layers on MNIST-1D",
            "depth.resnets",
            none("ResNet-18's parameters - 11,689,512"),
            none("ResNet-50's parameters - 25,557,032"),
            least("points gained by skips", 10),
            trained=True,
        ),
        check(
            59,
            "Residual block",
            "torch's layers; the identity",
            "blocks.residual_block",
            most("error"),
            most("zero-initialised block - identity", 0.0),
            most("unrolled - sequential"),
        ),
        check(
            60,
            "Batch normalisation",
            "nn.BatchNorm1d/2d; 2^K",
            "blocks.batch_norm",
            most("error in training"),
            most("running statistics"),
            most("error in evaluation"),
            most("evaluation with and without batch mates"),
            most("notes' form"),
            Target("variance times, a block", 1.9, 2.1),
            Target("variance added, a normalised block", 0.9, 1.1),
        ),
        check(
            61,
            "U-Net",
            "31,030,593 parameters; the same net without skips",
            "segmentation.u_net",
            none("parameters - 31,030,593"),
            least("points gained by skips", 5),
            trained=True,
        ),
    ),
    recipes=(
        ChapterRecipe(
            "image-cnn",
            "a CNN on digits, MNIST or Fashion-MNIST, and what its units see",
            (49, 54),
            f"{HERE}.classification.ImageCnn",
        ),
        ChapterRecipe(
            "digit-detector", "which digit, and where on a canvas", (56,), f"{HERE}.detection.DigitDetector"
        ),
        ChapterRecipe(
            "shapes-segnet",
            "shapes told apart pixel by pixel, down and up by pools",
            (57,),
            f"{HERE}.segmentation.ShapesSegNet",
        ),
        ChapterRecipe(
            "deep-signals",
            "forty layers on MNIST-1D, with skips or without",
            (58,),
            f"{HERE}.depth.DeepSignals",
        ),
        ChapterRecipe(
            "shapes-u-net",
            "shapes by a U-Net, with skips or without",
            (61,),
            f"{HERE}.segmentation.ShapesUNet",
        ),
    ),
)

CHAPTERS = (VISION,)
