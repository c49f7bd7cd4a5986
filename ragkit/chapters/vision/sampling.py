"""Measures of rows 50 and 51: down- and upsampling against torch, with gradients."""

import torch
from torch.nn import functional

from ragkit.chapters.vision.convolutions import apart, gap, normal
from ragkit.models.vision.pooling import average_pool, max_pool, sub_sample
from ragkit.models.vision.upsampling import bilinear, duplicate, max_unpool


def downsampling() -> dict[str, float]:
    """Row 50: windows of 2 and 3, strides that overlap, meet and leave gaps."""
    torch.manual_seed(0)
    x = normal(2, 3, 11, 12)
    signal = normal(2, 3, 12)
    maxima, means, off = [], [], 0
    for size in (2, 3):
        for stride in (1, 2, 4):
            maxima += [
                apart(
                    lambda x, k=size, s=stride: max_pool(x, k, s).values,
                    lambda x, k=size, s=stride: functional.max_pool2d(x, k, s),
                    (x,),
                ),
                apart(
                    lambda x, k=size, s=stride: max_pool(x, k, s).values,
                    lambda x, k=size, s=stride: functional.max_pool1d(x, k, s),
                    (signal,),
                ),
            ]
            means += [
                apart(
                    lambda x, k=size, s=stride: average_pool(x, k, s),
                    lambda x, k=size, s=stride: functional.avg_pool2d(x, k, s),
                    (x,),
                ),
                apart(
                    lambda x, k=size, s=stride: average_pool(x, k, s),
                    lambda x, k=size, s=stride: functional.avg_pool1d(x, k, s),
                    (signal,),
                ),
            ]
            _, places = functional.max_pool2d(x, size, stride, return_indices=True)
            off += int((max_pool(x, size, stride).places != places).sum())
    return {
        "sub-sample": apart(sub_sample, lambda x: x[:, :, ::2, ::2], (x,)),
        "max pool": max(maxima),
        "places off": off,
        "average pool": max(means),
    }


def upsampling() -> dict[str, float]:
    """Row 51: factors 2 and 3, and the notes' forms."""
    torch.manual_seed(0)
    x, large = normal(2, 3, 4, 5), normal(2, 3, 8, 10)
    copies, lines = [], []
    for factor in (2, 3):
        copies.append(
            apart(
                lambda x, m=factor: duplicate(x, m),
                lambda x, m=factor: functional.interpolate(x, scale_factor=m),
                (x,),
            )
        )
        lines.append(
            apart(
                lambda x, m=factor: bilinear(x, m),
                lambda x, m=factor: functional.interpolate(x, scale_factor=m, mode="bilinear"),
                (x,),
            )
        )
    places = max_pool(large).places
    between = bilinear(x, 2, variant="notes")
    corners = functional.interpolate(x, size=between.shape[2:], mode="bilinear", align_corners=True)
    four = (x[..., :-1, :-1] + x[..., 1:, :-1] + x[..., :-1, 1:] + x[..., 1:, 1:]) / 4
    nails = max_unpool(x, places, (8, 10), variant="notes")
    kernel = torch.zeros(3, 1, 2, 2, dtype=torch.float64)
    kernel[..., 0, 0] = 1
    return {
        "duplicate": max(copies),
        "max-unpool": apart(
            lambda x: max_unpool(x, places, (8, 10)),
            lambda x: functional.max_unpool2d(x, places, [2, 2]),
            (x,),
        ),
        "bilinear": max(lines),
        "notes' unpool": gap(nails, functional.conv_transpose2d(x, kernel, stride=2, groups=3)),
        "notes' bilinear": max(gap(between, corners), gap(between[..., 1::2, 1::2], four)),
    }
