"""The file a download grows in: bounded, hashed while it is written, renamed when it is right."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ymera.core.errors import MachineError
from ymera.core.model import LocalWeights

__all__ = ["PartFile", "Progress", "disk_error", "read_chunks"]

Progress = Callable[[int, int], None]
"""Called with bytes done so far and bytes in all."""

_CHUNK_BYTES = 1024 * 1024


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class PartFile:
    """Bytes of `weights` that have arrived so far, in `<target>.part`.

    Leaving the context removes it, unless it is `resumable` and what it holds may yet turn out
    right.

    Args:
        target: what the finished file is to be called.
        weights: size and hash the bytes must have.
        progress: told after each write.
        resumable: go on with what an earlier try left, and leave something to go on with.
    """

    def __init__(
        self, target: Path, weights: LocalWeights, progress: Progress, *, resumable: bool
    ) -> None:
        self.size_bytes = 0
        self._target = target
        self._path = target.with_name(target.name + ".part")
        self._weights = weights
        self._progress = progress
        self._hash = hashlib.sha256()
        self._worth_keeping = resumable
        try:
            self._file = self._path.open("r+b" if resumable and self._path.exists() else "w+b")
        except OSError as error:
            raise disk_error(error, target.parent) from error
        if resumable:
            self._take_in_what_is_there()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):  # a full disk may show again while flushing
            self._file.close()
        if not self._worth_keeping or not self.size_bytes:
            self._path.unlink(missing_ok=True)

    @property
    def complete(self) -> bool:
        """Whether as many bytes as the file has are there."""
        return self.size_bytes == self._weights.size_bytes

    def write(self, chunk: bytes) -> None:
        """Append `chunk`.

        Raises:
            MachineError: the disk is full, or more bytes came than the file has.
        """
        if self.size_bytes + len(chunk) > self._weights.size_bytes:
            raise self._wrong("the source sends more bytes than the file has")
        with self._disk():
            self._file.write(chunk)
        self._count(chunk)

    def restart(self) -> None:
        """Forget every byte."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def finish(self) -> None:
        """Check size and hash, make the bytes durable, and give the file its name.

        Raises:
            MachineError: size or hash is wrong, or the disk is full.
        """
        if not self.complete:
            raise self._wrong(f"{self.size_bytes:,} of {self._weights.size_bytes:,} bytes came")
        if self._hash.hexdigest() != self._weights.sha256:
            raise self._wrong("its SHA-256 is not the one in the catalogue")
        with self._disk():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.replace(self._target)

    def _take_in_what_is_there(self) -> None:
        for chunk in read_chunks(self._file):
            self._count(chunk)
            if self.size_bytes > self._weights.size_bytes:
                self.restart()
                return

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size_bytes += len(chunk)
        self._progress(self.size_bytes, self._weights.size_bytes)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._worth_keeping = False
            raise disk_error(error, self._target.parent) from error

    def _wrong(self, how: str) -> MachineError:
        self._worth_keeping = False
        return MachineError(
            f"The download of {self._weights.filename!r} is not the expected file: {how}. "
            "Nothing of it was kept.",
            hint="Pull again; if it happens again, the source has changed: update Ymera.",
        )


def read_chunks(file: _Reader) -> Iterator[bytes]:
    """Yield the rest of `file` in pieces of 1 MiB."""
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def disk_error(error: OSError, directory: Path) -> MachineError:
    """Say for people what the file system refused."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return MachineError(
            f"The disk that holds {str(directory)!r} is full; nothing was kept.",
            hint="Free some space, or point the data directory (YMERA_DATA_DIR) at another disk.",
        )
    return MachineError(
        f"The directory {str(directory)!r} cannot be written to: {error.strerror or error}.",
        hint="Make it writable, or point the data directory (YMERA_DATA_DIR) elsewhere.",
    )
