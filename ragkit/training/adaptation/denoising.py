"""The loss of TSDAE (Wang et al. 2021), sentence-transformers' own: a decoder that restores a sentence."""

from typing import Any

import torch
from torch import nn

from ragkit.errors import RagkitError
from ragkit.runtime.quiet import quiet


def denoising_loss(model: Any, name: str, seed: int) -> nn.Module:
    """-sum over t of log p(x_t | x_<t, vector of the damaged sentence), mean over the batch's tokens.

    The decoder shares its weights with the encoder, as in the paper; its attention to the one vector and its
    head are new, and random by `seed`. Loading it ties parameters of `model`: make it before any of them is
    frozen.

    Raises:
        RagkitError: if the encoder's architecture cannot be a decoder, too.
    """
    from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss

    torch.manual_seed(seed)
    try:
        with quiet():
            return DenoisingAutoEncoderLoss(model, tie_encoder_decoder=True)
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        raise RagkitError(
            f"{name}: tsdae needs an architecture that decodes, too, as BERT does: adapt it by ict or crop "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from error
