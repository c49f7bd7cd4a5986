import json
import math
from pathlib import Path

import pytest

from ragkit.corpus.document import Passage
from ragkit.errors import RagkitError
from ragkit.generation.answer import Answer, Support
from ragkit.generation.best_of import FEATURES, BestOf, RewardModel, load_reward
from ragkit.generation.rag_sequence import RagSequence
from ragkit.generation.reader import ExtractiveReader
from ragkit.retrieval.hit import Hit

PASSAGES = [
    Passage("p0", "d", "Work ended in 1894. The bridge was built by Ann Lee.", 100, 152),
    Passage("p1", "e", "Nobody paints the bridge.", 0, 25),
]
QUESTION = "When was the bridge built?"


def model(**weights: float) -> RewardModel:
    return RewardModel(
        dict.fromkeys(FEATURES, 0.0) | {name.replace("_", " "): w for name, w in weights.items()}, {}
    )


def answer(text: str, *alternatives: tuple[str, float]) -> Answer:
    support = [
        Support(passage, prior, -1.0, prior) for passage, prior in zip(PASSAGES, (0.75, 0.25), strict=True)
    ]
    return Answer(QUESTION, text, -0.5, support, list(alternatives))


def test_features_by_hand() -> None:
    (found,) = BestOf(1, model(number=2.0, length=-1.0)).candidates(answer("in 1894"))
    assert found.features == {
        "log p(y|x)": -0.5,
        "cited": 1.0,
        "about": 0.0,  # its sentence speaks of neither bridge nor building
        "agreement": 0.75,
        "echo": 0.0,
        "length": pytest.approx(math.log(3)),
        "number": 1.0,
    }
    assert found.reward == pytest.approx(2 - math.log(3))
    (citation,) = found.citations
    assert PASSAGES[0].text[citation.start : citation.end] == "in 1894"
    (found,) = BestOf(1, model()).candidates(answer("the bridge"))
    assert found.features["echo"] == 1.0 and found.features["number"] == -1.0
    assert found.features["about"] == pytest.approx(1.0) and found.features["agreement"] == pytest.approx(1.0)
    assert [citation.passage.id for citation in found.citations] == ["p0", "p1"]


def test_the_highest_reward_among_the_n_likeliest_is_first() -> None:
    proposed = answer("Ann Lee", ("ann lee.", -0.7), ("1894", -1.0), ("2001", -2.0), ("", -0.1))
    likes_numbers = model(number=1.0)
    assert [one.text for one in BestOf(3, likes_numbers).candidates(proposed)] == ["1894", "2001", "Ann Lee"]
    assert [one.text for one in BestOf(2, likes_numbers).candidates(proposed)] == ["1894", "Ann Lee"]
    assert [one.text for one in BestOf(1, likes_numbers).candidates(proposed)] == ["Ann Lee"]
    with pytest.raises(RagkitError, match="at least 1"):
        BestOf(0, likes_numbers)


@pytest.mark.parametrize("make", [ExtractiveReader, RagSequence])
def test_an_answerer_gives_the_best_with_its_own_support(
    make: type[RagSequence] | type[ExtractiveReader],
) -> None:
    answerer = make(None)
    hits = [Hit(passage, 1.0 - rank, rank) for rank, passage in enumerate(PASSAGES, 1)]
    (plain,) = answerer.answer([QUESTION], [hits])
    likes_long = model(length=1.0)
    answerer.best_of = BestOf(4, likes_long)
    (best,) = answerer.answer([QUESTION], [hits])
    candidates = answerer.best_of.candidates(best)
    assert plain.text == "1894" and best.text == candidates[0].text != plain.text
    assert len(best.text.split()) == max(len(one.text.split()) for one in candidates)
    assert best.log_probability == dict(plain.alternatives)[best.text] == candidates[0].log_probability
    joint = sum(one.prior * math.exp(one.log_likelihood) for one in best.support)
    assert math.log(joint) == pytest.approx(best.log_probability, abs=1e-5)
    assert plain.text in dict(best.alternatives) and best.text not in dict(best.alternatives)
    assert answerer.config["best_of"] == 4


def test_no_answer_stays_none() -> None:
    reader = ExtractiveReader(None)
    reader.best_of = BestOf(4, model(length=1.0))
    (none,) = reader.answer(["Who wrote Hamlet?"], [[Hit(PASSAGES[1], 0.0, 1)]])
    assert none.text == ""


def test_weights_are_kept_and_broken_files_refused(tmp_path: Path) -> None:
    kept = RewardModel(dict.fromkeys(FEATURES, 0.5), {"data": "mine"})
    kept.save(tmp_path / "new" / "reward.json")
    assert load_reward(tmp_path / "new" / "reward.json") == kept
    assert set(load_reward().weights) == set(FEATURES)
    for name, text in {
        "empty": "",
        "list": "[]",
        "part": '{"weights": {}, "about": {}}',
        "nan": json.dumps({"weights": dict.fromkeys(FEATURES, math.nan), "about": {}}),
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(RagkitError, match="is no reward model"):
            load_reward(tmp_path / name)
    with pytest.raises(RagkitError, match="cannot read"):
        load_reward(tmp_path / "nowhere")
