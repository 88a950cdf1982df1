"""`ymera agents`: list, show."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support.command_line import CommandLine


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder of the user's agents."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "ymera" / "agents"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.proves("cli.agents")
def test_agents_lists_the_bundled_ones(bare: CommandLine, own: Path) -> None:
    result = bare("agents")
    assert result.code == 0
    assert len(result.out.splitlines()) == 9
    assert "coding_agent" in result.out
    listed = msgspec.json.decode(bare("agents", "list", "--json").out)
    assert listed[2]["name"] == "coding_agent"
    assert listed[2]["source"] == "bundled"
    assert listed[2]["phases"][-1] == "combine"


@pytest.mark.proves("cli.agents")
def test_agents_show_tells_phases_parameters_and_budget(bare: CommandLine, own: Path) -> None:
    shown = bare("agents", "show", "coding_agent")
    assert shown.code == 0
    assert "generate (reviews it)" in shown.out
    assert "language: Programming language." in shown.out
    assert "24 calls" in shown.out
    found = msgspec.json.decode(bare("agents", "show", "research_agent", "--json").out)
    assert found["agent"]["phases"][1]["tools"] == ["fetch_page", "read_file"]


@pytest.mark.proves("cli.agents", "agents.unknown")
def test_an_unknown_agent_is_a_usage_error_with_the_nearest(bare: CommandLine, own: Path) -> None:
    result = bare("agents", "show", "coding_agnt")
    assert result.code == 2
    assert "'coding_agent'" in result.err


@pytest.mark.proves("cli.agents", "agents.user")
def test_a_broken_agent_is_listed_with_what_is_wrong(bare: CommandLine, own: Path) -> None:
    (own / "mine.toml").write_text('description = "x"\n[single]\ntask_typ = "chat"\n')
    result = bare("agents")
    assert result.code == 2
    assert "mine" in result.out
    assert "agents/mine.toml line 3: single.task_typ is no key" in result.err
    assert bare("agents", "show", "mine").code == 2
    assert bare("agents", "show", "coding_agent").code == 0
