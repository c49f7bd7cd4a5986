"""Reading data: windows point at their answers, wrong passages hold none, batches hold every row once."""

import gzip
import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from ragkit.errors import RagkitError
from ragkit.generation.tokenised import windows_of
from ragkit.training.answering.data import (
    ReadingExample,
    read_free_answers,
    read_squad,
    split_held_out,
    token_batches,
)
from ragkit.training.answering.negatives import HardNegatives
from ragkit.training.answering.reader import packaged_encoder
from ragkit.training.answering.reading_set import ReadingSet

SENTENCES = [
    "Ada Lovelace wrote the first algorithm in 1843, for Charles Babbage's engine.",
    "The naïve café-owner paid 5 % (about €12.50) more than the U.S. average.",
    "Mount Kilimanjaro rises 5,895 metres above sea level in Tanzania.",
    "Photosynthesis turns carbon dioxide and water into glucose, releasing oxygen.",
]
ANSWERS = ["1843", "€12.50", "5,895 metres", "oxygen", "Charles Babbage", "café-owner", "U.S.", "Tanzania"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(packaged_encoder())


def example(passage: str, answer: str, question: str = "What is it?", id: str = "q") -> ReadingExample:
    return ReadingExample(id, "title", question, passage, (answer,), passage.index(answer))


def examples() -> list[ReadingExample]:
    passage = " ".join(SENTENCES)
    return [example(passage, answer, id=answer) for answer in ANSWERS]


@pytest.mark.parametrize("max_tokens", [384, 32])
def test_windows_point_at_the_answer(tokenizer: Any, max_tokens: int) -> None:
    data = ReadingSet(examples(), tokenizer, max_tokens=max_tokens, stride=12)
    for at, record in enumerate(data.examples):
        windows = data.windows(at)
        held = [window for window in windows if window.answer is not None]
        assert held and (max_tokens == 32) == (len(windows) > 1)
        for window in held:
            shift = data.passage_at(window) - window.begin
            first, last = window.answer[0] + shift, window.answer[1] + shift
            assert data.text_of(window, first, last) == record.answers[0]
            row = data.collate([window])
            decoded = tokenizer.decode(row.input_ids[0, first : last + 1])
            squeeze = lambda text: tokenizer.backend_tokenizer.normalizer.normalize_str(text).replace(" ", "")  # noqa: E731
            assert squeeze(decoded) == squeeze(record.answers[0])
            assert row.allowed[0, first : last + 1].all()


def test_rows_are_those_of_the_tokenizer(tokenizer: Any) -> None:
    data = ReadingSet(examples(), tokenizer)
    batch = data.collate([data.windows(0)[0], data.windows(1)[0]])
    record = data.examples[0]
    expected = tokenizer(record.question, record.passage)
    length = len(expected["input_ids"])
    assert batch.input_ids[0, :length].tolist() == expected["input_ids"]
    assert batch.token_type_ids[0, :length].tolist() == expected["token_type_ids"]
    assert batch.attention_mask[0].sum() == length
    assert batch.input_ids.shape[1] % 8 == 0


@cache
def packaged_reading_set() -> ReadingSet:
    return ReadingSet(examples(), AutoTokenizer.from_pretrained(packaged_encoder()))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), room=st.integers(2, 30))
def test_crop_keeps_the_answer(seed: int, room: int) -> None:
    data = packaged_reading_set()
    rng = np.random.default_rng(seed)
    for at in range(len(data.examples)):
        [window] = data.windows(at)
        cut = data.crop(window, room, rng)
        first, last = window.answer
        assert window.begin <= cut.begin <= first and last < cut.end <= window.end
        assert cut.end - cut.begin <= room or cut == window


@settings(deadline=None)
@given(tokens=st.integers(0, 200), room=st.integers(1, 40), stride=st.integers(0, 39))
def test_windows_cover_every_token_and_overlap(tokens: int, room: int, stride: int) -> None:
    if stride >= room:
        with pytest.raises(ValueError):
            list(windows_of(tokens, room, stride))
        return
    windows = list(windows_of(tokens, room, stride))
    assert windows[0][0] == 0 and windows[-1][1] == tokens
    for (_, end), (begin, _) in pairwise(windows):
        assert end - begin == stride
    assert all(end - begin <= room for begin, end in windows)


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 400), max_size=60), budget=st.integers(1, 2000), seed=st.integers(0, 99)
)
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int, seed: int) -> None:
    rows = np.array(lengths, int)
    batches = token_batches(rows, budget, np.random.default_rng(seed))
    assert sorted(int(row) for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        widest = -(-int(rows[batch].max()) // 8) * 8
        assert len(batch) == 1 or widest * len(batch) <= budget
    again = token_batches(rows, budget, np.random.default_rng(seed))
    assert all(np.array_equal(one, two) for one, two in zip(batches, again, strict=True))


def test_wrong_passages_never_hold_the_answer() -> None:
    passages = [f"{sentence} Note {i}." for i in range(5) for sentence in SENTENCES]
    asked = [example(passages[i], "1843", "Who wrote the first algorithm?") for i in (0, 4)]
    drawn = HardNegatives(passages).draw(asked, [0, 4], np.random.default_rng(0))
    for own, wrong in zip([0, 4], drawn, strict=True):
        assert wrong is not None and wrong != own and "1843" not in passages[wrong]
    only = HardNegatives(passages[:1]).draw(asked[:1], [0], np.random.default_rng(0))
    assert only == [None]


def squad(path: Path, packed: bool) -> Path:
    passage = SENTENCES[0]
    qas = [
        {
            "id": "1",
            "question": " When? ",
            "answers": [{"text": "1843", "answer_start": passage.index("1843")}],
        },
        {"id": "2", "question": "Where?", "answers": [], "is_impossible": True},
    ]
    text = json.dumps({"data": [{"title": "Ada", "paragraphs": [{"context": passage, "qas": qas}]}]})
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_reads_squad(tmp_path: Path, tokenizer: Any, name: str) -> None:
    found = read_squad(squad(tmp_path / name, name.endswith("gz")))
    assert [(e.question, e.answers) for e in found] == [("When?", ("1843",)), ("Where?", ())]
    data = ReadingSet(found, tokenizer)
    assert data.windows(0)[0].answer is not None and data.windows(1)[0].answer is None


@pytest.mark.parametrize(
    "content",
    ["{", '{"data": [{"a": 1}]}', '{"data": [{"title": "", "paragraphs": [{"context": "", "qas": [{}]}]}]}'],
)
def test_what_is_not_squad_is_one_clear_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(RagkitError, match=r"x\.json.*(broken JSON|not SQuAD JSON)"):
        read_squad(path)
    with pytest.raises(RagkitError, match="missing"):
        read_squad(tmp_path / "missing.json")


def test_articles_are_held_out_whole() -> None:
    records = [
        ReadingExample(f"{title}-{i}", f"article {title}", "q", "p", ("p",), 0)
        for title in range(300)
        for i in range(5)
    ]
    train, held = split_held_out(records, limit=20)
    assert not {e.title for e in train} & {e.title for e in held}
    assert 10 <= len(held) <= 20
    assert split_held_out(records, limit=20)[1] == held


def test_something_is_always_held_out() -> None:
    few = [ReadingExample(str(i), f"t{i % 2}", "q", "p", ("p",), 0) for i in range(6)]
    for records in (few, [e for e in few if e.title == "t0"]):
        train, held = split_held_out(records)
        assert train and held and len(train) + len(held) == len(records)
    with pytest.raises(RagkitError, match="too few"):
        split_held_out(few[:1])


def test_reads_a_beir_folder_with_answers(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    write = lambda name, rows: (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))  # noqa: E731
    write("corpus.jsonl", [{"_id": "d", "title": "T", "text": SENTENCES[0]}])
    write("queries.jsonl", [{"_id": "a", "text": "Who?"}, {"_id": "b", "text": "Why?"}])
    write("answers.jsonl", [{"_id": "a", "answers": ["a countess"]}, {"_id": "b", "answers": []}])
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\na\td\t1\nb\td\t1\n")
    [found] = read_free_answers(tmp_path)
    assert found == ReadingExample("a", "T", "Who?", SENTENCES[0], ("a countess",), -1)
    with pytest.raises(RagkitError, match="no 'dev'"):
        read_free_answers(tmp_path, "dev")


def test_batch_tensors_are_padded_with_nothing(tokenizer: Any) -> None:
    data = ReadingSet([example(SENTENCES[0], "1843"), example(" ".join(SENTENCES), "oxygen")], tokenizer)
    batch = data.collate([data.windows(0)[0], data.windows(1)[0]])
    padding = batch.attention_mask == 0
    assert padding.any() and not batch.allowed[padding].any()
    assert torch.equal(batch.input_ids[padding], torch.zeros(int(padding.sum()), dtype=torch.long))
