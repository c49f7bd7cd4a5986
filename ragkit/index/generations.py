"""Numbered generations of an index, and the pointer to the one that readers open.

    current.json              {"generation": "000002", "manifest": SHA-256 of its manifest}
    generations/000002/       a complete index; nothing in it changes once the pointer names it
    cache/                    vectors by text, see `vector_cache.py`
    writer.lock               see `lock.py`

A generation is written, synced and checksummed, then the pointer is replaced by one atomic rename: readers
see the old generation or the new one. A reader holds a shared lock on its generation's manifest, so that
the folder is not cleared away under it; the lock goes with the process.
"""

import fcntl
import hashlib
import json
import os
import shutil
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO

from ragkit.errors import RagkitError
from ragkit.index.manifest import FileRecord, Manifest

POINTER = "current.json"
MANIFEST = "manifest.json"
CHECKED_ON_USE = 1 << 30
"""Files up to this many bytes are hashed before their first use (1 GiB takes about a second); larger ones
only by `verify`."""


def sha256(path: Path) -> str:
    """Of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, text: str) -> None:
    """Replaces a small file atomically."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


class Generation:
    """One complete generation, open for reading."""

    def __init__(self, index: Path, folder: Path, manifest: Manifest, hold: IO[bytes]):
        """`hold`: the open manifest; its shared lock keeps `Generations.collect` away while this lives."""
        self.index = index
        self.folder = folder
        self.manifest = manifest
        weakref.finalize(self, hold.close)
        self._checked: set[str] = set()

    def file(self, name: str) -> Path:
        """The path of one of its files, with the content checked. Raises RagkitError where it is damaged."""
        if name not in self._checked:
            if problem := self.problem(name, thorough=self.manifest.files[name].size <= CHECKED_ON_USE):
                raise self.damaged(problem)
            self._checked.add(name)
        return self.folder / name

    def problem(self, name: str, thorough: bool) -> str | None:
        """What is wrong with a file, by its size and, where `thorough`, by its checksum."""
        path, record = self.folder / name, self.manifest.files[name]
        try:
            if (size := path.stat().st_size) != record.size:
                return f"{path} has {size} bytes instead of {record.size}"
            if thorough and sha256(path) != record.sha256:
                return f"{path} has been changed (its checksum is another)"
        except FileNotFoundError:
            return f"{path} is missing"
        except OSError as error:
            return f"{path} cannot be read ({error.strerror or error})"
        return None

    def damaged(self, problem: str) -> RagkitError:
        return RagkitError(
            f"the index {self.index} is damaged: {problem}; restore it or build the index again "
            "(vectors that are intact in its cache are not encoded twice)"
        )


class Generations:
    """The generations of the index in a folder."""

    def __init__(self, index: Path):
        self.index = index
        self.folder = index / "generations"
        self.pointer = index / POINTER

    def exists(self) -> bool:
        return self.pointer.is_file()

    def current(self) -> Generation:
        """The generation that the pointer names, with the sizes of its files checked.

        Raises RagkitError where there is no index, a file is missing or truncated, or a newer ragkit made it.
        """
        while True:
            name, checksum = self._read_pointer()
            folder = self.folder / name
            try:
                hold = (folder / MANIFEST).open("rb")
            except OSError as error:
                if self._read_pointer()[0] != name:
                    continue  # a writer was faster: it has published the next one and cleared this one away
                raise self._damaged(f"{folder / MANIFEST} is missing") from error
            with suppress(OSError):  # a file system without locks: its old generations are never cleared
                fcntl.flock(hold, fcntl.LOCK_SH)
            if os.fstat(hold.fileno()).st_nlink == 0:
                hold.close()
                continue
            content = hold.read()
            try:
                if hashlib.sha256(content).hexdigest() != checksum:
                    raise self._damaged(f"{folder / MANIFEST} is not the one that {POINTER} tells of")
                manifest = Manifest.from_json(content.decode(), str(self.index))
                generation = Generation(self.index, folder, manifest, hold)
                for file in manifest.files:
                    if problem := generation.problem(file, thorough=False):
                        raise generation.damaged(problem)
            except RagkitError:
                hold.close()
                raise
            return generation

    def begin(self) -> Path:
        """An empty folder for the next generation. For the holder of the writer's lock only."""
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = [int(path.name) for path in self.folder.iterdir() if path.name.isdecimal()]
        folder = self.folder / f"{max(numbers, default=0) + 1:06d}"
        folder.mkdir()
        return folder

    def seal(self, folder: Path) -> dict[str, FileRecord]:
        """Syncs the files of `folder` and returns their sizes and checksums."""
        files = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                sync(path)
                name = path.relative_to(folder).as_posix()
                files[name] = FileRecord(path.stat().st_size, sha256(path))
            else:
                sync(path)
        return files

    def publish(self, folder: Path, manifest: Manifest) -> None:
        """Makes `folder`, sealed, the current generation."""
        content = manifest.to_json()
        write_synced(folder / MANIFEST, content)
        sync(self.folder)
        sync(self.index)
        checksum = hashlib.sha256(content.encode()).hexdigest()
        write_synced(self.pointer, json.dumps({"generation": folder.name, "manifest": checksum}) + "\n")

    def collect(self) -> None:
        """Deletes the generations that neither the pointer nor an open reader needs, unfinished ones too."""
        current = self._read_pointer()[0] if self.exists() else None
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if folder.name != current and not self._is_read(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def _is_read(self, folder: Path) -> bool:
        try:
            with (folder / MANIFEST).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Gone before the lock is: a reader that waits for it then finds no name and looks again.
                (folder / MANIFEST).unlink()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def _read_pointer(self) -> tuple[str, str]:
        try:
            fields = json.loads(self.pointer.read_text(encoding="utf-8"))
            name, checksum = fields["generation"], fields["manifest"]
            if not (isinstance(name, str) and name.isdecimal() and isinstance(checksum, str)):
                raise ValueError("not a pointer")
            return name, checksum
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._absent() from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(f"{self.pointer} cannot be read") from error

    def _absent(self) -> RagkitError:
        if not self.index.exists():
            return RagkitError(
                f"no index at {self.index}: build one with `ragkit index build DOCS --out {self.index}`"
            )
        if self.folder.is_dir():
            return RagkitError(
                f"the index {self.index} was never finished, or its {POINTER} is missing: build it again, "
                "nothing is encoded twice"
            )
        return RagkitError(f"{self.index} is not an index: it holds no {POINTER}")

    def _damaged(self, problem: str) -> RagkitError:
        return RagkitError(
            f"the index {self.index} is damaged: {problem}; build it again, nothing is encoded twice"
        )
