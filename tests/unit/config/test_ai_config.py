"""The document's `AIConfig`, by both import paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import core_services.ai_mcp.config.ai_config as document_path
from ymera.core.errors import ConfigError
from ymera.facade.ai_config import AIConfig


def test_the_documents_path_gives_the_same_class() -> None:
    assert document_path.AIConfig is AIConfig


@pytest.mark.proves("config.get-path")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("models.default_complexity", "medium"),
        ("performance.timeout_seconds", 30),
        ("local.threads", None),
        ("monitoring", {"enable_metrics": True, "enable_audit_log": True,
                        "metrics_retention_days": 30, "store_prompts": False}),
        ("no.such.path", "default"),
        ("models.prefer_free.deeper", "default"),
        ("", "default"),
        ("..", "default"),
    ],
)  # fmt: skip
def test_get_returns_the_value_at_a_path_else_the_default(path: str, value: object) -> None:
    assert AIConfig().get(path, "default") == value


def test_get_without_a_default_returns_none() -> None:
    assert AIConfig().get("no.such.path") is None


@pytest.mark.proves("config.environment-file")
def test_the_environment_picks_the_file_laid_over_the_defaults(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clean_environment / "config"
    folder.mkdir()
    for name, limit in (("development", 1), ("production", 2), ("staging", 3)):
        body = {"security": {"rate_limit_per_hour": limit}}
        (folder / f"ai_config_{name}.json").write_text(json.dumps(body))
    configs = [AIConfig()]
    monkeypatch.setenv("YMERA_ENV", "production")
    configs += [AIConfig(), AIConfig("staging"), AIConfig(env="elsewhere")]
    found = [(config.env, config.get("security.rate_limit_per_hour")) for config in configs]
    assert found == [("development", 1), ("production", 2), ("staging", 3), ("elsewhere", 100)]
    assert all(config.get("security.max_input_length") == 100_000 for config in configs)


def test_it_sees_what_the_rest_of_ymera_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YMERA_BUDGET__MAX_USD_PER_REQUEST", "0.10")
    config = AIConfig()
    assert config.get("budget.max_usd_per_request") == "0.10"
    assert json.loads(json.dumps(config.config)) == config.config


def test_a_broken_file_is_a_clear_error(clean_environment: Path) -> None:
    (clean_environment / "config").mkdir()
    (clean_environment / "config/ai_config_development.json").write_text("{")
    with pytest.raises(ConfigError, match="line 1, column 2: not valid JSON"):
        AIConfig()
