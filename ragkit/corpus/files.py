"""Bytes and text out of files that nobody promised to be in order: gzip, encodings, limits."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ragkit.errors import RagkitError

MAX_FILE_BYTES = 256 * 2**20
"""The most that a file read in one piece may hold, after unpacking: a guard against gzip bombs."""

MAX_LINE_BYTES = 64 * 2**20
"""The most that a line of a file read line by line may hold, after unpacking; the file may be of any size."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Unreadable(RagkitError):
    """A file that cannot be read: skipped among others, refused where the caller is strict."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def suffix(path: Path) -> str:
    """The lower-case suffix that tells the kind of a file: `.txt` for `a.TXT` and for `a.txt.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def read_bytes(path: Path) -> bytes:
    """The file's content, unpacked where its name ends in `.gz`. Raises `Unreadable`."""
    try:
        with _open(path) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    if len(content) > MAX_FILE_BYTES:
        raise Unreadable(path, f"larger than {MAX_FILE_BYTES // 2**20} MiB; cut it into several files")
    return content


def read_text(path: Path) -> str:
    """The text of a file exactly as it stands, line ends too: UTF-8, or what its byte order mark says.

    Raises `Unreadable` for binary content and for any other encoding, which could only be guessed.
    """
    content = read_bytes(path)
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(path, "binary, or not UTF-8 text; convert it to UTF-8") from error
    if "\0" in text:
        raise Unreadable(path, "binary, not text")
    return text


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end), in memory one line at a time.

    A gzip file is unpacked once beforehand: a damaged one must be known before its first half is used.
    Raises `Unreadable` for the file, `RagkitError` naming the line that is too long or not UTF-8.
    """
    try:
        if is_gzip(path):
            with gzip.open(path) as packed:
                while packed.read(2**20):
                    pass
        with _open(path) as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    limit = MAX_LINE_BYTES // 2**20
                    raise RagkitError(
                        f"{path}:{number}: the line is longer than {limit} MiB; one record a line"
                    )
                yield number, _decode_line(line, path, number)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _decode_line(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise RagkitError(
            f"{path}:{number}: the line is not UTF-8 text; convert the file to UTF-8"
        ) from error


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if is_gzip(path) else path.open("rb")  # type: ignore[return-value]


def _unreadable(path: Path, error: Exception) -> Unreadable:
    if isinstance(error, EOFError):
        reason = "the gzip file ends too early; copy or download it again"
    elif isinstance(error, gzip.BadGzipFile | zlib.error):
        reason = "not a sound gzip file; copy or download it again"
    else:
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    return Unreadable(path, reason)
