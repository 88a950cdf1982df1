"""Terminals, pipes and streams that are closed: how `ymera` treats what it is attached to."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.command_line import WITHIN_S, run_on_terminal, run_process
from tests.support.server import SCRIPTED

COLOURED = ("ask", "hi", "--model", "nope")


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)


@pytest.mark.proves("cli.no-color")
def test_a_pipe_gets_no_colour() -> None:
    done = run_process(*COLOURED)
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr


@pytest.mark.proves("cli.no-color")
@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), ("", True)])
def test_no_color_turns_colour_off_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    for args in (COLOURED, ("models", "pull", "qwen2.5-coder-0.5b")):
        written = run_on_terminal(*args)
        assert b"Error: " in written.replace(b"\x1b[0m", b"")
        assert (b"\x1b" in written.partition(b"Error: ")[0]) is coloured


@pytest.mark.parametrize(
    ("command", "code", "out"),
    [
        ("ask hi", 0, b"You asked: hi\n"),
        ("ask", 2, b""),
        ("chat", 0, b""),
    ],
)
@pytest.mark.proves("cli.ask", "cli.chat")
def test_a_closed_stdin_is_an_empty_one(command: str, code: int, out: bytes) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m ymera {command} <&-', sys.executable],
        capture_output=True,
        check=False,
        timeout=WITHIN_S,
    )
    assert (done.returncode, done.stdout) == (code, out), done.stderr
    assert b"bug" not in done.stderr


@pytest.mark.proves("cli.ask", "cli.models")
@pytest.mark.parametrize("command", ["ask hi", "models"])
def test_a_closed_stdout_is_no_failure(command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m ymera {command} >&-', sys.executable],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.proves("cli.exit-codes")
@pytest.mark.parametrize(
    "args", [("models", "list", "--all"), ("config", "--json"), ("--help",), ("hi", "--stream")]
)
def test_a_reader_that_left_ends_a_command_quietly(args: tuple[str, ...]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", "ymera", *args],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
        timeout=WITHIN_S,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")
