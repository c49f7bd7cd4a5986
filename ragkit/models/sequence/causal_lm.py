"""Causal language model: p(x) = Π_t p(x_t | x_<t), loss -Σ_t log p(x_t | x_<t), pre-norm blocks with a causal
mask (Radford et al. 2019). Row 94.

The notes name next-token prediction only in their chapter on RAG; it is the decoder without an encoder.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ragkit.models.sequence.encoder_block import EncoderBlock
from ragkit.models.sequence.masks import causal_mask
from ragkit.models.sequence.multi_head import KeyValues
from ragkit.models.sequence.positional import LearnedPositions


@dataclass(frozen=True, slots=True)
class CausalState:
    """Keys and values of every block; None before the first token."""

    past: list[KeyValues | None]
    length: int


class CausalLM(nn.Module):
    """Token ids (batch, tokens) to logits of the next token (batch, tokens, vocabulary), GPT-2's shape."""

    def __init__(
        self,
        vocabulary: int,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        positions: int = 1024,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = LearnedPositions(positions, width)
        self.blocks = nn.ModuleList(
            EncoderBlock(width, heads, 4 * width, dropout, norm="pre", activation="gelu_tanh")
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(tokens, self.start())[0]

    def loss(self, tokens: Tensor) -> Tensor:
        """Mean -log p of every token but the first given those before it, in nats."""
        logits = self(tokens[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def start(self) -> CausalState:
        return CausalState([None] * len(self.blocks), 0)

    def read(self, tokens: Tensor, state: CausalState) -> tuple[Tensor, CausalState]:
        """Logits after each of some more tokens, and the state with them."""
        length = state.length + tokens.shape[1]
        x = self.dropout(self.positions(self.tokens(tokens), state.length))
        mask = causal_mask(tokens.shape[1], length, x.device)
        past: list[KeyValues | None] = []
        for block, before in zip(self.blocks, state.past, strict=True):
            x, keys_values = block.extend(x, before, mask)  # type: ignore[operator]
            past.append(keys_values)
        return functional.linear(self.norm(x), self.tokens.weight), CausalState(past, length)

    def step(self, tokens: Tensor, state: CausalState) -> tuple[Tensor, CausalState]:
        """`read` of one token a row, for `decoding`: logits (rows, vocabulary)."""
        logits, state = self.read(tokens[:, None], state)
        return logits[:, 0], state


def from_gpt2(tensors: dict[str, Tensor], heads: int) -> CausalLM:
    """A model with the weights of a `GPT2LMHeadModel`'s state dict (its `Conv1D` weights are transposed)."""
    table, positions = tensors["transformer.wte.weight"], tensors["transformer.wpe.weight"]
    layers = len({name.split(".")[2] for name in tensors if name.startswith("transformer.h.")})
    model = CausalLM(len(table), table.shape[1], layers, heads, len(positions)).to(table.dtype)
    state = {"tokens.weight": table, "positions.table": positions}
    names = {
        "attn.c_proj": "attention.out",
        "mlp.c_fc": "feed_forward.rise",
        "mlp.c_proj": "feed_forward.fall",
    }
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = tensors[f"transformer.ln_f.{kind}"]
        for at in range(layers):
            theirs, ours = f"transformer.h.{at}.", f"blocks.{at}."
            joint = tensors[f"{theirs}attn.c_attn.{kind}"].chunk(3, dim=-1)
            for name, part in zip(("query", "key", "value"), joint, strict=True):
                state[f"{ours}attention.{name}.{kind}"] = part.T if kind == "weight" else part
            for their_name, name in names.items():
                part = tensors[f"{theirs}{their_name}.{kind}"]
                state[f"{ours}{name}.{kind}"] = part.T if kind == "weight" else part
            state[f"{ours}attention_norm.{kind}"] = tensors[f"{theirs}ln_1.{kind}"]
            state[f"{ours}feed_forward_norm.{kind}"] = tensors[f"{theirs}ln_2.{kind}"]
    with torch.no_grad():
        model.load_state_dict(state)
    return model
