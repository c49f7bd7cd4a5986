"""Transformer: encoder blocks over the source, decoder blocks over the target and the encoder's output,
p(y_t | y_<t, x) = softmax(W h_t) (Vaswani et al. 2017, 3). Row 93.

The notes leave out that embeddings are multiplied with √width before the positions are added (3.4), that the
target enters shifted right behind a begin token, and the norm that pre-norm blocks need after the last one.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ragkit.models.sequence.decoder_block import DecoderBlock, DecoderCache
from ragkit.models.sequence.encoder_block import EncoderBlock, Norm
from ragkit.models.sequence.masks import causal_mask, padding_mask
from ragkit.models.sequence.positional import SinusoidalPositions


@dataclass(frozen=True, slots=True)
class DecodingState:
    """Caches of the blocks, which source tokens are real, and how many target tokens were read."""

    caches: list[DecoderCache]
    source_real: Tensor
    length: int


class Transformer(nn.Module):
    """Source ids (batch, source) and target ids (batch, target) to logits (batch, target, vocabulary).

    Source, target and output share one table of embeddings (Vaswani et al. 2017, 3.4).
    """

    def __init__(
        self,
        vocabulary: int,
        width: int = 512,
        layers: int = 6,
        heads: int = 8,
        inner: int = 2048,
        dropout: float = 0.1,
        norm: Norm = "post",
        padding_token: int = 0,
    ) -> None:
        super().__init__()
        self.padding_token = padding_token
        self.tokens = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.tokens.weight, std=width**-0.5)
        self.positions = SinusoidalPositions()
        sizes = (width, heads, inner, dropout, norm)
        self.encoder = nn.ModuleList(EncoderBlock(*sizes) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderBlock(*sizes) for _ in range(layers))
        last = norm == "pre"
        self.encoder_norm = nn.LayerNorm(width) if last else nn.Identity()
        self.decoder_norm = nn.LayerNorm(width) if last else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits of the token after each target token; row t sees targets up to t and the whole source."""
        real = source != self.padding_token
        memory = self.encode(source)
        return self.logits(self.decode(self.embed(target), memory, real))

    def encode(self, source: Tensor) -> Tensor:
        """(batch, source, width)."""
        return self.run_encoder(self.embed(source), source != self.padding_token)

    def embed(self, tokens: Tensor, first: int = 0) -> Tensor:
        scaled = self.tokens(tokens) * math.sqrt(self.tokens.embedding_dim)
        return self.dropout(self.positions(scaled, first))

    def run_encoder(self, x: Tensor, real: Tensor) -> Tensor:
        """Embedded source (batch, source, width) through the encoder's blocks."""
        for block in self.encoder:
            x = block(x, padding_mask(real))
        return self.encoder_norm(x)

    def decode(self, x: Tensor, memory: Tensor, real: Tensor) -> Tensor:
        """Embedded target (batch, target, width) through the decoder's blocks, all tokens at once."""
        for block in self.decoder:
            x = block(x, memory, causal_mask(x.shape[1], device=x.device), padding_mask(real))
        return self.decoder_norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return nn.functional.linear(hidden, self.tokens.weight)

    def start(self, source: Tensor) -> DecodingState:
        """The state before the first target token, for `decoding` and `forced_logits`."""
        memory = self.encode(source)
        caches = [block.start(memory) for block in self.decoder]  # type: ignore[operator]
        return DecodingState(caches, source != self.padding_token, 0)

    def step(self, tokens: Tensor, state: DecodingState) -> tuple[Tensor, DecodingState]:
        """Logits (rows, vocabulary) after one more token a row, from the cache."""
        x = self.embed(tokens[:, None], state.length)
        caches = []
        for block, cache in zip(self.decoder, state.caches, strict=True):
            x, cache = block.extend(x, cache, None, padding_mask(state.source_real))  # type: ignore[operator]
            caches.append(cache)
        logits = self.logits(self.decoder_norm(x))[:, 0]
        return logits, DecodingState(caches, state.source_real, state.length + 1)


def shifted_right(target: Tensor, begin: int) -> Tensor:
    """The decoder's inputs for a target: `begin`, then all of it but the last token."""
    return torch.cat([torch.full_like(target[:, :1], begin), target[:, :-1]], dim=1)
