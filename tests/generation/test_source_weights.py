"""Sources weighed by a field of their metadata."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError
from ragkit.generation.causal import CausalGenerator
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.seq2seq import Seq2SeqGenerator
from ragkit.generation.source_weights import log_weights
from ragkit.retrieval.hit import Hit

TEXTS = ["red apple", "green pear", "blue plum"]


def passage(**metadata: Any) -> Passage:
    return Passage("minutes.md", "minutes.md", "red", 0, 3, metadata=metadata)


@pytest.mark.row(112)
@given(st.lists(st.none() | st.floats(1e-6, 1e6) | st.integers(1, 9), min_size=1))
def test_a_passage_weighs_what_its_metadata_say_or_one(weights: list[float | None]) -> None:
    passages = [passage() if weight is None else passage(trust=weight) for weight in weights]
    expected = [1.0 if weight is None else float(weight) for weight in weights]
    np.testing.assert_allclose(np.exp(log_weights(passages, "trust")), expected)


@pytest.mark.parametrize("weight", [0, -1.0, "high", True, None, float("inf"), float("nan")])
def test_what_is_no_weight_is_refused_with_its_passage(weight: Any) -> None:
    with pytest.raises(RagkitError, match=r"minutes\.md: its metadata say trust = .* above 0"):
        log_weights([passage(trust=1.0), passage(trust=weight)], "trust")


@pytest.mark.row(112)
def test_priors_are_multiplied_and_likelihoods_stay(
    tiny: Callable[..., Seq2SeqGenerator | CausalGenerator], hits: Callable[..., list[Hit]]
) -> None:
    found = hits(TEXTS)
    weighed = [
        replace(hit, passage=replace(hit.passage, metadata={"trust": weight}))
        for hit, weight in zip(found, (1.0, 8.0, 0.5), strict=True)
    ]
    generator = tiny("bart")
    [plain] = RagSequence(None, generator, temperature=1.0).answer(["what ?"], [found])
    rag = RagSequence(None, generator, temperature=1.0, weight_by="trust")
    [answer] = rag.answer(["what ?"], [weighed])
    before = {support.passage.id: support for support in plain.support}
    after = {support.passage.id: support for support in answer.support}
    assert after["p1"].prior / after["p0"].prior == pytest.approx(8 * before["p1"].prior / before["p0"].prior)
    assert after["p2"].prior / after["p0"].prior == pytest.approx(before["p2"].prior / before["p0"].prior / 2)
    assert sum(support.prior for support in answer.support) == pytest.approx(1)
    joint = {name: one.prior * np.exp(one.log_likelihood) for name, one in after.items()}
    for name, one in after.items():
        assert one.posterior == pytest.approx(joint[name] / sum(joint.values()))
    assert np.exp(answer.log_probability) == pytest.approx(sum(joint.values()))
    assert rag.config["weight_by"] == "trust"
