"""`python -m ragkit_cli`: the same as `ragkit`."""

from ragkit_cli.main import run

run()
