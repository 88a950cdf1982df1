"""Commands over the shipped double, or over an empty machine."""

from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine
from tests.support.server import SCRIPTED


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Run commands on a machine without keys and models."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def ymera(bare: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Run commands with the scripted double as the only model."""
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    return bare
