"""One writer at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ragkit.errors import RagkitError

LOCK_FILE = "writer.lock"


@contextmanager
def writer_lock(index: Path) -> Iterator[None]:
    """Holds the index for writing. The operating system lets go of it when the process dies, however.

    Raises RagkitError at once where another process, or another thread of this one, holds it.
    """
    path = index / LOCK_FILE
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RagkitError(
            f"another process is writing to the index {index} (it holds {path}): "
            "try again when it has finished"
        ) from error
    except OSError as error:
        raise RagkitError(f"cannot write to the index {index}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
