"""Inverted lists that may be larger than memory: parts of them wait in files while an index is built, one
file holds them all in the end, and it is memory-mapped when read.

The files have FAISS's own layout of inverted lists ("ilar"; `write_InvertedLists` in
faiss/impl/index_write.cpp). FAISS's class for lists on disk is not used to write them: it stores absolute
paths and prints to the terminal.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import faiss
import numpy as np
import numpy.typing as npt

SUFFIX = ".lists"
ID_BYTES = 8
PART_BYTES = 1 << 27
"""Lists that hold more than this many bytes leave memory for a file."""


class OutgrownLists:
    """Lists that outgrew memory and left one engine, in the order of their adding."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        """Where lists wait; without it they stay in memory."""
        self._lists: list[Any] = []
        self._waiting: TemporaryDirectory[str] | None = None

    def __bool__(self) -> bool:
        """Whether the engine lacks some."""
        return bool(self._lists)

    def take(self, engine: Any) -> bool:
        """Takes over the engine's lists where they are large. Whether they were: then more can be added to it
        without the others in memory."""
        ivf = None if self.folder is None else _inverted_file(engine)
        if ivf is None or _size(ivf.invlists) <= PART_BYTES:
            return False
        lists = _emptied(ivf)
        if not isinstance(lists, faiss.OnDiskInvertedLists):
            if self._waiting is None:
                self._waiting = TemporaryDirectory(prefix="lists-", dir=self.folder)
            path = Path(self._waiting.name) / str(len(self._lists))
            _write([lists], path)
            lists = _mapped(path)
        self._lists.append(lists)
        return True

    @contextmanager
    def saved(self, engine: Any, path: Path) -> Iterator[None]:
        """While the engine is written to `path`, all its lists go to a file beside it, from which they are
        mapped afterwards. Lists that are all in memory stay in the engine, and no file is beside it."""
        beside = path.with_suffix(SUFFIX)
        ivf = _inverted_file(engine)
        if ivf is None or not (self or _is_mapped(ivf)):
            beside.unlink(missing_ok=True)
            yield
            return
        _write([*self._lists, _emptied(ivf)], beside)
        yield
        _replace(ivf, _mapped(beside))
        self._lists.clear()
        if self._waiting is not None:
            self._waiting.cleanup()
            self._waiting = None


def put_back(engine: Any, path: Path, in_memory: bool) -> None:
    """Gives an engine that was read from `path` the lists that were written beside it, if any. Raises
    RuntimeError where FAISS cannot read them."""
    beside = path.with_suffix(SUFFIX)
    if beside.exists():
        _replace(faiss.extract_index_ivf(engine), _read(beside) if in_memory else _mapped(beside))


def _inverted_file(engine: Any) -> Any:
    """The inverted file in an engine, where its lists are of a kind that can be written here; else None."""
    if isinstance(engine, faiss.IndexRefine):  # keeps whole vectors besides
        return None
    ivf = faiss.try_extract_index_ivf(engine)
    if ivf is None:
        return None
    kind = type(faiss.downcast_InvertedLists(ivf.invlists))
    return ivf if kind in (faiss.ArrayInvertedLists, faiss.OnDiskInvertedLists) else None


def _is_mapped(ivf: Any) -> bool:
    return isinstance(faiss.downcast_InvertedLists(ivf.invlists), faiss.OnDiskInvertedLists)


def _size(lists: Any) -> int:
    """Bytes of codes and ids."""
    return int(lists.compute_ntotal()) * (lists.code_size + ID_BYTES)


def _emptied(ivf: Any) -> Any:
    """The lists of an inverted file, which goes on with empty ones."""
    lists = faiss.downcast_InvertedLists(ivf.invlists)
    ivf.own_invlists = False
    lists.this.own(True)
    _replace(ivf, faiss.ArrayInvertedLists(ivf.nlist, ivf.code_size))
    return lists


def _replace(ivf: Any, lists: Any) -> None:
    """Gives the inverted file other lists; they are its own from then on."""
    ivf.replace_invlists(lists, True)
    lists.this.disown()


def _read(path: Path, flags: int = 0) -> Any:
    return faiss.downcast_InvertedLists(faiss.read_InvertedLists(faiss.FileIOReader(str(path)), flags))


def _mapped(path: Path) -> Any:
    lists = _read(path, faiss.IO_FLAG_MMAP)
    lists.prefetch_nthread = 0  # 32 threads started for every search otherwise
    return lists


def _write(parts: Sequence[Any], path: Path) -> None:
    """The lists of several parts as one, each list's entries in the order of the parts."""
    lists, code_size = parts[0].nlist, parts[0].code_size
    sizes = np.array([[part.list_size(i) for i in range(lists)] for part in parts], dtype=np.uint64)
    with path.open("wb") as file:
        file.write(b"ilar" + np.array([lists, code_size], dtype=np.uint64).tobytes())
        file.write(b"full" + np.array([lists], dtype=np.uint64).tobytes() + sizes.sum(axis=0).tobytes())
        for number in range(lists):
            of_parts = list(zip(parts, sizes[:, number].tolist(), strict=True))
            for part, count in of_parts:
                _append(file, part.get_codes(number), count * code_size)
            for part, count in of_parts:
                _append(file, part.get_ids(number), count)


def _append(file: IO[bytes], pointer: Any, count: int) -> None:
    if count:
        values: npt.NDArray[Any] = faiss.rev_swig_ptr(pointer, count)
        file.write(values.data)
