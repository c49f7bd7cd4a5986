from typing import Any

import numpy as np
import pytest
import torch

from ragkit.encoders.dpr import DprEncoder
from ragkit.encoders.loading import load_encoder
from ragkit.errors import RagkitError

PASSAGES = [("france", "paris is the capital"), ("", "the cat sat"), ("plants", "light into sugar " * 30)]


def test_vectors_are_the_pooler_s_of_title_sep_text(tiny: Any) -> None:
    from transformers import DPRContextEncoder, DPRQuestionEncoder

    question, context = tiny.dpr("q", "Question", 1), tiny.dpr("c", "Context", 2)
    encoder = load_encoder(f"dpr:{question},{context}")
    assert encoder.similarity == "inner_product" and encoder.dimension == 16

    tokenizer = encoder.tokenizer
    texts = ["[CLS] france [SEP] paris is the capital [SEP]", "[CLS] the cat sat [SEP]"]
    tower = DPRContextEncoder.from_pretrained(context).eval()
    for text, vector in zip(texts, encoder.encode_passages(PASSAGES), strict=False):
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        expected = tower(ids).pooler_output.detach().numpy()[0]
        np.testing.assert_allclose(vector, expected, atol=1e-5)

    tower = DPRQuestionEncoder.from_pretrained(question).eval()
    ids = tokenizer("what is paris?", return_tensors="pt")["input_ids"]
    expected = tower(ids).pooler_output.detach().numpy()
    np.testing.assert_allclose(encoder.encode_questions(["what is paris?"]), expected, atol=1e-5)


def test_order_is_kept_and_padding_does_not_count(tiny: Any) -> None:
    encoder = DprEncoder(tiny.dpr("q", "Question"), tiny.dpr("c", "Context"))
    together = encoder.encode_passages(PASSAGES * 5)
    alone = np.concatenate([encoder.encode_passages([passage]) for passage in PASSAGES * 5])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert encoder.encode_passages([]).shape == (0, 16)
    assert encoder.encode_questions(["cat " * 50_000]).shape == (1, 16)


def test_each_tower_s_weights_count(tiny: Any) -> None:
    question, context = tiny.dpr("q", "Question", 1), tiny.dpr("c", "Context", 2)
    passport = DprEncoder(question, context).passport()
    assert passport.disagreement(DprEncoder(question, context).passport()) is None
    other = DprEncoder(tiny.dpr("q2", "Question", 3), context).passport()
    assert "weights" in (passport.disagreement(other) or "")


def test_swapped_towers_are_refused_not_loaded_at_random(tiny: Any) -> None:
    question, context = tiny.dpr("q", "Question"), tiny.dpr("c", "Context")
    with pytest.raises(RagkitError, match="QUESTION,CONTEXT"):
        load_encoder(f"dpr:{context},{question}")


def test_a_model_that_is_no_dpr_checkpoint_is_refused(tiny: Any) -> None:
    with pytest.raises(RagkitError, match="is a bert model, not a DPR checkpoint"):
        DprEncoder(tiny.bert("bert"), tiny.dpr("c", "Context"))


def test_encoding_draws_no_gradient(tiny: Any) -> None:
    encoder = DprEncoder(tiny.dpr("q", "Question"), tiny.dpr("c", "Context"))
    with torch.enable_grad():
        encoder.encode_questions(["cat"])
    assert all(parameter.grad is None for parameter in encoder.questions.model.parameters())
