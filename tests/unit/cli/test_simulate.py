"""`ymera simulate`, as a user runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine

WITHIN_S = 30


@contextmanager
def simulating(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command in a process of its own; yields it and the configuration it printed."""
    command = [sys.executable, "-m", "ymera", "simulate", "--print-config", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line == "\n" and len(lines) > 2:
                    break
            yield process, "".join(lines)
        finally:
            process.kill()


@pytest.mark.proves("cli.simulate")
def test_the_printed_settings_lead_to_a_provider_that_answers(tmp_path: Path) -> None:
    file = tmp_path / "simulated.toml"
    with simulating("--provider", "groq") as (process, config):
        file.write_text(config)
        asked = subprocess.run(
            [sys.executable, "-m", "ymera", "ask", "--model", "groq/openai/gpt-oss-20b", "Hi"],
            env={
                **os.environ,
                "YMERA_CONFIG": str(file),
                "YMERA_DATA_DIR": str(tmp_path / "data"),
                "SIMULATED_PROVIDERS_KEY": "simulated-key",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
        )
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=WITHIN_S)

    assert tomllib.loads(config)["providers"]["groq"]["base_url"].endswith("/groq/openai/v1")
    assert asked.stdout == "You asked: Hi\n", asked.stderr
    assert process.returncode == 130
    assert "1 in all" in told
    assert "Traceback" not in told


@pytest.mark.proves("cli.simulate")
def test_a_port_in_use_is_told_with_a_way_out(ymera: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = ymera("simulate", "--port", str(taken.getsockname()[1]))

    assert result.code == 1
    assert "--port" in result.err


@pytest.mark.proves("cli.simulate")
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--provider", "nobody"), "nobody"),
        (("--faults", "/nowhere"), "cannot be read"),
        (("--answers", "/nowhere"), "cannot be read"),
        (("--quota", "some"), "documented"),
        (("--check", "--answers", "x"), "--check"),
    ],
)
def test_options_that_cannot_be_are_usage_errors(
    ymera: CommandLine, options: tuple[str, ...], complaint: str
) -> None:
    result = ymera("simulate", *options)

    assert result.code == 2
    assert complaint in result.err


@pytest.mark.proves("cli.simulate")
def test_help_of_ymera_names_it_and_loads_nothing_of_it(ymera: CommandLine) -> None:
    assert "simulate" in ymera("--help").out
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ymera", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=WITHIN_S,
    )
    assert "ymera.testing" not in loaded.stderr
