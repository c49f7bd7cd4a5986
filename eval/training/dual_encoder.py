"""A fine-tuned dual encoder against the packaged one and BM25, where it was trained and where it was not.

    python -m eval.training.dual_encoder --data DATA --encoder runs/dpr/model [--sets squad scifact]
    [--tuning]

SQuAD: Success@1, 5 and 20 of the dev questions over all 20,958 paragraphs. The other sets were not trained
on: nDCG@10 says whether the encoder forgot. Paired randomisation tests. Writes
eval/results/dual_encoder.json and .md (sets not asked for keep what the last run of the same encoder
printed). `--tuning` asks the splits that settings may be chosen on and writes nothing. An index that the
encoder cannot share with the packaged one is built first.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.cells import tested
from eval.printed import RESULTS
from eval.retrieval.run import search
from eval.retrieval.sets import SUITES, Suite, index_of, questions_of
from ragkit.encoders.encoder import Encoder
from ragkit.encoders.loading import load_encoder
from ragkit.evaluation.metrics import evaluate_run
from ragkit.evaluation.report import markdown
from ragkit.evaluation.statistics import compare, estimate
from ragkit.retrieval.index import Index

SETS = ("squad", "scifact", "selqa", "clapnq")
TRAINED = "squad"
ALLOWED_LOSS = 0.01
"""Of nDCG@10 on a set that was not trained on."""


def measures_of(suite: Suite) -> list[str]:
    return ["Success@1", "Success@5", "Success@20"] if suite.name == TRAINED else ["nDCG@10"]


def index_with(encoder: Encoder, suite: Suite, data: Path, indexes: Path) -> Index:
    """The packaged encoder's index where its passages' vectors are this encoder's, too; else one of its
    own."""
    packaged = index_of(suite, data, indexes)
    passport = encoder.passport()
    if passport.disagreement(packaged.manifest.passport) is None:
        return Index.open(packaged.path, encoder)
    folder = indexes.parent / "tuned" / passport.fingerprint[:12] / suite.name
    if (folder / "current.json").is_file():
        return Index.open(folder, encoder)
    return Index.build(data / suite.name, folder, encoder=encoder, factory="flat")


def measure(suite: Suite, split: str, encoder: Encoder, options: argparse.Namespace) -> dict[str, Any]:
    questions = questions_of(suite, split, options.data, options.sample)
    qrels = {question.id: question.relevant for question in questions}
    before = index_of(suite, options.data, options.indexes)
    after = index_with(encoder, suite, options.data, options.indexes)
    runs = {
        "packaged": search(before, questions, "dense")[0],
        "bm25": search(before, questions, "lexical")[0],
        "tuned": search(after, questions, "dense")[0],
    }
    names = measures_of(suite)
    values = {system: evaluate_run(run, qrels, names) for system, run in runs.items()}
    return {
        "title": f"{suite.title} {split}",
        "questions": len(questions),
        "systems": {
            system: {name: asdict(estimate(column)) for name, column in of.items()}
            for system, of in values.items()
        },
        "against": {
            peer: {name: asdict(compare(name, values[peer][name], values["tuned"][name])) for name in names}
            for peer in ("packaged", "bm25")
        },
    }


def report(results: dict[str, Any], encoder: str) -> str:
    rows = []
    for key, one in results["sets"].items():
        for name, tuned in one["systems"]["tuned"].items():
            versus = [one["against"][peer][name] for peer in ("packaged", "bm25")]
            gains = [v["difference"]["mean"] for v in versus]
            met = min(gains) > 0 if key == TRAINED else gains[0] >= -ALLOWED_LOSS
            bar = "above both" if key == TRAINED else f"at most {ALLOWED_LOSS} below packaged"
            rows.append(
                [f"{one['title']} ({one['questions']:,})", name]
                + [f"{one['systems'][system][name]['mean']:.3f}" for system in ("packaged", "bm25")]
                + [f"{tuned['mean']:.3f} [{tuned['low']:.3f}, {tuned['high']:.3f}]"]
                + [tested(v) for v in versus]
                + [f"{bar}: {'met' if met else 'missed'}"]
            )
    head = [
        "set (questions)",
        "measure",
        "packaged",
        "BM25",
        "fine-tuned",
        "minus packaged",
        "minus BM25",
        "bar",
    ]
    return (
        "# The dual encoder, fine-tuned\n\n"
        f"`python -m eval.training.dual_encoder --data DATA --encoder {encoder}`. Exact search over all "
        "passages of each set; in brackets 95 % bootstrap intervals over questions, p of the paired "
        "randomisation test.\n\n"
        f"{markdown(head, rows)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--encoder", required=True, help="the fine-tuned model, such as runs/dpr/model")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--sets", nargs="+", choices=list(SUITES), default=list(SETS))
    parser.add_argument("--sample", type=int, help="questions at most of each set, drawn with a fixed seed")
    parser.add_argument("--tuning", action="store_true", help="the tuning splits, to choose settings on")
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    identity = [encoder.passport().fingerprint, encoder.passport().questions]
    kept = RESULTS / "dual_encoder.json"
    results: dict[str, Any] = {"encoder": identity, "sets": {}}
    if kept.is_file() and not options.tuning:
        found = json.loads(kept.read_text(encoding="utf-8"))
        results = found if found["encoder"] == identity else results
    for name in options.sets:
        split = SUITES[name].tuning if options.tuning else SUITES[name].test
        if split is None:
            continue
        results["sets"][name] = measure(SUITES[name], split, encoder, options)
        text = report(results, options.encoder)
        print(f"\n{text}")
        if not options.tuning:
            kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            (RESULTS / "dual_encoder.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
