"""Row 109: a reward model learnt from preferences, on answers that it was not fitted to."""

import random
from pathlib import Path

from ragkit.chapters.data import data_folder
from ragkit.corpus.document import Passage
from ragkit.corpus.questions import Question, load_questions
from ragkit.generation.evidence import Evidence
from ragkit.generation.reader import ExtractiveReader
from ragkit.retrieval.hit import Hit
from ragkit.training.answering.data import ReadingExample, split_held_out
from ragkit.training.ranking.reward import Preference, fit_reward, preferences, ranked_rightly

ASKED = 240
PASSAGES = 3


def best_of_n() -> dict[str, float]:
    """Questions that the packaged reader was not trained on, read from their own paragraph among others: is
    a right answer preferred to another of the reader's, drawn at random?"""
    folder = data_folder("squad")
    documents = load_questions(folder, "train").documents
    assert documents is not None
    passages = {one.id: Passage(one.id, one.id, one.text, 0, len(one.text), one.title) for one in documents()}
    fit, test = unseen_questions(folder, ASKED)
    reader = ExtractiveReader(allow_empty=False)
    model = fit_reward(_preferences(reader, fit, passages), {})
    drawn = [pair for pair in _preferences(reader, test, passages) if pair.drawn]
    return {"right answers preferred": ranked_rightly(model, drawn)}


def unseen_questions(squad: Path, limit: int) -> tuple[list[Question], list[Question]]:
    """(to fit, to measure): of SQuAD train's articles that the packaged reader and generator were not trained
    on, two thirds and a third of the articles; `limit` questions in all at most, evenly spread."""
    asked = load_questions(squad, "train")
    assert asked.documents is not None
    titles = {document.id: document.title for document in asked.documents()}
    by_id = {question.id: question for question in asked.questions}
    examples = [
        ReadingExample(one.id, titles[next(iter(one.relevant))], one.text, "", (), -1)
        for one in asked.questions
    ]
    _, held = split_held_out(examples, limit=limit)
    parts = split_held_out(held, one_in=3, limit=limit)
    fit, measure = ([by_id[example.id] for example in part] for part in parts)
    return fit, measure


def _preferences(
    reader: ExtractiveReader, questions: list[Question], passages: dict[str, Passage]
) -> list[Preference]:
    rng = random.Random(0)
    every = list(passages.values())
    hits = []
    for question in questions:
        own = passages[next(iter(question.relevant))]
        given = rng.sample([own, *rng.sample(every, PASSAGES - 1)], PASSAGES)
        hits.append([Hit(passage, 0.0, rank) for rank, passage in enumerate(given, 1)])
    answers = reader.answer([question.text for question in questions], hits)
    return preferences(answers, questions, Evidence())
