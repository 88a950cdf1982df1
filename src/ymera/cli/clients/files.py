"""Reading and replacing other programs' files: never half, never without a way back."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from ymera.core.errors import ConfigError, MachineError

__all__ = ["backup_of", "read_text", "replace_text"]

_MAX_BYTES = 4 * 1024 * 1024


def read_text(path: Path) -> str | None:
    """Return what a file holds, None when there is none.

    Raises:
        ConfigError: it is no regular file of modest size, not UTF-8, or may not be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_BYTES:
            raise ConfigError(
                f"{path} is no settings file.", hint="Move it out of the way, or edit it by hand."
            )
        return path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: byte {error.start + 1} is not UTF-8.", hint="Save the file as UTF-8."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}.",
            hint="Make it readable for your user.",
        ) from error


def backup_of(path: Path) -> Path:
    """Return where a copy of a file goes: beside it, under a name that is free."""
    first = path.with_name(f"{path.name}.before-ymera")
    names = (path.with_name(f"{first.name}.{number}") for number in range(2, 1000))
    return next((each for each in (first, *names) if not each.exists()), first)


def replace_text(path: Path, text: str, *, backup: Path | None = None) -> None:
    """Replace a file at once: a reader sees the old one or the new one, never a half.

    Its mode stays; a new file is its owner's alone. A link to it stays a link.

    Args:
        path: the file, which need not exist.
        text: what it shall hold.
        backup: where what it holds now is copied first; None keeps no copy.

    Raises:
        MachineError: the system refuses; the file is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        if backup is not None:
            _put(backup, target.read_bytes(), mode)
        _put(target, text.encode(), mode)
    except OSError as error:
        raise MachineError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="Make it and its directory writable for your user.",
        ) from error


def _put(target: Path, data: bytes, mode: int) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".ymera-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
