"""Who carries out a run: the name of a process, and whether a process is known to have ended."""

from __future__ import annotations

import functools
import os
import platform
import sys
import uuid
from pathlib import Path

__all__ = ["is_gone", "new_owner"]

_STARTED_AT = 19  # of the fields of /proc/<pid>/stat that follow the command's closing bracket


def new_owner() -> str:
    """Return a name that says which process of which machine this is, and which part of it."""
    return f"{_machine()}|{os.getpid()}|{_started(os.getpid())}|{uuid.uuid4().hex[:12]}"


def is_gone(owner: str) -> bool:
    """Return whether `owner` was a process of this machine that has ended.

    False when that cannot be known: of another machine, or on Windows. Then its lease decides.
    """
    parts = owner.split("|")
    if len(parts) != 4 or parts[0] != _machine() or sys.platform == "win32":
        return False
    pid, started = int(parts[1]), parts[2]
    if pid == os.getpid():
        return started != _started(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it lives, or its number was given to somebody else's process
    return started != _started(pid)


@functools.cache
def _machine() -> str:
    """Return a name for the space in which process numbers mean something."""
    parts = [platform.node()]
    for file in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(file)
        try:
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text("ascii"))
        except OSError:
            continue
    return "/".join(part.strip() for part in parts).replace("|", "_")


def _started(pid: int) -> str:
    """Return when a process began, in the system's own units; empty when unknown or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    fields = stat.rpartition(")")[2].split()
    return "gone" if fields[0] in {"Z", "X"} else fields[_STARTED_AT]
