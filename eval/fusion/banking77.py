"""BANKING77's training split as a retrieval set: questions to a bank find others of the same intent.

People put one intent in many words, so that here meaning beats words by far, as in no other training split at
hand. Without it the fit would never see that side.
"""

import csv
import gzip
import json
import random
from pathlib import Path

PASSAGES, QUESTIONS, SEED = 3000, 1000, 5


def write_beir_folder(data: Path, into: Path) -> Path:
    """Writes the set into the folder `into`, from `data`/banking77/train.tsv.gz, and returns `into`.

    A random 3,000 of the 10,003 texts are the passages, 1,000 others ask; relevant is the same intent.
    """
    with gzip.open(data / "banking77" / "train.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = [(row["label"], row["text"]) for row in csv.DictReader(file, delimiter="\t")]
    random.Random(SEED).shuffle(rows)
    passages, questions = rows[:PASSAGES], rows[PASSAGES : PASSAGES + QUESTIONS]
    (into / "qrels").mkdir(parents=True, exist_ok=True)
    for name, some in (("corpus", passages), ("queries", questions)):
        lines = [json.dumps({"_id": f"{name}{i}", "text": text}) + "\n" for i, (_, text) in enumerate(some)]
        (into / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    pairs = [
        f"queries{i}\tcorpus{j}\t1\n"
        for i, (intent, _) in enumerate(questions)
        for j, (other, _) in enumerate(passages)
        if intent == other
    ]
    (into / "qrels" / "train.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(pairs), encoding="utf-8"
    )
    return into
