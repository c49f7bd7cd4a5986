import json
from pathlib import Path

import numpy as np
import pytest
from hashing_encoder import HashingEncoder
from scipy.optimize import check_grad
from scipy.special import softmax

from ragkit.corpus.document import Document
from ragkit.corpus.questions import Question
from ragkit.errors import RagkitError
from ragkit.index.rewriting import adopt
from ragkit.retrieval.fusion import Fusion, default_fusion
from ragkit.retrieval.index import Index
from ragkit.training.retrieval.fusion import (
    CandidateSet,
    candidate_set,
    fused,
    losses,
    reciprocal_ranks,
    tune,
)


@pytest.fixture
def found() -> CandidateSet:
    rng = np.random.default_rng(3)
    gains = (rng.random((30, 12)) < 0.2).astype(float)
    gains[:, 0] = 1
    gains[5:, 9:] = -1
    return CandidateSet(rng.normal(size=(30, 2, 12)), rng.uniform(-1, 1, 30), gains)


def test_the_loss_is_minus_log_of_the_relevant_share(found: CandidateSet) -> None:
    theta = np.array([0.2, -0.5, 0.1, 0.7])
    scores = fused(found, Fusion((0.2, -0.5), (0.1, 0.7)))
    for i, loss in enumerate(losses(found, theta)[0]):
        odds = np.exp(scores[i][found.gains[i] >= 0])
        assert loss == pytest.approx(
            -np.log(odds[found.gains[i][found.gains[i] >= 0] > 0].sum() / odds.sum())
        )


def test_its_gradient(found: CandidateSet) -> None:
    for i in range(3):
        one = found.take(np.array([i]))
        error = check_grad(
            lambda t, of=one: losses(of, t)[0][0], lambda t, of=one: losses(of, t)[1][0], np.full(4, 0.3)
        )
        assert error < 1e-5


def test_reciprocal_ranks_by_hand() -> None:
    gains = np.array([[0, 1, 0, -1.0], [0, 0, 0, 0], [1, 0, 1, -1]])
    scores = np.array([[3.0, 2, 1, 9], [1, 2, 3, 4], [0, 5, 7, 9]])
    of = CandidateSet(np.zeros((3, 2, 4)), np.zeros(3), gains)
    assert reciprocal_ranks(of, scores).tolist() == [0.5, 0, 1]
    assert of.reachable().tolist() == [True, False, True]


WORDS = [f"{a}{b}" for a in ("ba", "ce", "di", "fo", "gu", "ha") for b in ("lin", "mor", "nat", "pel", "rus")]


def built(path: Path, lexical: bool = True) -> Index:
    """Documents of random words, which both sides find."""
    rng = np.random.default_rng(0)
    documents = [Document(str(i), " ".join(rng.choice(WORDS, 12)), title="") for i in range(60)]
    return Index.build(documents, path, encoder=HashingEncoder("a"), lexical=lexical, factory="flat")


def asked(index: Index) -> list[Question]:
    """Half of a document's words."""
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(index.passage(i).text.split(), 6)) for i in range(40)]
    return [Question(str(i), text, relevant={str(i): 1}) for i, text in enumerate(texts)]


def drawn_from_the_default(index: Index) -> list[Question]:
    """The relevant passage is drawn from the default's own p(z|x): no other weights are better."""
    rng = np.random.default_rng(2)
    questions = asked(index)
    vectors = index.encoder.encode_questions([question.text for question in questions])
    for question, candidates in zip(
        questions, index.candidates([q.text for q in questions], vectors), strict=True
    ):
        row = rng.choice(candidates.rows, p=softmax(default_fusion().fuse(candidates)))
        question.relevant = {index.passage(int(row)).id: 1}
    return questions


def test_a_tuned_index_searches_by_its_own_numbers_and_keeps_them(tmp_path: Path) -> None:
    index = built(tmp_path / "index")
    assert index.fusion == default_fusion() and index.info().fusion is None
    report = tune(index, asked(index))
    assert report.kept and report.questions == 40
    assert report.log_likelihood.b > report.log_likelihood.a
    opened = Index.open(tmp_path / "index", HashingEncoder("a"))
    assert opened.fusion == report.fusion != default_fusion()
    stored = json.loads(json.dumps(opened.info().fusion))
    assert stored == {
        "dense": list(report.fusion.dense), "lexical": list(report.fusion.lexical), "questions": 40
    }  # fmt: skip
    question = asked(opened)[0]
    (candidates,) = opened.candidates([question.text], opened.encoder.encode_questions([question.text]))
    assert opened.search(question.text)[0].score == pytest.approx(report.fusion.fuse(candidates).max())
    assert opened.verify() == []

    opened.add([Document("new", "a text of its own")])
    opened.delete(["3"])
    opened.compact()
    assert Index.open(tmp_path / "index").fusion == report.fusion
    adopt(tmp_path / "index", HashingEncoder("a"))
    assert Index.open(tmp_path / "index").fusion == default_fusion()


def test_what_does_not_help_is_not_stored(tmp_path: Path) -> None:
    index = built(tmp_path / "index")
    tune(index, asked(index))
    index = Index.open(tmp_path / "index", HashingEncoder("a"))
    report = tune(index, drawn_from_the_default(index))
    assert not report.kept and report.fusion == default_fusion()
    assert Index.open(tmp_path / "index").fusion == default_fusion()


def test_the_same_questions_give_the_same_numbers(tmp_path: Path) -> None:
    first, second = built(tmp_path / "a"), built(tmp_path / "b")
    assert tune(first, asked(first)).fusion == tune(second, asked(second)).fusion


def test_too_little_to_learn_from_is_refused(tmp_path: Path) -> None:
    index = built(tmp_path / "index")
    with pytest.raises(RagkitError, match="5 questions with a relevant passage are too few"):
        tune(index, asked(index)[:5])
    elsewhere = [Question(str(i), "balin mornat", relevant={"elsewhere": 1}) for i in range(30)]
    with pytest.raises(RagkitError, match="only 0 have their passage among the candidates"):
        tune(index, elsewhere)
    with pytest.raises(RagkitError, match="lexical"):
        words = built(tmp_path / "dense", lexical=False)
        tune(words, asked(words))


def test_a_cut_document_counts_by_its_own_id(tmp_path: Path) -> None:
    index = built(tmp_path / "index")
    question = Question("q", index.passage(7).text, relevant={"7": 1})
    found = candidate_set(index, [question], index.encoder.encode_questions([question.text]))
    assert found.gains.max() == 1 and found.reachable().all()
