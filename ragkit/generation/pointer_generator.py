"""A small encoder-decoder that writes an answer or copies it from the passage.

    p(y_t | y_<t, x) = g_t softmax(E h_t + b)[y_t] + (1 - g_t) sum_{c: token(c) = y_t} a_tc

(pointer-generator, See et al. 2017, equation 9), h_t being the decoder's state and E the word embeddings,
shared by encoder, decoder and output. Every source position i offers two candidates c to the copy
distribution a_t = softmax(q_t k_c): "write x_i, as x_{i-1} has just been written" and "stop, as x_i has just
been written". Their keys hold the embedding of the token just written and the query that of y_{t-1}: going on
with what follows in the passage is a match of equal embeddings, an induction head built in
(Olsson et al. 2022) in place of one that has to be found by training.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSeq2SeqLM, BertConfig, BertModel
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.configuration_utils import PretrainedConfig
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import ModelOutput, Seq2SeqLMOutput
from transformers.modeling_utils import PreTrainedModel

from ragkit.generation.copy_mixture import CopyMixture, first_places
from ragkit.generation.pointer_decoder import DecoderLayer, SourceAttention


class PointerGeneratorConfig(PretrainedConfig):
    """Sizes of a pointer-generator: its BERT `encoder`, as a dictionary, whose sizes the decoder shares."""

    model_type = "ragkit-pointer-generator"

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        decoder_layers: int = 2,
        max_target_positions: int = 64,
        bos_token_id: int = 101,
        eos_token_id: int = 102,
        pad_token_id: int = 0,
        decoder_start_token_id: int = 101,
        is_encoder_decoder: bool = True,
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        self.encoder = BertConfig(**(encoder or {})).to_dict()
        self.vocab_size = self.encoder["vocab_size"]
        self.hidden_size = self.encoder["hidden_size"]
        self.num_hidden_layers = decoder_layers
        self.num_attention_heads = self.encoder["num_attention_heads"]
        self.intermediate_size = self.encoder["intermediate_size"]
        self.decoder_layers = decoder_layers
        self.max_target_positions = max_target_positions
        super().__init__(
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            pad_token_id=pad_token_id,
            decoder_start_token_id=decoder_start_token_id,
            is_encoder_decoder=is_encoder_decoder,
            tie_word_embeddings=tie_word_embeddings,
            **kwargs,
        )


@dataclass
class SourceOutput(ModelOutput):
    """All that the decoder needs of the source: select rows of every field to select sources.

    Attributes:
        last_hidden_state: BERT's states, (batch, source, hidden).
        memory: what the decoder's layers attend to, (batch, source, hidden).
        next_keys, stop_keys: keys of "write this token" and of "stop after it", (batch, source, hidden).
        attention_mask: 1 on tokens and 0 on padding, (batch, source).
        candidates: the token that each candidate to copy stands for: those of "write x_i", then the ends of
            "stop after x_i", (batch, 2 source).
        firsts: the first candidate that stands for the same token, (batch, 2 source).
    """

    # None is what ModelOutput asks of its fields; the encoder fills every one.
    last_hidden_state: Tensor = None  # type: ignore[assignment]
    memory: Tensor = None  # type: ignore[assignment]
    next_keys: Tensor = None  # type: ignore[assignment]
    stop_keys: Tensor = None  # type: ignore[assignment]
    attention_mask: Tensor = None  # type: ignore[assignment]
    candidates: Tensor = None  # type: ignore[assignment]
    firsts: Tensor = None  # type: ignore[assignment]

    def offer(self, tokens: Tensor, end: int) -> None:
        """Fills `candidates` and `firsts` from the source's tokens, (batch, source)."""
        self["candidates"] = torch.cat([tokens, torch.full_like(tokens, end)], dim=1)
        self["firsts"] = first_places(self["candidates"])


class PointerEncoder(nn.Module):
    """BERT over `[CLS] question [SEP] passage [SEP]`, and what the decoder wants to find there."""

    main_input_name = "input_ids"

    def __init__(self, config: BertConfig, separator: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.bert = BertModel(config, add_pooling_layer=False)
        self.separator = separator
        self.memory_state, self.memory_token, self.memory_before = (nn.Linear(size, size) for _ in range(3))
        self.memory_norm = nn.LayerNorm(size)
        self.next_key, self.stop_key = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> SourceOutput:
        """Segments follow from the first separator: only tokens (batch, source) and mask are asked for."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        is_separator = (input_ids == self.separator).long()
        segments = (is_separator.cumsum(-1) > is_separator).long() * attention_mask.long()
        states = self.bert(input_ids, attention_mask, token_type_ids=segments).last_hidden_state
        tokens = self.bert.get_input_embeddings()(input_ids)
        before = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
        memory = self.memory_state(states) + self.memory_token(tokens) + self.memory_before(before)
        source = SourceOutput(
            last_hidden_state=states,
            memory=self.memory_norm(memory),
            next_keys=self.next_key(states) + before,
            stop_keys=self.stop_key(states) + tokens,
            attention_mask=attention_mask,
        )
        source.offer(input_ids, self.separator)
        return source


class PointerGenerator(PreTrainedModel, GenerationMixin):
    """The whole model. `logits` are the log-probabilities of the mixture, so softmax(logits) = p."""

    config_class = PointerGeneratorConfig
    main_input_name = "input_ids"
    base_model_prefix = "model"
    _supports_sdpa = True
    _supports_attention_backend = True

    def __init__(self, config: PointerGeneratorConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        self.encoder = PointerEncoder(BertConfig(**config.encoder), config.eos_token_id)
        self.positions = nn.Embedding(config.max_target_positions, size)
        self.embedding_norm = nn.LayerNorm(size)
        sizes = (size, config.num_attention_heads, config.intermediate_size)
        self.layers = nn.ModuleList(DecoderLayer(*sizes, index) for index in range(config.decoder_layers))
        self.final_norm = nn.LayerNorm(size)
        self.vocabulary_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.gate = nn.Linear(size, 1)
        self.copy_query = nn.Linear(size, size)
        self.written_query = nn.Linear(size, size, bias=False)
        self.match_strength = nn.Parameter(torch.empty(()))
        self.post_init()

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        return self.encoder

    def get_input_embeddings(self) -> nn.Embedding:
        embeddings: nn.Embedding = self.encoder.bert.get_input_embeddings()
        return embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.encoder.bert.set_input_embeddings(value)

    def get_output_embeddings(self) -> None:
        """None: the output multiplies with the input embeddings themselves."""
        return None

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, SourceAttention):
            nn.init.normal_(module.key, std=0.02)
            nn.init.normal_(module.value, std=0.02)
        elif isinstance(module, PointerGenerator):
            # The induction head: an embedding matches itself. Copying is likelier than writing at first.
            nn.init.eye_(module.written_query.weight)
            nn.init.constant_(module.match_strength, 8.0)
            nn.init.constant_(module.gate.bias, -1.0)
            nn.init.zeros_(module.vocabulary_bias)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        labels: Tensor | None = None,
        encoder_outputs: SourceOutput | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        decoder_attention_mask: Tensor | None = None,
        return_dict: bool | None = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Log-probabilities of the next token after every prefix.

        Args:
            input_ids, attention_mask: the source, (batch, source); not needed with `encoder_outputs`.
            decoder_input_ids: begins with `decoder_start_token_id`, (batch, target); made of `labels` if
                left out.
            labels: gold tokens that end in `eos_token_id`, -100 where there is none, (batch, target).
            encoder_outputs: the encoder's output, computed once; it carries mask and source tokens itself.
            past_key_values: keys and values of the tokens before `decoder_input_ids`.
            decoder_attention_mask: ignored: padding stands behind the answer, where nothing looks.

        Returns:
            logits (batch, target, vocabulary); with `labels` instead of them the loss, the mean negative
            log-likelihood of a gold token, which needs no distribution over the whole vocabulary.
        """
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask)
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError("decoder_input_ids or labels are needed")
            decoder_input_ids = self.prefixes(labels)
        cache = past_key_values if use_cache else None
        mixture = self.decode(encoder_outputs, decoder_input_ids, cache)
        return Seq2SeqLMOutput(
            loss=None if labels is None else -mixture.log_probability_of(labels).mean(),
            logits=mixture.log_probabilities() if labels is None else None,
            past_key_values=cache,
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
        )

    def prefixes(self, labels: Tensor) -> Tensor:
        """Decoder inputs of the labels: shifted right behind the start token, padding as padding."""
        shifted = torch.full_like(labels, self.config.decoder_start_token_id)
        shifted[:, 1:] = labels[:, :-1].masked_fill(labels[:, :-1] < 0, self.config.pad_token_id)
        return shifted

    def decode(self, source: SourceOutput, prefix: Tensor, cache: Cache | None = None) -> CopyMixture:
        """The parts of the distribution after every prefix, prefix (rows, target).

        Each of the s sources is read by rows / s rows, which lie side by side.
        """
        embed = self.get_input_embeddings()
        own = cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
        seen = 0 if own is None else own.get_seq_length()
        places = torch.arange(seen, seen + prefix.shape[1], device=prefix.device)
        causal = torch.arange(seen + prefix.shape[1], device=prefix.device) <= places[:, None]
        written = embed(prefix)
        hidden = self.embedding_norm(written) + self.positions(places)
        bias = (1 - source.attention_mask[:, None].to(hidden.dtype)) * -1e4
        for layer in self.layers:
            hidden = layer(hidden, source.memory, bias, causal, own)
        hidden = self.final_norm(hidden)
        # Nothing has been written before the start token, so it matches nothing.
        begun = (prefix != self.config.decoder_start_token_id)[..., None]
        query = self.copy_query(hidden) + self.match_strength * self.written_query(written) * begun
        keys = torch.cat([source.next_keys, source.stop_keys], dim=1)
        offered = source.attention_mask.bool().repeat(1, 2)
        offered[:, 0] = False  # the source's own [CLS]: nothing precedes it, so it cannot come next
        copy = (query.view(len(keys), -1, query.shape[-1]) @ keys.transpose(1, 2)).float()
        return CopyMixture(
            hidden=hidden,
            words=embed.weight,
            word_bias=self.vocabulary_bias,
            gate=self.gate(hidden)[..., 0].float(),
            copy=copy.masked_fill(~offered[:, None], float("-inf")).view(*prefix.shape, -1),
            ids=source.candidates,
            firsts=source.firsts,
        )


AutoConfig.register(PointerGeneratorConfig.model_type, PointerGeneratorConfig, exist_ok=True)
AutoModelForSeq2SeqLM.register(PointerGeneratorConfig, PointerGenerator, exist_ok=True)
