"""The pointer-generator is a distribution, keeps its contract with rescoring, and loads again."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from ragkit.generation.pointer_generator import PointerGenerator, PointerGeneratorConfig, SourceOutput

CLS, SEP, PAD, WORDS = 1, 2, 0, 40


@pytest.fixture
def model() -> PointerGenerator:
    torch.manual_seed(0)
    encoder = {
        "vocab_size": WORDS,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
    }
    config = PointerGeneratorConfig(
        encoder=encoder,
        bos_token_id=CLS,
        eos_token_id=SEP,
        pad_token_id=PAD,
        decoder_start_token_id=CLS,
    )
    model = PointerGenerator(config).eval()
    # Far from the initial values, where many mistakes would not show.
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def sources(rows: int = 3, padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Sources of growing length with repeated tokens, padded to one width."""
    drawn = torch.Generator().manual_seed(1)
    width = 12 + rows + padding
    ids = torch.full((rows, width), PAD)
    for row in range(rows):
        length = 12 + row
        ids[row, :length] = torch.randint(3, 12, (length,), generator=drawn)
        ids[row, 0], ids[row, 4], ids[row, length - 1] = CLS, SEP, SEP
    return ids, (ids != PAD).long()


def prefixes(rows: int = 3, length: int = 5) -> torch.Tensor:
    drawn = torch.randint(3, WORDS, (rows, length), generator=torch.Generator().manual_seed(2))
    drawn[:, 0] = CLS
    return drawn


def test_logits_are_log_probabilities(model: PointerGenerator) -> None:
    ids, mask = sources()
    logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=prefixes()).logits
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.exp().sum(-1), torch.ones(logits.shape[:2]), atol=1e-5, rtol=0)


def test_mixture_is_the_equation(model: PointerGenerator) -> None:
    ids, mask = sources()
    mixture = model.decode(model.encoder(ids, mask), prefixes())
    gate = torch.sigmoid(mixture.gate)[..., None]
    expected = gate * torch.softmax(mixture.hidden @ mixture.words.T + mixture.word_bias, -1)
    copied = (1 - gate) * torch.softmax(mixture.copy, -1)
    for row in range(len(ids)):
        for candidate, token in enumerate(mixture.ids[row].tolist()):
            expected[row, :, token] += copied[row, :, candidate]
    torch.testing.assert_close(mixture.log_probabilities().exp(), expected, atol=1e-6, rtol=1e-4)


def test_loss_and_its_gradient_are_those_of_the_logits(model: PointerGenerator) -> None:
    ids, mask = sources()
    labels = prefixes().roll(-1, dims=-1)
    labels[:, -1] = SEP
    labels[0, 3:] = -100
    labels[1, 0] = int(ids[1, 6])
    model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
    direct = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    model.zero_grad()
    logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=model.prefixes(labels)).logits
    full = torch.nn.functional.nll_loss(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
    full.backward()
    torch.testing.assert_close(loss, full)
    assert direct.keys() >= {name for name, _ in model.named_parameters() if "layers" in name}
    for name, parameter in model.named_parameters():
        if name in direct:
            assert torch.isfinite(direct[name]).all(), name
            torch.testing.assert_close(direct[name], parameter.grad, atol=1e-5, rtol=1e-3, msg=name)


def test_padding_changes_nothing(model: PointerGenerator) -> None:
    narrow, wide = sources(), sources(padding=7)
    one = model(input_ids=narrow[0], attention_mask=narrow[1], decoder_input_ids=prefixes()).logits
    other = model(input_ids=wide[0], attention_mask=wide[1], decoder_input_ids=prefixes()).logits
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_selected_encoder_outputs_stand_for_the_source(model: PointerGenerator) -> None:
    ids, mask = sources()
    chosen = torch.tensor([2, 0, 2])
    full = model(input_ids=ids[chosen], attention_mask=mask[chosen], decoder_input_ids=prefixes()).logits
    encoded = model.get_encoder()(input_ids=ids, attention_mask=mask)
    cached = SourceOutput(**{name: tensor.index_select(0, chosen) for name, tensor in encoded.items()})
    again = model(encoder_outputs=cached, attention_mask=mask[chosen], decoder_input_ids=prefixes()).logits
    torch.testing.assert_close(full, again, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_generate_with_and_without_cache_agree(model: PointerGenerator, beams: int) -> None:
    ids, mask = sources()
    texts = [
        model.generate(ids, attention_mask=mask, num_beams=beams, max_new_tokens=8, use_cache=cached)
        for cached in (True, False)
    ]
    assert torch.equal(*texts)


def test_greedy_generation_is_the_argmax(model: PointerGenerator) -> None:
    ids, mask = sources()
    written = model.generate(ids, attention_mask=mask, max_new_tokens=6, do_sample=False, eos_token_id=None)
    logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=written[:, :-1]).logits
    assert torch.equal(logits.argmax(-1), written[:, 1:])


def test_saved_model_is_loaded_by_the_auto_class(model: PointerGenerator, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    ids, mask = sources()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    expected = model(input_ids=ids, attention_mask=mask, decoder_input_ids=prefixes()).logits
    loaded = again(input_ids=ids, attention_mask=mask, decoder_input_ids=prefixes()).logits
    torch.testing.assert_close(loaded, expected)


def test_untrained_model_continues_what_it_copies() -> None:
    torch.manual_seed(0)
    encoder = {"vocab_size": 200, "hidden_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = PointerGeneratorConfig(
        encoder=encoder, bos_token_id=CLS, eos_token_id=SEP, decoder_start_token_id=CLS
    )
    model = PointerGenerator(config).eval()
    embeddings = model.get_input_embeddings().weight
    embeddings.data = torch.nn.functional.normalize(torch.randn_like(embeddings), dim=-1)
    source = torch.cat([torch.tensor([CLS, 3, SEP]), torch.arange(50, 90), torch.tensor([SEP])])[None]
    mixture = model.decode(model.encoder(source), torch.tensor([[CLS, 60]]))
    best = mixture.copy[0, 1].topk(2).indices
    # "copy 61" and "stop after 60" are the two candidates that follow 60.
    assert set(best.tolist()) == {
        source[0].tolist().index(61),
        source.shape[1] + source[0].tolist().index(60),
    }
