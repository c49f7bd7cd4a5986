"""`ragkit adapt`: an index's encoder learns from the index's own passages, without questions."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit_cli.console import Stages, note, print_json, progress, table
from ragkit_cli.options import IndexArgument, Json, index_path
from ragkit_cli.train import Out, Seed

if TYPE_CHECKING:
    from ragkit.evaluation.statistics import Comparison

METHODS = ("ict", "crop", "deletion", "simcse", "tsdae")
LOSSES = ("nll", "nt-xent", "barlow-twins", "byol")


def adapt(
    index: IndexArgument,
    out: Out,
    method: Annotated[
        str,
        typer.Option(
            "--method", help="ict, crop, deletion, simcse or tsdae: what two views of a passage are."
        ),
    ] = "ict",
    loss: Annotated[
        str, typer.Option("--loss", help="nll, nt-xent, barlow-twins or byol: what is learnt from the views.")
    ] = "nll",
    frozen_passages: Annotated[
        bool,
        typer.Option("--frozen-passages", help="Train the questions' tower alone: the index stays valid."),
    ] = False,
    max_steps: Annotated[int, typer.Option("--max-steps", min=1, help="End after so many steps.")] = 100,
    batch: Annotated[int, typer.Option("--batch", min=2, help="Passages a step.")] = 32,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=8, help="Of a text, in training.")] = 128,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Peak rate.")] = 2e-5,
    keep: Annotated[
        float,
        typer.Option("--keep", min=0, max=0.99, help="Share of the starting weights kept: forgets less."),
    ] = 0.0,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Adapt an index's encoder to its passages, and say whether that helped. The index is not changed.

    Example: ragkit adapt indexes/handbook --out runs/adapted
    """
    for option, given, known in (("--method", method, METHODS), ("--loss", loss, LOSSES)):
        if given not in known:
            raise typer.BadParameter(f"{given!r} is not one of {', '.join(known)}", param_hint=option)
    from ragkit.training.adaptation.adapt import AdaptSettings, report_json
    from ragkit.training.adaptation.adapt import adapt as adapt_index

    settings = AdaptSettings(
        method=method,  # type: ignore[arg-type]
        loss=loss,  # type: ignore[arg-type]
        frozen_passages=frozen_passages,
        batch=batch,
        max_steps=max_steps,
        max_tokens=max_tokens,
        learning_rate=learning_rate,
        keep=keep,
        seed=seed,
    )
    path = index_path(index)
    with progress() as bars:
        stages = Stages(bars)

        def on_event(event: dict[str, Any]) -> None:
            stages.step("adapting", event)
            if event["event"] == "measured":
                note(f"{event['when']}: RR@10 {event['RR@10']:.3f}")

        report = adapt_index(path, out, settings, on_event)
    if json:
        print_json(report_json(report))
        return
    asked = report.comparisons[0].difference.questions
    held = f"{report.documents_held:,} documents" if report.documents_held else "the ends of documents"
    note(
        f"{report.steps:,} steps on {report.passages:,} passages; {asked:,} made-up questions about "
        f"{report.passages_held:,} passages of {held} held out, asked of {report.pool:,}"
    )
    rows = [[c.measure, *_differing(c)] for c in report.comparisons]
    table(["measure", "before", "after", "difference", "95 % interval", "p"], rows)
    print(f"{report.model}: {report.verdict}")
    if report.helped:
        command = f"ragkit index build DOCS... --out INDEX --encoder {report.model}"
        if frozen_passages:
            command = f"ragkit index adopt {path} {report.model}"
        note(f"to use it: {command}; with questions of your own: ragkit train dpr --encoder {report.model}")


def _differing(of: "Comparison") -> list[str]:
    gain = of.difference
    return [
        f"{of.a:.3f}",
        f"{of.b:.3f}",
        f"{gain.mean:+.3f}",
        f"[{gain.low:+.3f}, {gain.high:+.3f}]",
        f"{of.p:.4f}",
    ]
