"""`ymera validate` and the probe server at their command lines."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support.command_line import CommandLine
from ymera.tools import mcp_probe

pytestmark = pytest.mark.proves("validation.components")


@pytest.fixture
def ymera(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_named_components_are_tried_and_the_exit_code_says_how_it_went(
    ymera: CommandLine, clean_environment: Path
) -> None:
    fine = ymera("validate", "training", "configuration")
    assert fine.code == 0
    assert fine.out.splitlines()[0] == "✅ TRAINING"
    assert "✅ CONFIGURATION" in fine.out
    assert fine.out.splitlines()[-1] == "Everything that was checked passed."
    (clean_environment / "ymera.toml").write_text("[models]\nmax_retrys = 1\n")
    broken = ymera("validate", "configuration")
    assert broken.code == 1
    assert "❌ CONFIGURATION" in broken.out
    assert "max_retries" in broken.out


def test_json_holds_the_documents_keys_and_every_check(ymera: CommandLine) -> None:
    result = ymera("validate", "configuration", "--json")
    found = msgspec.json.decode(result.out)
    assert result.code == 0
    assert found["passed"] is True
    (component,) = found["components"]
    assert component["component"] == "configuration"
    assert component["tests_passed"] == component["tests_total"] == len(component["checks"])
    assert component["issues"] == []
    assert {each["state"] for each in component["checks"]} == {"passed"}


def test_verbose_says_what_was_found(ymera: CommandLine) -> None:
    result = ymera("validate", "configuration", "-v")
    assert "   a broken file is refused: refused, naming the key" in result.out


def test_an_unknown_component_is_a_usage_error(ymera: CommandLine) -> None:
    result = ymera("validate", "modles")
    assert result.code == 2
    assert "multi_model" in result.err


def test_the_probe_needs_its_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert mcp_probe.main([]) == 2
    assert "usage:" in capsys.readouterr().err
