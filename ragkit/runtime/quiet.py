"""What other libraries tell while a model is loaded, exported or saved, kept off the terminal."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_bars() -> Iterator[None]:
    """Keeps transformers' progress bars away."""
    from transformers.utils import logging as theirs

    shown = theirs.is_progress_bar_enabled()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            theirs.enable_progress_bar()


@contextmanager
def quiet(*loggers: str | None) -> Iterator[None]:
    """For a while transformers shows no progress bars, and it and the loggers named (None: the root) say
    errors alone.

    What matters in their reports, such as weights that a folder lacks, ragkit looks for itself.
    """
    quieted = [logging.getLogger(name) for name in ("transformers", *loggers)]
    levels = [logger.level for logger in quieted]
    with without_bars():
        for logger in quieted:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(quieted, levels, strict=True):
                logger.setLevel(level)
