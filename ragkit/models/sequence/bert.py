"""BERT: h⁰ = LN(E_token + E_position + E_segment), hˡ = EncoderBlock(hˡ⁻¹), GELU, norm after each residual
(Devlin et al. 2019, 3). Row 95.

The notes say BERT "inherits the same structure as ELMo": it does not. ELMo joins two one-way networks, while
each BERT layer looks at both sides at once, which is why it must hide the words that it predicts (row 96).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ragkit.models.sequence.encoder_block import EncoderBlock
from ragkit.models.sequence.masks import padding_mask


@dataclass(frozen=True, slots=True)
class BertConfig:
    """Sizes of a BERT; the defaults are those of `bert-base-uncased`."""

    vocabulary: int = 30522
    width: int = 768
    layers: int = 12
    heads: int = 12
    inner: int = 3072
    positions: int = 512
    segments: int = 2
    dropout: float = 0.1
    epsilon: float = 1e-12
    padding_token: int = 0


class BertEmbeddings(nn.Module):
    """The sum of the vectors of a token, of its place and of its segment, normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocabulary, config.width, padding_idx=config.padding_token)
        self.positions = nn.Embedding(config.positions, config.width)
        self.segments = nn.Embedding(config.segments, config.width)
        self.norm = nn.LayerNorm(config.width, config.epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, segments: Tensor | None = None) -> Tensor:
        if tokens.shape[1] > self.positions.num_embeddings:
            raise ValueError(
                f"{tokens.shape[1]} tokens, but the model has {self.positions.num_embeddings} positions"
            )
        segments = torch.zeros_like(tokens) if segments is None else segments
        summed = self.tokens(tokens) + self.segments(segments) + self.positions.weight[: tokens.shape[1]]
        return self.dropout(self.norm(summed))


class Bert(nn.Module):
    """The encoder: token ids (batch, tokens) to contextual vectors (batch, tokens, width)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.blocks = nn.ModuleList(
            EncoderBlock(
                config.width,
                config.heads,
                config.inner,
                config.dropout,
                activation="gelu",
                epsilon=config.epsilon,
            )
            for _ in range(config.layers)
        )
        self.apply(initialise)

    def forward(self, tokens: Tensor, real: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """Contextual vectors of the last layer.

        Args:
            tokens, segments: ids (batch, tokens); segments 0 if left out.
            real: (batch, tokens), 1 at tokens and 0 at padding; None if there is none.

        Raises:
            ValueError: if there are more tokens than the model has positions.
        """
        x = self.embeddings(tokens, segments)
        mask = None if real is None else padding_mask(real)
        for block in self.blocks:
            x = block(x, mask)
        return x


def initialise(module: nn.Module) -> None:
    """BERT's initial values: normal with deviation 0.02, biases and the padding vector 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
