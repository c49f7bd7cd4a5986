"""The `ragkit` command: its groups, and what happens when something goes wrong.

Exit codes: 0 done, 1 something is wrong that the user can mend (or `verify` found a problem), 2 the command
line cannot be understood, 130 Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ragkit.errors import RagkitError, disk_is_full
from ragkit_cli import (
    adapt,
    adopt,
    ask,
    calibrate,
    check,
    compress,
    demo,
    embed,
    evaluate,
    index,
    listing,
    mine,
    route,
    search,
    train,
    train_dpr,
    train_elmo,
    train_rag,
    train_rerank,
    train_reward,
    tune,
)
from ragkit_cli.console import complain

DISK_FULL = "no space left on the disk: free some and run the same command again"

app = typer.Typer(
    help="Answers questions over your own documents, offline, and proves how well it does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(index.app, name="index", help="Build indexes, change them, look into them.")
app.command("search")(search.search)
app.command("ask")(ask.ask)
app.add_typer(evaluate.app, name="eval", help="Measure retrieval and answers; compare two systems.")
index.app.command("adopt")(adopt.adopt)
index.app.command("tune")(tune.tune)
train.app.command("dpr")(train_dpr.dpr)
train.app.command("elmo")(train_elmo.elmo)
train.app.command("rerank")(train_rerank.rerank)
train.app.command("rag")(train_rag.rag)
train.app.command("reward")(train_reward.reward)
app.command("embed")(embed.embed)
app.command("calibrate")(calibrate.calibrate)
app.command("mine")(mine.mine)
app.command("adapt")(adapt.adapt)
app.add_typer(route.app, name="route", help="Send questions to labels or indexes by a few examples.")
app.add_typer(train.app, name="train", help="Train an answerer, a retriever, or a model of a chapter.")
app.command("check")(check.check)
app.command("compress")(compress.compress)
app.command("list")(listing.list_)
app.command("demo")(demo.demo)


@app.callback()
def main(
    online: Annotated[
        bool, typer.Option("--online", help="Let a model or data set be fetched from the hub.")
    ] = False,
) -> None:
    # Air-gapped unless asked otherwise: the libraries below look nothing up and send nothing.
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        os.environ[name] = "0" if online else "1"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def run(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits; every failure is one line on standard error."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="ragkit")
    except RagkitError as error:
        fail(str(error))
    except KeyboardInterrupt:
        complain("stopped; what was finished is kept")
        sys.exit(130)
    except SystemExit as exit:
        if exit.code == 130:
            complain("stopped; what was finished is kept")
        raise
    except OSError as error:
        if disk_is_full(error):
            fail(DISK_FULL)
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}")
    except Exception as error:
        if os.environ.get("RAGKIT_DEBUG"):
            raise
        if disk_is_full(error):
            fail(DISK_FULL)
        fail(
            f"a fault in ragkit ({type(error).__name__}: {' '.join(str(error).split())[:300]}); "
            "set RAGKIT_DEBUG=1 for the traceback and report it"
        )


def fail(message: str) -> None:
    complain(message)
    sys.exit(1)
