"""Children on file, so that what outlived a killed Ymera is ended at the next start.

A server ends when its standard input does; one that ignores that outlives a `kill -9` of ours.
Each child's process id stands in a file with the time it started: a number that was given to
another process since is left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import msgspec

__all__ = ["end_group", "forget", "note", "reap", "started_at"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class _Noted(msgspec.Struct, frozen=True):
    """A child and the process that started it, each with its start time."""

    pid: int
    started: str
    owner_pid: int
    owner_started: str


def note(directory: Path, name: str, pid: int) -> Path | None:
    """Put a child on file; None where the system does not tell when a process started."""
    started, owner = started_at(pid), os.getpid()
    owner_started = started_at(owner)
    if started is None or owner_started is None:
        return None
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{name}.{pid}.json"
    noted = _Noted(pid, started, owner, owner_started)
    path.write_bytes(msgspec.json.encode(noted))
    return path


def forget(path: Path | None) -> None:
    """Take a child off file once it is gone."""
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def reap(directory: Path) -> tuple[int, ...]:
    """End the children of processes that are gone; return the ids of those ended."""
    ended: list[int] = []
    for path in sorted(directory.glob("*.json")):
        try:
            noted = msgspec.json.decode(path.read_bytes(), type=_Noted)
        except (OSError, msgspec.MsgspecError):  # half-written by a process that was killed
            forget(path)
            continue
        if started_at(noted.owner_pid) == noted.owner_started:
            continue  # its owner lives and looks after it
        if started_at(noted.pid) == noted.started:
            end_group(noted.pid, signal.SIGKILL)
            ended.append(noted.pid)
        forget(path)
    return tuple(ended)


def end_group(pid: int, number: int) -> bool:
    """Signal the process group that `pid` leads; False when there is none (any more)."""
    if not hasattr(os, "killpg"):  # Windows knows no groups
        with contextlib.suppress(OSError):
            os.kill(pid, number)
        return False
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True


def started_at(pid: int) -> str | None:
    """Return what tells a process from a later one of the same id; None when it does not run."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            boot = _BOOT_ID.read_text(encoding="utf-8").strip()
        except OSError:
            return None
        return None if fields[0] in {"Z", "X"} else f"{boot} {fields[19]}"
    return _started_by_ps(pid)


def _started_by_ps(pid: int) -> str | None:
    try:
        done = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, check=False, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip() or None
