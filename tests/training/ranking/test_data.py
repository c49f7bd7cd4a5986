import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragkit.errors import RagkitError
from ragkit.training.ranking.data import draw_lists, plan_batches, read_ranking_set


def beir(folder: Path, questions: dict[str, tuple[str, list[str]]], passages: dict[str, str]) -> Path:
    """`questions`: id -> (text, answers); question qN is about passage pN."""
    (folder / "qrels").mkdir(parents=True)
    lines = [{"_id": name, "title": name.upper(), "text": text} for name, text in passages.items()]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)))
    asked: list[dict[str, Any]] = [{"_id": name, "text": text} for name, (text, _) in questions.items()]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    answers = [{"_id": name, "answers": given} for name, (_, given) in questions.items()]
    (folder / "answers.jsonl").write_text("\n".join(map(json.dumps, answers)))
    rows = "".join(f"{name}\tp{name[1:]}\t1\n" for name in questions)
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    return folder


PASSAGES = {
    "p1": "The river Elbe flows through Dresden.",
    "p2": "The river Rhine flows through Cologne.",
    "p3": "Dresden is where the river Elbe widens.",
    "p4": "Bread is baked from flour.",
}
QUESTIONS = {
    "q1": ("Which river flows through Dresden?", ["Elbe"]),
    "q2": ("Which river flows through Cologne?", ["the Rhine"]),
    "q4": ("What is baked from flour?", ["Bread"]),
}


def test_bm25_gives_what_looks_like_the_answer_and_holds_none(tmp_path: Path) -> None:
    data = read_ranking_set(beir(tmp_path / "set", QUESTIONS, PASSAGES))
    river = next(example for example in data.examples if "Dresden" in example.question)
    names = [data.passages[at][0] for at in river.negatives]
    assert names[0] == "P2"  # the most alike that is wrong
    assert "P1" not in names  # relevant
    assert "P3" not in names  # holds the answer, whatever the judgements say


def test_negatives_that_come_with_the_data_are_taken_as_they_are(tmp_path: Path) -> None:
    context = [{"title": "", "text": text, "passage_id": name} for name, text in PASSAGES.items()]
    entry = {"question": "Which river?", "answers": ["Elbe"], "positive_ctxs": context[:1]}
    path = tmp_path / "dpr.json"
    path.write_text(json.dumps([entry | {"hard_negative_ctxs": context[2:]}]))
    data = read_ranking_set(path)
    assert [data.passages[at][1] for at in data.examples[0].negatives] == [PASSAGES["p3"], PASSAGES["p4"]]


def test_a_limit_takes_questions_from_end_to_end(tmp_path: Path) -> None:
    data = read_ranking_set(beir(tmp_path / "set", QUESTIONS, PASSAGES), limit=2)
    assert [example.question for example in data.examples] == [QUESTIONS["q1"][0], QUESTIONS["q2"][0]]


def test_data_without_passages_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "bare.json"
    path.write_text(json.dumps([{"question": "Who?", "answers": ["me"]}]))
    with pytest.raises(RagkitError, match="ragkit mine"):
        read_ranking_set(path)


def test_an_epoch_shows_every_question_once_the_relevant_passage_first(tmp_path: Path) -> None:
    data = read_ranking_set(beir(tmp_path / "set", QUESTIONS, PASSAGES))
    rng = np.random.default_rng(0)
    lists = draw_lists([data], 2, rng)
    batches = plan_batches(lists, 2, rng)
    shown = [one for batch in batches for one in batch]
    assert sorted(one.question for one in shown) == sorted(example.question for example in data.examples)
    for one in shown:
        example = next(example for example in data.examples if example.question == one.question)
        assert one.passages[0] in example.positives
        assert set(one.passages[1:]) <= set(example.negatives)
        assert one.labels == [1.0] + [0.0] * (len(one.passages) - 1)
    assert draw_lists([data], 2, np.random.default_rng(7)) == draw_lists([data], 2, np.random.default_rng(7))
