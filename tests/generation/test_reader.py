"""The extractive reader against enumeration of every span, and against transformers' own model."""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForQuestionAnswering,
)

from ragkit.corpus.document import Passage
from ragkit.corpus.normalisation import normalise
from ragkit.errors import RagkitError
from ragkit.generation.answer import Answer
from ragkit.generation.pair_frame import PairFrame
from ragkit.generation.reader import ExtractiveReader
from ragkit.generation.span_scores import SpanScorer, SpanScores
from ragkit.retrieval.hit import Hit
from ragkit.training.answering.data import ReadingExample
from ragkit.training.answering.reading_set import ReadingSet

SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
WORDS = "the a red green blue apple pear plum grows on tall old tree hill what where who ? . ,".split()
LONGEST = 4
Reader = Callable[..., ExtractiveReader]


def word_tokenizer(pair: str) -> PreTrainedTokenizerFast:
    vocabulary = {word: at for at, word in enumerate(SPECIAL + WORDS)}
    words = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=pair, special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
    )


SIZES: dict[str, Any] = {
    "vocab_size": len(SPECIAL + WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.5,
    "pad_token_id": 0,
}


def tiny(positions: int = 64, seed: int = 0) -> tuple[BertForQuestionAnswering, PreTrainedTokenizerFast]:
    torch.manual_seed(seed)
    model = BertForQuestionAnswering(BertConfig(max_position_embeddings=positions, **SIZES))
    return model.double().eval(), word_tokenizer("[CLS] $A [SEP] $B:1 [SEP]:1")


BERT = tiny()


@pytest.fixture
def reader() -> Reader:
    """`reader(...)`: an `ExtractiveReader` with a tiny BERT of random weights, answers of 4 tokens."""

    def build(positions: int = 64, **options: Any) -> ExtractiveReader:
        options = {"max_answer_tokens": LONGEST, "temperature": 1.0, **options}
        return ExtractiveReader(None, BERT if positions == 64 else tiny(positions), **options)

    return build


def hits_of(texts: list[str], scores: list[float] | None = None) -> list[Hit]:
    scores = scores or [0.0] * len(texts)
    return [
        Hit(Passage(f"p{at}", f"p{at}", text, 0, len(text)), score, at + 1)
        for at, (text, score) in enumerate(zip(texts, scores, strict=True))
    ]


def enumerated(question: str, text: str) -> tuple[dict[tuple[int, int], float], float]:
    """By hand, through the tokenizer's own pairs: p of every span (characters), and p(no answer)."""
    model, tokenizer = BERT
    encoded = tokenizer(
        question, text, return_tensors="pt", return_offsets_mapping=True, return_token_type_ids=True
    )
    offsets, sides = encoded.pop("offset_mapping")[0].tolist(), encoded.sequence_ids(0)
    with torch.no_grad():
        output = model(**encoded)
    start, end = output.start_logits[0].tolist(), output.end_logits[0].tolist()
    inside = [at for at, side in enumerate(sides) if side == 1]
    mass = {(offsets[i][0], offsets[j][1]): math.exp(start[i] + end[j])
            for i in inside for j in inside if i <= j < i + LONGEST}  # fmt: skip
    null = math.exp(start[0] + end[0])
    total = sum(mass.values()) + null
    return {span: weight / total for span, weight in mass.items()}, null / total


sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)


@pytest.mark.row(105)
@settings(deadline=None, max_examples=40)
@given(question=sentences, text=sentences)
def test_the_best_span_is_that_of_enumeration(question: str, text: str) -> None:
    spans, null = enumerated(question, text)
    [read] = SpanScorer(*BERT, LONGEST).read([(question, Passage("p", "p", text, 0, len(text)))])
    found = {read.characters(span, text): math.exp(read.log_probability(span)) for span in read.best(1000)}
    assert found == pytest.approx(spans)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert math.exp(read.null - read.log_all) == pytest.approx(null)


@pytest.mark.row(105)
@settings(deadline=None, max_examples=40)
@given(
    question=sentences,
    texts=st.lists(sentences, min_size=1, max_size=4),
    data=st.data(),
    allow_empty=st.booleans(),
)
def test_answers_are_summed_over_passages_and_are_substrings(
    question: str, texts: list[str], data: st.DataObject, allow_empty: bool
) -> None:
    scores = data.draw(st.lists(st.floats(-2, 2), min_size=len(texts), max_size=len(texts)))
    prior = np.exp(scores) / np.exp(scores).sum()
    expected: dict[str, float] = defaultdict(float)
    nobody = 1.0
    for weight, text in zip(prior, texts, strict=True):
        spans, null = enumerated(question, text)
        nobody *= null
        for (start, end), p in spans.items():
            expected[normalise(text[start:end]) or text[start:end]] += weight * p
        if allow_empty:
            expected[""] += weight * null
    if allow_empty and nobody <= 0.5 and len(expected) > 1:
        del expected[""]
    reader = ExtractiveReader(None, BERT, temperature=1.0, max_answer_tokens=LONGEST, allow_empty=allow_empty)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ragkit.generation.reader.PROPOSED", 1000)  # so that no span is left out of a sum
        [answer] = reader.answer([question], [hits_of(texts, scores)])
    outcomes = {answer.text: answer.log_probability, **dict(answer.alternatives)}
    for text, log_p in outcomes.items():
        assert math.exp(log_p) == pytest.approx(expected[normalise(text) or text])
    assert len(outcomes) == len(expected)
    assert math.exp(answer.log_probability) == pytest.approx(max(expected.values()))
    check_support(answer)


def check_support(answer: Answer) -> None:
    """The posterior is Bayes' rule, and places hold the answer's words."""
    assert sum(support.posterior for support in answer.support) == pytest.approx(1)
    assert answer.support == sorted(answer.support, key=lambda support: -support.posterior)
    total = math.exp(answer.log_probability)
    for support in answer.support:
        joint = support.prior * math.exp(support.log_likelihood)
        assert support.posterior == pytest.approx(joint / total, abs=1e-9)
        assert (support.start is None) == (answer.text == "" or support.posterior == 0)
        if support.start is not None:
            stands = support.passage.text[support.start : support.end]
            assert normalise(stands) == normalise(answer.text)
    assert answer.text == "" or any(answer.text in support.passage.text for support in answer.support)


class Pointing(torch.nn.Module):
    """A stand-in whose start and end scores depend on the word alone; 0 where nothing is said."""

    config = BertConfig(max_position_embeddings=20, **SIZES)

    def __init__(self, scores: dict[str, float]) -> None:
        super().__init__()
        table = [scores.get(word, 0.0) for word in SPECIAL + WORDS]
        self.scores = torch.nn.Parameter(torch.tensor(table))

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        scores = self.scores[input_ids]
        return type("Output", (), {"start_logits": scores, "end_logits": scores})


def test_the_same_answer_in_several_passages_wins_together() -> None:
    model = (Pointing({"red": 2.0, "blue": 1.5}), BERT[1])
    reader = ExtractiveReader(None, model, temperature=1.0, max_answer_tokens=1)
    [answer] = reader.answer(["what ?"], [hits_of(["red", "blue", "the blue"])])
    blue = [math.exp(3) / (math.exp(3) + 1), math.exp(3) / (math.exp(3) + 1 + 1)]
    assert answer.text == "blue"
    assert math.exp(answer.log_probability) == pytest.approx(sum(blue) / 3)
    assert dict(answer.alternatives)["red"] == pytest.approx(math.log(math.exp(4) / (math.exp(4) + 1) / 3))
    [alone] = reader.answer(["what ?"], [hits_of(["red", "blue"])])
    assert alone.text == "red"


def test_a_passage_that_says_no_answer_weighs_little() -> None:
    """Its best span is as good as certain among its spans, but not against no answer."""
    model = (Pointing({"[CLS]": 2.0, "red": 4.0, "blue": 1.0}), BERT[1])
    reader = ExtractiveReader(None, model, temperature=1.0, max_answer_tokens=1, allow_empty=False)
    [answer] = reader.answer(["what ?"], [hits_of(["blue", "red"], [1.0, 0.0])])
    assert answer.text == "red"
    [allowed] = ExtractiveReader(None, model, temperature=1.0).answer(["what ?"], [hits_of(["blue"])])
    assert allowed.text == ""


def test_without_a_passage_equals_asking_without_it(reader: Reader) -> None:
    texts = ["the red apple grows on the tall tree", "a blue plum , a green pear", "on the hill ."]
    hits = hits_of(texts, [1.0, 0.5, -0.3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ragkit.generation.reader.PROPOSED", 1000)
        [answer] = reader().answer(["where ?"], [hits], why=True)
        rest = [reader().answer(["where ?"], [hits[:z] + hits[z + 1 :]])[0] for z in range(3)]
    assert [left.passage.id for left in answer.without] == ["p0", "p1", "p2"]
    for left, alone in zip(answer.without, rest, strict=True):
        assert (left.text, left.log_probability) == (alone.text, pytest.approx(alone.log_probability))


def test_batches_change_nothing(reader: Reader) -> None:
    questions = ["what ?", "where grows the red apple ?", "who ?"]
    hits = [hits_of(["the red apple", "a tree on the hill"]), hits_of(["apple"]), []]
    together = reader().answer(questions, hits)
    alone = [reader().answer([question], [found])[0] for question, found in zip(questions, hits, strict=True)]
    for one, other in zip(together, alone, strict=True):
        assert (one.text, one.log_probability) == (other.text, pytest.approx(other.log_probability))
    assert (together[2].text, together[2].support) == ("", [])


def test_long_passages_are_read_through_windows() -> None:
    """Every token's spans come from one window, the one where the token stands furthest from the edge."""
    model, tokenizer = tiny(positions=20)
    text = " ".join(WORDS[:16] * 3)
    scorer = SpanScorer(model, tokenizer, LONGEST)
    [read] = scorer.read([("what ?", Passage("p", "p", text, 0, len(text)))])
    room = 20 - 2 - 3  # beside a question of 2 tokens and 3 special ones
    stride = room - 1
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    windows = []
    for begin in range(0, len(ids) - room + 1, room - stride):
        row = torch.tensor([[1, *tokenizer("what ?", add_special_tokens=False)["input_ids"], 2,
                             *ids[begin : begin + room], 2]])  # fmt: skip
        with torch.no_grad():
            output = model(input_ids=row, token_type_ids=torch.tensor([[0] * 4 + [1] * (room + 1)]))
        windows.append((begin, output.start_logits[0].tolist(), output.end_logits[0].tolist()))
    assert read.null == pytest.approx(min(start[0] + end[0] for _, start, end in windows))
    for token in range(len(ids)):
        # The passage's own ends cut nothing off.
        edges = [
            min(
                np.inf if begin == 0 else token - begin,
                np.inf if begin + room >= len(ids) else begin + room - 1 - token,
            )
            for begin, _, _ in windows
        ]
        furthest = [
            start[4 + token - begin]
            for (begin, start, _), edge in zip(windows, edges, strict=True)
            if edge >= max(0, max(edges) - 1)  # in the middle of an overlap either may have it
        ]
        assert any(read.start[token] == pytest.approx(score) for score in furthest)
    total = np.exp((read.start[:, None] + read.ends).ravel()).sum() + math.exp(read.null)
    assert read.log_all == pytest.approx(math.log(total))
    for first, last in read.best(5):
        start, end = read.characters((first, last), text)
        assert text[start:end] in text and last - first < LONGEST


def test_bf16_finds_the_same_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """With float32 weights: near ties apart, the best span stays, and its probability nearly so."""
    texts = [" ".join(WORDS[at:] + WORDS[:at]) for at in range(20)]
    pairs = [("what grows ?", Passage(text, text, text, 0, len(text))) for text in texts]
    model, tokenizer = tiny()
    read = {}
    for bf16 in (True, False):
        monkeypatch.setattr("ragkit.runtime.model_graph.computes_bf16", lambda device, bf16=bf16: bf16)
        read[bf16] = SpanScorer(model.float(), tokenizer, LONGEST, runtime="torch").read(pairs)
    assert any(abs(half.null - full.null) > 1e-4 for half, full in zip(read[True], read[False], strict=True))
    for half, full in zip(read[True], read[False], strict=True):
        best, other = half.best(1)[0], full.best(1)[0]
        assert half.log_probability(best) == pytest.approx(full.log_probability(best), abs=0.2)
        assert best == other or full.log_probability(other) - full.log_probability(best) < 0.1


def test_an_answer_in_the_last_window_is_found() -> None:
    text = " ".join([*["the red tree"] * 12, "plum", *["on a hill"] * 3])
    reader = ExtractiveReader(None, (Pointing({"plum": 9.0}), BERT[1]), max_answer_tokens=LONGEST)
    [answer] = reader.answer(["what ?"], [hits_of([text])])
    assert answer.text == "plum"
    assert (answer.support[0].start, answer.support[0].end) == (text.index("plum"), text.index("plum") + 4)


def test_inputs_are_those_of_training() -> None:
    question, text = "what grows on the tree ?", "the red apple grows on the old tree"
    _, tokenizer = BERT
    data = ReadingSet([ReadingExample("1", "", question, text, ("apple",), 8)], tokenizer)
    trained = data.collate(data.windows(0), multiple=1)
    frame = PairFrame.of(tokenizer)
    ids = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (question, text)]
    joined = frame.joined(np.array(ids[0], np.int32), np.array(ids[1], np.int32))
    assert joined[0].tolist() == trained.input_ids[0].tolist()
    assert joined[1].tolist() == trained.token_type_ids[0].tolist()


@pytest.mark.parametrize(
    "pair", ["[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS] $A [SEP] [SEP] $B [SEP]", "[CLS] $A [SEP] $B"]
)
def test_the_frame_is_the_tokenizer_s(pair: str) -> None:
    tokenizer = word_tokenizer(pair)
    encoded = tokenizer("what grows ?", "the old tree", return_token_type_ids=True)
    ids = [
        np.array(tokenizer(text, add_special_tokens=False)["input_ids"], np.int32)
        for text in ("what grows ?", "the old tree")
    ]
    frame = PairFrame.of(tokenizer)
    joined, types = frame.joined(*ids)
    assert joined.tolist() == encoded["input_ids"]
    assert types.tolist() == encoded["token_type_ids"]
    assert len(joined) == frame.tokens + len(ids[0]) + len(ids[1])
    assert frame.passage_at(ids[0]) == encoded.sequence_ids(0).index(1)


def test_roberta_s_pairs_give_roberta_s_scores() -> None:
    torch.manual_seed(0)
    config = RobertaConfig(max_position_embeddings=66, type_vocab_size=1, **SIZES)
    model = RobertaForQuestionAnswering(config).double().eval()
    tokenizer = word_tokenizer("[CLS] $A [SEP] [SEP] $B [SEP]")
    question, text = "what grows ?", "the red apple grows"
    [read] = SpanScorer(model, tokenizer, LONGEST).read([(question, Passage("p", "p", text, 0, len(text)))])
    encoded = tokenizer(question, text, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        output = model(**encoded)
    assert read.start == pytest.approx(output.start_logits[0, -5:-1].numpy())
    assert read.ends[:, 0] == pytest.approx(output.end_logits[0, -5:-1].numpy())


def test_white_space_in_tokens_is_no_part_of_an_answer() -> None:
    text = "an old\ttree"
    tokens = type("Tokens", (), {"offsets": np.array([[0, 2], [2, 6], [6, 11], [6, 7]])})
    read = SpanScores(tokens, np.zeros(4), np.zeros((4, 1)), 0.0, 0.0)  # type: ignore[arg-type]
    places = [read.characters(span, text) for span in ((1, 1), (1, 2), (3, 3))]
    assert [text[start:end] for start, end in places] == ["old", "old\ttree", ""]


def test_an_empty_passage_holds_no_answer(reader: Reader) -> None:
    [answer] = reader().answer(["what ?"], [hits_of([""])])
    assert (answer.text, answer.log_probability) == ("", 0.0)
    [answer] = reader(allow_empty=False).answer(["what ?"], [hits_of([""])])
    assert answer.text == ""


def test_a_question_longer_than_the_window_is_cut_and_answered(reader: Reader) -> None:
    [answer] = reader(allow_empty=False).answer(["what ? " * 500], [hits_of(["the red apple"])])
    assert answer.text in "the red apple"


def test_bad_use_is_refused_in_one_line(reader: Reader) -> None:
    with pytest.raises(RagkitError, match="max_answer_tokens must be at least 1"):
        reader(max_answer_tokens=0)
    with pytest.raises(RagkitError, match="the question is empty"):
        reader().answer([" "], [hits_of(["a"])])
    with pytest.raises(RagkitError, match="no index to search"):
        reader().ask("what ?")
    with pytest.raises(RagkitError, match=r"no \[CLS\]"):
        PairFrame.of(word_tokenizer("$A [SEP] $B [CLS]"))


def test_the_configuration_is_json_and_whole(reader: Reader) -> None:
    assert reader(k=3, mode="dense").config == {
        "model": "reader",
        "weights": "given",
        "k": 3,
        "temperature": 1.0,
        "mode": "dense",
        "max_answer_tokens": LONGEST,
        "allow_empty": True,
    }
