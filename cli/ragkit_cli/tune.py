"""`ragkit index tune`: the hybrid fitted to an index's own questions."""

from ragkit_cli.console import note, print_json
from ragkit_cli.evaluate import Dataset, Limit, Split, load_limited
from ragkit_cli.options import IndexArgument, Json, open_index


def tune(
    index: IndexArgument, dataset: Dataset, split: Split = None, limit: Limit = None, json: Json = False
) -> None:
    """Weigh meaning and words by questions with known passages. Stored with the index only if it helps.

    Example: ragkit index tune indexes/demo demo:
    """
    from dataclasses import asdict

    from ragkit.training.retrieval.fusion import tune

    opened = open_index(index)
    report = tune(opened, load_limited(dataset, split, limit).questions)
    if json:
        print_json(asdict(report))
        return
    for compared in (report.log_likelihood, report.reciprocal_rank):
        print(
            f"{compared.measure} of questions left out of the fit: {compared.a:.3f} by the default, "
            f"{compared.b:.3f} tuned; difference {compared.difference}, p = {compared.p:.3f}"
        )
    numbers = f"dense {report.fusion.dense}, lexical {report.fusion.lexical}"
    print(
        f"{opened.path}: hybrid searches are tuned to {report.questions:,} questions ({numbers})"
        if report.kept
        else f"{opened.path}: tuning did not help; hybrid searches go by the default"
    )
    if report.unreachable:
        note(f"questions left aside, as no relevant passage is among the candidates: {report.unreachable:,}")
