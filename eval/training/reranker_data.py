"""Writes what the packaged reranker learns from: what the hybrid finds for questions of training splits.

    python -m eval.training.reranker_data --data DATA --out runs/reranker/data [--indexes runs/indexes]

One DPR JSON file a set, for `ragkit train rerank`: each question with its relevant passages and with others
of the hybrid's best `POOL` that hold no answer, the first of them and a spread of the rest, as the reranker
will meet them. SelQA has no training split and CLAPNQ only a test split: neither is learnt from.

One article in `ONE_IN` (story, disease, abstract) stays out whole: `eval.fusion.fit_rerank` weighs the
reranker against the hybrid on questions that it was not trained on.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eval.retrieval.sets import SUITES, Suite, index_of, questions_of, vectors_of
from ragkit.corpus.document import Passage
from ragkit.corpus.questions import Question
from ragkit.evaluation.answers import answer_in_text
from ragkit.retrieval.fusion import default_fusion
from ragkit.retrieval.index import Index

LEARNT_FROM = [suite.name for suite in SUITES.values() if suite.tuning == "train"]
POOL = 30
HARDEST = 6
SPREAD = 4
"""After the hardest, each fourth of the pool."""
ONE_IN = 10


def is_left_out(title: str) -> bool:
    """Whether the questions about an article are kept for fitting the reranker's weight."""
    return hashlib.sha256(title.encode()).digest()[0] % ONE_IN == 0


def titles_by_id(index: Index) -> dict[str, str]:
    return {passage.id: passage.title for passage in index.passages(range(len(index)))}


def article_of(question: Question, titles: dict[str, str]) -> str:
    return titles[min(name for name in question.relevant if name in titles)]


def entries(suite: Suite, data: Path, indexes: Path) -> Iterator[dict[str, Any]]:
    assert suite.tuning is not None
    index = index_of(suite, data, indexes)
    asked = questions_of(suite, suite.tuning, data, suite.sample)
    kept = indexes.parent / "questions" / f"{suite.name}.{suite.tuning}.npz"
    pools = index.candidates([question.text for question in asked], vectors_of(index, asked, kept))
    titles = titles_by_id(index)
    by_id = {passage.id: passage for passage in index.passages(range(len(index)))}
    for question, candidates in zip(asked, pools, strict=True):
        relevant = [name for name, grade in question.relevant.items() if grade > 0 and name in by_id]
        if not relevant or is_left_out(article_of(question, titles)):
            continue
        best = candidates.rows[np.argsort(-default_fusion().fuse(candidates), kind="stable")[:POOL]]
        wrong = [
            passage
            for passage in index.passages(best)
            if passage.id not in question.relevant
            and not answer_in_text(question.answers, f"{passage.title}\n{passage.text}")
        ]
        yield {
            "id": question.id,
            "question": question.text,
            "answers": question.answers,
            "positive_ctxs": [_context(by_id[name]) for name in relevant],
            "hard_negative_ctxs": [_context(p) for p in (*wrong[:HARDEST], *wrong[HARDEST::SPREAD])],
        }


def _context(passage: Passage) -> dict[str, str]:
    return {"passage_id": passage.id, "title": passage.title, "text": passage.text}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--out", type=Path, default=Path("runs/reranker/data"))
    parser.add_argument("--sets", nargs="+", choices=LEARNT_FROM, default=LEARNT_FROM)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        found = list(entries(SUITES[name], options.data, options.indexes))
        path = options.out / f"{name}.json"
        path.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
        negatives = sum(len(entry["hard_negative_ctxs"]) for entry in found) / max(1, len(found))
        print(f"{path}: {len(found):,} questions, {negatives:.1f} negatives each")


if __name__ == "__main__":
    main()
