"""`ragkit index adopt`: an index goes on with another question tower."""

from typing import Annotated

import typer

from ragkit_cli.options import IndexArgument, index_path


def adopt(
    index: IndexArgument,
    encoder: Annotated[
        str, typer.Argument(metavar="ENCODER", help="Folder of a model trained with --towers frozen.")
    ],
) -> None:
    """Ask an index with a question tower that was trained for its passages. Nothing is encoded anew.

    Example: ragkit index adopt indexes/handbook runs/dpr/model
    """
    from ragkit.index.rewriting import adopt

    adopt(index_path(index), encoder)
    print(f"{index_path(index)}: questions are encoded by {encoder} from now on")
