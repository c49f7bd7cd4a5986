"""Pictures of the recipes, drawn without a display."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def panels(count: int = 1, *, width: float = 5.0, height: float = 3.6) -> tuple[Any, Sequence[Any]]:
    """A matplotlib figure with `count` axes side by side, each `width` by `height` inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, squeeze=False)[0]


def save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
