"""A generator whose encoder is a graph, beside the same one computed by torch."""

from typing import Any

import numpy as np
import pytest
import torch

from ragkit.errors import RagkitError
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.runtime import model_graph
from ragkit.runtime.model_graph import ModelGraph


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def loaded(generator: Seq2SeqGenerator, **options: Any) -> Seq2SeqGenerator:
    return Seq2SeqGenerator(generator.model.float(), generator.tokenizer, **options)


def logits(generator: Seq2SeqGenerator, hits: Any) -> torch.Tensor:
    found = hits(["apple pear", "blue", "green plum two blue one three", "red red"])
    reading, _ = generator.read(["red"] * len(found), [hit.passage for hit in found], 8)
    return torch.cat([reading.logits, reading.extend(torch.tensor([[5, 6]] * len(found))).flatten(1)], 1)


def is_graph(generator: Seq2SeqGenerator, prompts: int = 1) -> bool:
    return generator._encode._graph.graph(prompts) is not None


@pytest.mark.parametrize("kind", ["t5", "bart", "encoder-decoder", "pointer"])
def test_a_graph_encodes_as_torch_does(tiny, hits, kind):
    plain, graph = loaded(tiny(kind), runtime="torch"), loaded(tiny(kind), runtime="openvino")
    assert is_graph(graph) and not is_graph(plain, 10**6)
    np.testing.assert_allclose(logits(graph, hits), logits(plain, hits), atol=1e-3)
    found = hits(["apple pear", "blue", "green plum"])
    (mine,), (wanted,) = (
        RagSequence(None, made, temperature=1.0, max_answer_tokens=8).answer(["red"], [found])
        for made in (graph, plain)
    )
    assert mine.text == wanted.text
    assert mine.log_probability == pytest.approx(wanted.log_probability, abs=1e-3)
    # From now on it is used wherever nobody says otherwise.
    assert is_graph(loaded(tiny(kind)))


def test_what_is_kept_and_what_is_computed_go_together(tiny, hits):
    generator = loaded(tiny("pointer"), runtime="openvino", cache_bytes=10**6)
    first = logits(generator, hits)
    assert len(generator.cache) == 4
    torch.testing.assert_close(logits(generator, hits), first)


def test_int8_moves_the_encoder_alone(tiny, hits):
    exact, quick = loaded(tiny("t5"), runtime="torch"), loaded(tiny("t5"), precision="int8")
    a, b = logits(exact, hits), logits(quick, hits)
    assert np.corrcoef(a.flatten(), b.flatten())[0, 1] > 0.98 and (a - b).abs().max() > 1e-4
    assert quick._computed is quick.model  # what decodes is as by "auto", here in single precision


def test_what_cannot_be_exported_is_left_to_torch_unless_asked_for(tiny, monkeypatch):
    def refuse(self: ModelGraph) -> None:
        raise RagkitError("the model cannot be exported")

    monkeypatch.setattr(ModelGraph, "_opened", refuse)
    generator = loaded(tiny("t5"))
    assert not is_graph(generator, model_graph.WORTH_EXPORTING)
    with pytest.raises(RagkitError, match="cannot be exported"):
        loaded(tiny("t5"), runtime="openvino")
