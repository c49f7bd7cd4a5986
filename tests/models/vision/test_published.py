"""Rows 54, 55, 58: networks that were published, beyond what the row checks measure."""

import pytest
import torch
from torch import nn

from ragkit.errors import RagkitError
from ragkit.models.vision.alexnet import alexnet
from ragkit.models.vision.classifier import Image, cnn
from ragkit.models.vision.resnet import BLOCKS, ResNet
from ragkit.models.vision.vgg import vgg


def size(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.row(54)
def test_a_cnn_for_any_image() -> None:
    net = cnn(Image(3, 12, 21), classes=4, channels=(5, 6), hidden=7)
    assert net(torch.rand(2, 3, 12, 21)).shape == (2, 4)
    assert size(net) == (3 * 9 + 1) * 5 + (5 * 9 + 1) * 6 + (6 * 3 * 5 + 1) * 7 + (7 + 1) * 4
    with pytest.raises(RagkitError, match=r"expected images .batch, 3, 12, 21"):
        net(torch.rand(2, 3, 21, 12))
    with pytest.raises(RagkitError, match="expected 8 pixels"):
        cnn(Image(1, 4, 9), channels=(4, 4, 4))


@pytest.mark.row(55)
@pytest.mark.parametrize("depth, wanted", [(11, 132_863_336), (13, 133_047_848), (19, 143_667_240)])
def test_the_other_depths_of_vgg(depth: int, wanted: int) -> None:
    with torch.device("meta"):
        assert size(vgg(depth)) == wanted


@pytest.mark.row(55)
def test_other_classes_and_other_images() -> None:
    with torch.device("meta"):
        net = alexnet(classes=7)
        assert net(torch.empty(1, 3, 224, 224)).shape == (1, 7)
        with pytest.raises(RagkitError, match=r"expected images .batch, 3, 224, 224"):
            net(torch.empty(1, 3, 96, 96))
    with pytest.raises(RagkitError, match="no VGG of depth 12: expected 11, 13"):
        vgg(12)


@pytest.mark.row(58)
@pytest.mark.parametrize("depth, wanted", [(34, 21_797_672), (101, 44_549_160), (152, 60_192_808)])
def test_the_other_depths_of_resnet(depth: int, wanted: int) -> None:
    with torch.device("meta"):
        assert size(ResNet(depth)) == wanted


@pytest.mark.row(58)
def test_a_resnet_that_does_not_exist_or_fit() -> None:
    with torch.device("meta"):
        with pytest.raises(RagkitError, match="expected 18, 34"):
            ResNet(20)
        with pytest.raises(RagkitError, match=r"expected images .batch, 3"):
            ResNet(18)(torch.empty(1, 1, 64, 64))


@pytest.mark.row(58)
@pytest.mark.parametrize("depth", [18, 50])
def test_resnet_computes_what_transformers_does(depth: int) -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    config = ResNetConfig(
        depths=list(BLOCKS[depth]),
        layer_type="basic" if depth < 50 else "bottleneck",
        hidden_sizes=[64 << k for k in range(4)] if depth < 50 else [256 << k for k in range(4)],
        num_labels=5,
    )
    theirs, ours = ResNetForImageClassification(config).double().eval(), ResNet(depth, 5).double().eval()
    own = [block for stage in (ours.layer1, ours.layer2, ours.layer3, ours.layer4) for block in stage]
    other = [block for stage in theirs.resnet.encoder.stages for block in stage.layers]
    with torch.no_grad():
        for mine, block in zip(own, other, strict=True):
            for number, layer in enumerate(block.layer, 1):
                copy_layer(mine, number, layer)
            if isinstance(mine.downsample, nn.Sequential):
                mine.downsample[0].load_state_dict(block.shortcut.convolution.state_dict())
                mine.downsample[1].load_state_dict(block.shortcut.normalization.state_dict())
        copy_layer(ours, 1, theirs.resnet.embedder.embedder)
        ours.fc.load_state_dict(theirs.classifier[1].state_dict())
        x = torch.rand(2, 3, 64, 64, dtype=torch.float64)
        assert (ours(x) - theirs(x).logits).abs().max() < 1e-10 * max(1, ours(x).abs().max())


def copy_layer(ours: nn.Module, number: int, theirs: nn.Module) -> None:
    """One convolution with its batch norm, whose weights are drawn anew."""
    for parameter in theirs.normalization.parameters():
        nn.init.normal_(parameter)
    nn.init.uniform_(theirs.normalization.running_var, 0.5, 2)
    getattr(ours, f"conv{number}").load_state_dict(theirs.convolution.state_dict())
    getattr(ours, f"bn{number}").load_state_dict(theirs.normalization.state_dict())
