"""Ctrl-C ends every command at once, with exit code 130 and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.server import SCRIPTED, serving

pytestmark = pytest.mark.proves("cli.interrupt")


def test_ctrl_c_stops_the_server() -> None:
    with serving() as running:
        assert running.stop(signal.SIGINT) == 130
        assert "Traceback" not in "".join(running.lines)


def test_sigterm_stops_the_server_cleanly() -> None:
    with serving() as running:
        assert running.stop(signal.SIGTERM) == 0
        assert "Traceback" not in "".join(running.lines)


def test_ctrl_c_leaves_a_conversation() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ymera", "chat"],
        env={**os.environ, **SCRIPTED},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write("one\n")
        process.stdin.flush()
        assert process.stdout.readline() == "You asked: one\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert "Traceback" not in process.stderr.read()
