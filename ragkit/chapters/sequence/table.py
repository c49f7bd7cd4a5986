"""Chapter 6, sequences: what each row must reach, and what can be trained."""

from ragkit.chapters.chapter import Chapter, ChapterRecipe
from ragkit.chapters.check import Target
from ragkit.chapters.rows import checks_in, least, most, none

HERE = "ragkit.chapters.sequence"
check = checks_in(HERE)

SEQUENCE = Chapter(
    6,
    "sequence",
    "From recurrent networks to BERT",
    checks=(
        check(75, "Recurrent network", "nn.RNN", "recurrent.rnn", most("error")),
        check(
            76, "Backpropagation through time", "autograd at once; clip_grad_norm_", "recurrent.through_time",
            most("window of all tokens: gradient off"), least("window of 3: gradient off", 1e-3),
            most("clipped gradient off"),
        ),
        check(
            77, "Many to one, one to many, many to many", "strings never trained on", "tasks.three_kinds",
            least("parity of bits", 0.99), least("digits counted up from", 0.99),
            least("strings backwards, doubled", 0.98), trained=True,
        ),
        check(
            78, "Encoder-decoder", "a row alone; a manual loop", "recurrent.padding",
            most("logits moved by padding"), most("off the manual loop"),
        ),
        check(
            79, "Autoregressive decoding", "no cache; enumeration; transformers' generate", "decoding.search",
            most("logits with a cache off those without"), none("beams of one other than greedy"),
            none("wide beams other than all outputs sorted"), none("outputs other than transformers'"),
        ),
        check(
            80, "Tokens", "tokenizers, on SQuAD", "tokens.tokenisers",
            none("texts that do not come back"), none("words cut other than by tokenizers"),
            most("byte pairs a byte", 0.6),
        ),
        check(
            81, "Teacher forcing with p", "its law; the parallel decoder", "decoding.teacher_forcing",
            most("draw rate off by", 0.01), none("inputs neither true nor the model's"),
            most("p = 1: logits off the parallel decoder's"), most("p = 1: gradient off"),
        ),
        check(
            82, "LSTM", "nn.LSTM(proj_size)", "recurrent.lstm", most("error"), most("gradient off"),
        ),
        check(
            83, "ELMo biLM", "bilm-tf's golden files; the unigram", "bilm.bilm",
            most("golden files off by", 1e-5), most("perplexity / unigram's", 0.6), trained=True,
        ),
        check(
            84, "Character CNN, highway", "bilm-tf's golden files; by hand", "elmo.characters",
            none("strings without a vector of their own"), most("highway off by"),
            most("golden files off by", 1e-5),
        ),
        check(
            85, "Layer mix", "softmax(s + 1/L), as bilm-tf", "elmo.layer_mix",
            most("error"), most("sum of the weights off by"), none("parameters that learn but s and γ"),
        ),
        check(
            86, "Contextual embeddings", "a table of words", "elmo.senses",
            most("same word in a table, cosine off 1", 1e-6), most("same word in context, cosine", 0.995),
            least("senses: cosine within less across", 0.05), least("words of five whose senses part", 5),
        ),
        check(
            87, "Attention (alignment)", "by hand; strings never trained on", "alignment.alignment",
            most("context off by"), least("copied", 0.98), least("on the right place", 0.95), trained=True,
        ),
        check(
            88, "Self-attention", "scaled_dot_product_attention", "attention.scaled_dot_product",
            most("error"), most("gradient off"), none("numbers not 0 where all is masked"),
        ),
        check(
            89, "Multi-head attention", "nn.MultiheadAttention", "attention.multi_head",
            most("error"), most("gradient off"),
        ),
        check(
            90, "Positional encoding", "sines by hand; no positions", "attention.positions",
            most("formula off by"), most("PE(p+k) off a rotation of PE(p)"),
            most("order told without"), least("order told with", 1e-4),
        ),
        check(
            91, "Encoder block", "nn.TransformerEncoderLayer", "blocks.encoder_block",
            most("post-norm error"), most("pre-norm error"),
        ),
        check(
            92, "Decoder block", "nn.TransformerDecoderLayer; the notes' order", "blocks.decoder_block",
            most("error"), most("past moved by the future", 0), most("notes' order off by"),
        ),
        check(
            93, "Transformer", "nn.Transformer; strings never trained on", "sorting.digit_strings",
            most("error"), least("strings sorted", 0.98), least("strings reversed", 0.98), trained=True,
        ),
        check(
            94, "Next-token language model", "GPT2LMHeadModel; the unigram", "language.causal",
            most("off GPT-2"), least("unigram's perplexity / the model's", 3), trained=True,
        ),
        check(
            95, "BERT encoder", "BertModel; the packaged MiniLM", "bert.encoder",
            most("error"), Target("parameters of base", 109_482_240, 109_482_240),
            most("MiniLM: cosine off 1", 1e-5), most("MiniLM: error at tokens", 1e-4),
        ),
        check(
            96, "Masked language modelling", "transformers' collator and loss; the unigram", "masking.masked",
            most("rates off by, points", 0.3), most("rates off the collator's, points", 0.3),
            none("special tokens picked, labels elsewhere"), most("off BertForPreTraining"),
            least("nats below the unigram", 0.3), least("accuracy / the top piece's", 2), trained=True,
        ),
        check(
            97, "Next sentence prediction", "BertForPreTraining; chance", "next_sentence.next_sentence",
            most("random ones off half, points", 1), none("random ones of the same document"),
            none("others that do not follow"), most("off BertForPreTraining"),
            Target("parameters of base", 110_106_428, 110_106_428), least("of 256 pairs told", 0.95),
            trained=True,
        ),
        check(
            98, "[CLS]", "BertPooler; chance", "bert.pooled",
            most("error"), least("held-out accuracy of a fine-tuned one", 0.95),
        ),
    ),
    recipes=(
        ChapterRecipe(
            "sequence-tasks", "parity of bits, counting up, or strings written backwards, by LSTMs", (77,),
            f"{HERE}.tasks.SequenceTasks",
        ),
        ChapterRecipe(
            "character-bilm", "a small bidirectional language model of WikiText-2", (83,),
            f"{HERE}.bilm.CharacterBilm",
        ),
        ChapterRecipe(
            "copy-attention", "strings copied by additive attention, with a picture of it", (87,),
            f"{HERE}.alignment.CopyAttention",
        ),
        ChapterRecipe(
            "sort-transformer", "strings of digits sorted or reversed, with a picture of it", (93,),
            f"{HERE}.sorting.SortTransformer",
        ),
        ChapterRecipe(
            "tiny-causal-lm", "a small causal language model of WikiText-2, and what it writes", (94,),
            f"{HERE}.language.TinyCausalLM",
        ),
    ),
)  # fmt: skip

CHAPTERS = (SEQUENCE,)
