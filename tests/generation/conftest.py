"""Tiny generators with random weights, built in memory, in float64 where the model allows."""

from collections.abc import Callable

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertLMHeadModel,
    BertModel,
    EncoderDecoderModel,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from ragkit.corpus.document import Passage
from ragkit.generation.causal import CausalGenerator
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.retrieval.hit import Hit

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
# Padding is not 0: transformers' beam search then fills short hypotheses with EOS, and
# RagSequenceForGeneration counts every one of them.
BOS, EOS, PAD = 1, 2, 3
WORDS = "question context : // / red green blue one two three apple pear plum Answer \n".split(" ")
VOCABULARY = len(SPECIAL) + len(WORDS)


@pytest.fixture(autouse=True)
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared with brute force or with the models' own makers is computed as they do, everywhere."""
    for module in ("runtime.precision", "runtime.model_graph", "generation.half"):
        monkeypatch.setattr(f"ragkit.{module}.computes_bf16", lambda device: False)


def tiny_tokenizer(template: str, window: int = 48) -> PreTrainedTokenizerFast:
    """A word tokenizer that frames texts by `template`, as "<s> $A </s>"."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split("\n", "isolated")]
    )
    words.post_processor = processors.TemplateProcessing(
        single=template, pair=f"{template} $B </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=window,
    )


def _t5() -> Seq2SeqGenerator:
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,  # transformers' own cache wants as many decoder as encoder layers
        num_heads=2,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=PAD,
        tie_word_embeddings=False,
    )
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight.data.normal_(0, 0.8)
    # T5 never writes its padding; transformers' RagSequenceForGeneration scores written padding as free.
    model.lm_head.weight.data[PAD] = 0
    return Seq2SeqGenerator(model.double(), tiny_tokenizer("$A </s>"))


def _bart() -> Seq2SeqGenerator:
    config = BartConfig(
        vocab_size=VOCABULARY,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=48,
        init_std=0.5,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=EOS,
        forced_eos_token_id=EOS,
    )
    model = BartForConditionalGeneration(config)
    model.final_logits_bias[0, PAD] = model.final_logits_bias[0, BOS] = -20
    model.generation_config.forced_bos_token_id = BOS
    return Seq2SeqGenerator(model.double(), tiny_tokenizer("<s> $A </s>"))


def _bert_config(**options: object) -> BertConfig:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=48,
        initializer_range=0.4,
        pad_token_id=PAD,
        **(sizes | options),
    )


def _encoder_decoder() -> Seq2SeqGenerator:
    encoder = BertModel(_bert_config(num_hidden_layers=1), add_pooling_layer=False)
    decoder = BertLMHeadModel(_bert_config(is_decoder=True, add_cross_attention=True))
    model = EncoderDecoderModel(encoder=encoder, decoder=decoder)
    model.config.decoder_start_token_id = BOS
    model.config.pad_token_id = PAD
    model.generation_config.decoder_start_token_id = BOS
    model.generation_config.eos_token_id = EOS
    return Seq2SeqGenerator(model.double(), tiny_tokenizer("<s> $A </s>"))


def _pointer() -> Seq2SeqGenerator:
    from ragkit.generation.pointer_generator import PointerGenerator, PointerGeneratorConfig

    config = PointerGeneratorConfig(
        encoder=_bert_config(num_hidden_layers=1).to_dict(),
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        max_target_positions=16,
        bos_token_id=BOS,
        decoder_start_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    return Seq2SeqGenerator(PointerGenerator(config).double(), tiny_tokenizer("<s> $A </s>"))


def _gpt2() -> CausalGenerator:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=48,
        initializer_range=0.4,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    format = "{title}{passage}\n{question}\nAnswer :"
    return CausalGenerator(GPT2LMHeadModel(config).double(), tiny_tokenizer("$A"), format)


TINY: dict[str, Callable[[], Seq2SeqGenerator | CausalGenerator]] = {
    "t5": _t5,
    "bart": _bart,
    "encoder-decoder": _encoder_decoder,
    "pointer": _pointer,
    "gpt2": _gpt2,
}


@pytest.fixture
def tiny() -> Callable[..., Seq2SeqGenerator | CausalGenerator]:
    """`tiny(kind, seed)` builds a generator of that kind (a key of TINY)."""

    def build(kind: str, seed: int = 0) -> Seq2SeqGenerator | CausalGenerator:
        torch.manual_seed(seed)
        return TINY[kind]()

    return build


@pytest.fixture
def tokenizer_of() -> Callable[..., PreTrainedTokenizerFast]:
    return tiny_tokenizer


@pytest.fixture
def hits() -> Callable[..., list[Hit]]:
    """`hits(["a text", ...], scores)`: hits as a search would return them."""

    def build(
        texts: list[str], scores: list[float] | None = None, titles: list[str] | None = None
    ) -> list[Hit]:
        scores = scores or [1.0 - 0.4 * rank for rank in range(len(texts))]
        titles = titles or [""] * len(texts)
        return [
            Hit(Passage(f"p{i}", f"d{i}", text, 0, len(text), title), score, i + 1)
            for i, (text, score, title) in enumerate(zip(texts, scores, titles, strict=True))
        ]

    return build
