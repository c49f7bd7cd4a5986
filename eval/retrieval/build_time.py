"""Where the time of building an index goes: the share of encoding should be all but everything.

    python -m eval.retrieval.build_time --data DATA [--sets squad]

Reads the seconds that each set's index keeps in its manifest, builds it where it is not there yet, and writes
eval/results/build_time.md. To measure anew, delete the index first.
"""

import argparse
from pathlib import Path

from eval.retrieval.sets import SUITES, index_of

TABLE = Path(__file__).resolve().parents[1] / "results" / "build_time.md"
STAGES = ("reading", "encoding", "vectors", "lexical", "writing")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the retrieval sets")
    parser.add_argument("--indexes", type=Path, default=Path("runs/indexes"))
    parser.add_argument("--sets", nargs="+", choices=list(SUITES), default=["squad"])
    options = parser.parse_args()
    lines = [
        f"| set | passages | {' | '.join(STAGES)} | total | encoding |",
        "| --- |" + " ---: |" * (len(STAGES) + 3),
    ]
    for name in options.sets:
        index = index_of(SUITES[name], options.data, options.indexes)
        seconds = index.manifest.seconds
        total = sum(seconds.values())
        stages = " | ".join(f"{seconds.get(stage, 0.0):.1f}" for stage in STAGES)
        share = f"{seconds['encoding'] / total:.1%}"
        lines.append(f"| {SUITES[name].title} | {len(index):,} | {stages} | {total:.1f} | {share} |")
    table = "\n".join(lines)
    command = f"python -m eval.retrieval.build_time --data DATA --sets {' '.join(options.sets)}"
    TABLE.write_text(f"# Build time, in seconds by stage\n\n`{command}`:\n\n{table}\n", encoding="utf-8")
    print(f"\n{table}")


if __name__ == "__main__":
    main()
