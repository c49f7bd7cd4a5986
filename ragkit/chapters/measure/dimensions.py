"""Row 41: distances in cubes of 2 to 1,024 dimensions, and the dimension of real passages' vectors."""

from itertools import islice, pairwise

import numpy as np
import torch
from torch import Tensor

from ragkit.chapters.data import data_folder
from ragkit.corpus.records import read_json_lines
from ragkit.models.measure.dimension import contrast, intrinsic_dimension

PASSAGES = 1000


def passage_vectors(count: int = PASSAGES) -> Tensor:
    """The packaged encoder's vectors of SQuAD's paragraphs, one of twenty: (count, 384)."""
    from ragkit.encoders.loading import load_encoder

    records = read_json_lines(data_folder("squad") / "corpus.jsonl.gz")
    passages = [(record["title"], record["text"]) for record, _ in islice(records, 0, 20 * count, 20)]
    return torch.from_numpy(load_encoder("packaged").encode_passages(passages))


def curse() -> dict[str, float | list[float]]:
    cube = torch.Generator().manual_seed(0)
    contrasts, error = [], 0.0
    for dimension in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        points, queries = (torch.rand(n, dimension, generator=cube, dtype=torch.float64) for n in (1000, 20))
        contrasts.append(contrast(points, queries))
        far = np.linalg.norm(queries.numpy()[:, None] - points.numpy(), axis=-1)
        theirs = ((far.max(1) - far.min(1)) / far.min(1)).mean()
        error = max(error, abs(contrasts[-1] / theirs - 1))
    off = []
    for seed in (0, 1, 2):
        generator = torch.Generator().manual_seed(seed)
        flat = torch.rand(2000, 5, generator=generator, dtype=torch.float64)
        turned, _ = torch.linalg.qr(torch.randn(60, 5, generator=generator, dtype=torch.float64))
        off.append(abs(intrinsic_dimension(flat @ turned.mT) - 5))
    return {
        "contrast off numpy's": error,
        "dimensions that raise the contrast": sum(b >= a for a, b in pairwise(contrasts)),
        "TwoNN of a cube of 5 off by": off,
        "TwoNN of passages": intrinsic_dimension(passage_vectors()),
    }
