"""The demo: the Python language reference that every CPython carries, and hand-written questions about it."""

import json
from importlib.resources import files
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

from ragkit.corpus.document import Document

if TYPE_CHECKING:
    from ragkit.corpus.questions import QuestionSet


def demo_documents() -> list[Document]:
    """A document for each topic of this Python's language reference: id is the topic, title its heading."""
    return [
        Document(topic, text, text.strip().partition("\n")[0], {"topic": topic})
        for topic, text in sorted(topics.items())
    ]


def demo_questions() -> "QuestionSet":
    """The packaged questions; `relevant` holds topics. Questions that the text leaves open have no answers.

    Left out are questions all of whose topics the running interpreter lacks.
    """
    from ragkit.corpus.questions import Question, QuestionSet

    questions = []
    for line in (files("ragkit.corpus") / "demo_questions.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        present = {topic: 1 for topic in record["topics"] if topic in topics}
        if present or not record["topics"]:
            questions.append(Question(record["id"], record["text"], record["answers"], present))
    return QuestionSet("demo:", "all", questions, lambda: iter(demo_documents()))
