"""Ctrl-C ends every command at once, with exit code 130 and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.server import SCRIPTED, STOPPED_WITHIN_S, serving

STARTED_WITHIN_S = 120

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


def test_ctrl_c_ends_an_answer_that_is_being_written(small_model_dir: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ymera", "Tell a very long story about the sea.", "--stream"],
        env={**os.environ, "YMERA_LOCAL__MODELS_DIR": str(small_model_dir)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a terminal interrupts the child of the embedded model too
    )
    watchdog = threading.Timer(STARTED_WITHIN_S, process.kill)
    watchdog.start()
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(STOPPED_WITHIN_S) == 130
        assert process.stderr.read().strip() == b""
    watchdog.cancel()
