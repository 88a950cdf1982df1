"""Components that need no model, over this installation and over broken ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ymera.config.schema import Settings
from ymera.core.access import Principal
from ymera.core.tool import Tool
from ymera.validation.components.configuration import DOCUMENT_TREE
from ymera.validation.installation import Installation
from ymera.validation.report import CheckState, ComponentReport, Unmet
from ymera.validation.run import named, validate

Arguments = Mapping[str, object]

QUICK = ["security", "mcp", "tools", "monitoring", "training", "configuration"]


async def of(name: str) -> ComponentReport:
    (report,) = [each async for each in validate(named([name]))]
    return report


def files_below(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]


def issue(report: ComponentReport) -> str:
    (failed,) = report.failures
    return f"{failed.name}: {failed.detail} {failed.hint}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return this test's data directory."""
    return Path(os.environ["YMERA_DATA_DIR"])


@pytest.mark.proves("validation.components", "validation.apart")
@pytest.mark.parametrize("name", QUICK)
async def test_a_sound_installation_passes_and_is_left_as_it_was(name: str, data: Path) -> None:
    report = await of(name)
    assert report.passed, list(report.lines(verbose=True))
    assert report.unchecked == ()
    assert files_below(data) == []


@pytest.mark.proves("validation.apart")
async def test_the_users_keys_hosts_and_servers_are_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-real")
    monkeypatch.setenv("YMERA_KEYLESS_CONSENT", '["pollinations"]')
    monkeypatch.setenv("YMERA_PROVIDERS__MINE__BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("YMERA_PROVIDERS__MINE__MODELS", '["m"]')
    monkeypatch.setenv("YMERA_PROVIDERS__MINE__KEYLESS", "true")
    monkeypatch.setenv("YMERA_MCP__SERVERS__MINE__COMMAND", "/bin/false")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    installation = Installation(os.environ, scratch)
    async with installation.app() as app:
        callable_now = {each.id for each in app.catalog.models} - set(app.snapshot().availability)
        assert callable_now == set()
        assert not app.settings.mcp.servers["mine"].enabled
        assert app.paths.root.is_relative_to(scratch)
        assert app.models_dir == installation.paths.models
    report = await of("mcp")
    assert [each.name for each in report.unchecked] == ["your servers"]
    assert report.passed


@pytest.mark.proves("validation.breaks")
async def test_without_a_model_models_fails_and_says_how_to_get_one() -> None:
    report = await of("models")
    assert not report.passed
    assert {each.hint for each in report.failures} == {"Run: ymera models pull"}
    assert [each.name for each in report.checks][:3] == [
        "catalogue",
        "every model has a path or a reason",
        "callable with keys",
    ]


@pytest.mark.proves("validation.breaks")
async def test_without_a_model_multi_model_fails_and_says_how_to_get_one() -> None:
    assert "Run: ymera models pull" in issue(await of("multi_model"))


@pytest.mark.proves("validation.breaks")
async def test_a_broken_setting_fails_everything_that_needs_settings(
    clean_environment: Path,
) -> None:
    (clean_environment / "ymera.toml").write_text("[performance]\ntimeout_secs = 3\n")
    for name in ("configuration", "security"):
        report = await of(name)
        assert not report.passed
        said = " ".join(f"{each.detail} {each.hint}" for each in report.failures)
        assert "timeout_secs" in said


@pytest.mark.proves("validation.breaks")
async def test_damaged_experience_of_a_newer_version_fails_training(data: Path) -> None:
    folder = data / "ai_performance"
    folder.mkdir(parents=True)
    (folder / "experience.json").write_text('{"format": 99, "rows": []}')
    assert "Upgrade Ymera" in issue(await of("training"))


@pytest.mark.proves("validation.breaks")
async def test_a_probe_that_cannot_start_fails_mcp_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    report = await of("mcp")
    assert [each.state for each in report.checks] == [CheckState.FAILED]
    assert "probe" in issue(report)


@pytest.mark.proves("validation.unchecked")
async def test_switched_off_guards_and_counters_are_said_and_not_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("YMERA_SECURITY__ENABLE_OUTPUT_VALIDATION", "false")
    monkeypatch.setenv("YMERA_MONITORING__ENABLE_AUDIT_LOG", "false")
    for name, setting in (
        ("security", "security.enable_output_validation"),
        ("monitoring", "monitoring.enable_audit_log"),
    ):
        report = await of(name)
        assert report.passed
        (switch,) = report.unchecked
        assert setting in switch.detail


@pytest.mark.proves("validation.breaks")
async def test_a_leak_an_open_gate_and_a_wrong_formula_turn_their_components_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The components look at what the parts do, so breaking a part is noticed."""
    from ymera.learning import experience
    from ymera.security.guards import secrets
    from ymera.security.tool_gate import AllowlistGate

    check = AllowlistGate.check

    def lenient(gate: AllowlistGate, tool: Tool, given: Arguments, principal: Principal) -> str:
        return "open" if tool.name == "files__write_file" else check(gate, tool, given, principal)

    monkeypatch.setattr(AllowlistGate, "check", lenient)
    assert [each.name for each in (await of("tools")).failures] == ["gate"]
    monkeypatch.setattr(experience, "ema_score", lambda _: 0.5)
    assert [each.name for each in (await of("training")).failures] == ["formula", "persistence"]
    monkeypatch.setattr(secrets._Screen, "feed", lambda _self, text: text)
    monkeypatch.setattr(secrets.SecretsGuard, "screen_whole", lambda _self, text, _report: text)
    assert "output" in [each.name for each in (await of("security")).failures]


@pytest.mark.proves("validation.performance", "document.times-measured")
async def test_answers_that_are_too_slow_or_too_few_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ymera.validation.components import performance

    monkeypatch.setattr(performance, "FIRST_TOKEN_S", 0.0)
    monkeypatch.setattr("ymera.validation.hosted.FIRST_TOKEN_S", 0.0)
    installation, fewer = Installation(os.environ, tmp_path), tmp_path / "fewer"
    fewer.mkdir()
    assert "120 of 120" in await performance._many(installation)
    monkeypatch.setattr(performance, "COMPLEX_BELOW_S", 0.0)
    with pytest.raises(Unmet, match="0 s are allowed"):
        await performance._complex(installation)
    monkeypatch.setenv("YMERA_MODELS__MAX_RETRIES", "0")
    with pytest.raises(Unmet) as refused:
        await performance._many(Installation(os.environ, fewer))
    assert (
        refused.value.hint == "models.max_retries is 0: raise it, so that other models are asked."
    )


@pytest.mark.proves("validation.components")
def test_the_documents_tree_is_the_schemas() -> None:
    tree = Settings().model_dump(mode="json")
    sections: dict[str, Mapping[str, object]] = {name: tree[name] for name in tree}
    for key, value in DOCUMENT_TREE.items():
        section, _, name = key.partition(".")
        assert sections[section][name] == value
