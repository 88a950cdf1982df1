"""Files that only their owner may read: checked before reading, replaced whole when written."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ymera.core.errors import MachineError

if sys.platform != "win32":
    import fcntl

__all__ = ["create_private", "locked", "private_directory", "read_private", "replace_private"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_POSIX = os.name == "posix"


def private_directory(directory: Path) -> Path:
    """Create a directory for its owner alone (0700), or make an existing one so.

    Raises:
        MachineError: it cannot be made, or others could write to it while secrets lie in it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _POSIX:
            return directory
        mode = directory.stat().st_mode
        if mode & _OTHERS_WRITE and any(directory.iterdir()):
            raise MachineError(
                f"Others may write to '{directory}' (mode {stat.S_IMODE(mode):04o}), where keys"
                " are kept.",
                hint=f"Look at what lies there, then: chmod 700 '{directory}'",
            )
        if mode & _OTHERS:
            directory.chmod(0o700)
    except OSError as error:
        raise _refused(directory, error) from error
    return directory


def read_private(path: Path) -> bytes | None:
    """Return what a file holds; None where there is none.

    Raises:
        MachineError: others may read it, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if _POSIX and mode & _OTHERS:
                raise MachineError(
                    f"Others may read or change '{path}' (mode {stat.S_IMODE(mode):04o}).",
                    hint=f"If nobody else has read it: chmod 600 '{path}'. Otherwise take new"
                    " keys.",
                )
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(path, error) from error


def create_private(path: Path, data: bytes) -> bool:
    """Write a new file whole (0600); return False when another process was first.

    Raises:
        MachineError: it cannot be written.
    """
    try:
        written = _written(path, data)
        try:
            os.link(written, path)  # unlike a rename it never replaces
        except FileExistsError:
            return False
        finally:
            written.unlink()
    except OSError as error:
        raise _refused(path, error) from error
    return True


def replace_private(path: Path, data: bytes) -> None:
    """Put a file (0600) in the place of an older one: readers see all of one or of the other.

    Raises:
        MachineError: it cannot be written; the older one stays.
    """
    try:
        written = _written(path, data)
        try:
            written.replace(path)
        except OSError:
            written.unlink()
            raise
    except OSError as error:
        raise _refused(path, error) from error


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes of ours from changing what lies in a directory meanwhile.

    Raises:
        MachineError: the lock cannot be made.
    """
    path = directory / ".lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _refused(path, error) from error
    try:
        if sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _written(path: Path, data: bytes) -> Path:
    """Write `data` beside `path`, down to the disk; return where."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp gives mode 0600
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        beside.unlink()
        raise
    return beside


def _refused(path: Path, error: OSError) -> MachineError:
    return MachineError(
        f"'{path}' cannot be used: {error.strerror or 'the system refuses'}.",
        hint="Make it readable and writable for your user alone, or free some disk space.",
    )
