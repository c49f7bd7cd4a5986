"""The loss curve of a run, as a picture."""

import json
from pathlib import Path
from typing import Any


def read_log(path: Path) -> list[dict[str, Any]]:
    """The events of a run's `log.jsonl`; a last line cut off by a kill is left out."""
    events: list[dict[str, Any]] = []
    for line in path.read_text().splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events


def draw_curves(log: Path, picture: Path) -> None:
    """Draws training loss and validation scores over the steps; of steps done twice, the last counts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    events = read_log(log)
    losses = {e["step"]: e["loss"] for e in events if e["event"] == "step"}
    scores: dict[str, dict[int, float]] = {}
    for event in events:
        if event["event"] == "validate":
            for name in event.keys() - {"event", "step", "kept"}:
                scores.setdefault(name, {})[event["step"]] = event[name]
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left = figure.subplots()
    steps = sorted(losses)
    left.plot(steps, [losses[step] for step in steps], color="tab:gray", label="training loss")
    left.set(xlabel="step", ylabel="loss")
    right = left.twinx()
    for name, curve in sorted(scores.items()):
        right.plot(sorted(curve), [curve[step] for step in sorted(curve)], marker=".", label=name)
    right.set_ylabel("validation")
    lines = [*left.get_lines(), *right.get_lines()]
    left.legend(lines, [str(line.get_label()) for line in lines], loc="best")
    figure.savefig(picture, dpi=110)
