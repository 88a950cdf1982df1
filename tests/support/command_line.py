"""Runs `ymera` in this process or, for signals and raw bytes, in one of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest

from ymera.cli.main import main

WITHIN_S = 120


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class CommandLine:
    """Runs commands in this process; stdin is no terminal and empty unless given."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *args: str, stdin: bytes = b"") -> Result:
        """Run one command."""
        wrapped = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        self.monkeypatch.setattr(sys, "stdin", wrapped)
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(args)
        out, err = self.capsys.readouterr()
        return Result(int(stopped.value.code or 0), out, err)


def run_process(*args: str | bytes, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run one command in a process of its own, with this test's environment."""
    return subprocess.run(
        [sys.executable, "-m", "ymera", *args],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=WITHIN_S,
    )


def run_on_terminal(*args: str) -> bytes:
    """Run one command whose stdout and stderr are a terminal; return all it wrote there."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ymera", *args],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    watchdog = threading.Timer(WITHIN_S, process.kill)
    watchdog.start()
    with process, io.FileIO(ours) as terminal:
        written = b"".join(iter(lambda: _read_terminal(terminal), b""))
    watchdog.cancel()
    return written


def _read_terminal(terminal: io.FileIO) -> bytes:
    try:
        return terminal.read(4096) or b""
    except OSError:  # Linux says EIO once the other side is closed
        return b""
