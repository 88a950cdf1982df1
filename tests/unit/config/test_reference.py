"""The schema, what is made from it, and how little is imported for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import ymera.config
from ymera.config import Settings, json_schema
from ymera.config.keys import Leaf, Section, all_keys, find
from ymera.config.reference import schema_text, with_tables
from ymera.providers.local_settings import LocalSettings

SOURCE = Path(ymera.config.__file__).parents[2]
DOCS = Path(__file__).parents[3] / "docs"

FULL = Settings.model_validate(
    {
        "providers": {"mine": {}},
        "mcp": {"servers": {"mine": {}}},
        "tools": {"databases": {"mine": {}}},
    }
)
"""Settings with an entry in every table, so that each of its keys is among `all_keys`."""

DOCUMENT: dict[str, dict[str, object]] = {
    "models": {
        "prefer_free": True,
        "default_complexity": "medium",
        "enable_multi_model": True,
        "max_retries": 3,
    },
    "security": {
        "enable_input_validation": True,
        "enable_output_validation": True,
        "rate_limit_per_hour": 100,
        "max_input_length": 100000,
    },
    "performance": {
        "enable_caching": True,
        "cache_ttl_seconds": 3600,
        "timeout_seconds": 30,
        "max_concurrent_requests": 10,
    },
    "monitoring": {
        "enable_metrics": True,
        "enable_audit_log": True,
        "metrics_retention_days": 30,
    },
}


@pytest.mark.proves("config.document-defaults")
def test_the_defaults_are_the_documents_under_their_names() -> None:
    tree = Settings().model_dump()
    ours = {name: {key: tree[name][key] for key in DOCUMENT[name]} for name in DOCUMENT}
    assert ours == DOCUMENT
    additions = {name: set(tree[name]) - set(DOCUMENT[name]) for name in DOCUMENT}
    assert additions == {
        "models": {"default_model"},
        "security": set(),
        "performance": {"hedge_after_seconds"},
        "monitoring": {"store_prompts"},
    }
    assert tree["budget"] == {"max_usd_per_request": Decimal(0)}


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().models.max_retries = 5  # type: ignore[misc]


@pytest.mark.proves("config.schema")
def test_the_schema_file_is_the_schema_of_the_settings() -> None:
    committed = (DOCS / "config.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "run: python -m ymera.config.reference docs"


@pytest.mark.proves("config.schema")
def test_the_schema_describes_every_setting_and_holds_the_defaults() -> None:
    schema = json_schema()
    properties, definitions = schema["properties"], schema["$defs"]
    assert isinstance(properties, dict)
    assert isinstance(definitions, dict)
    for name, default in Settings().model_dump(mode="json").items():
        assert properties[name]["default"] == default
    for path, leaf in all_keys(FULL):
        section = find(path[:-1])
        assert isinstance(section, Section)
        within = definitions.get(section.model.__name__, schema)["properties"]
        assert within[path[-1]]["description"] == leaf.field.description, path
    assert definitions["ModelSettings"]["additionalProperties"] is False


def test_every_setting_says_what_it_means_and_numbers_have_bounds() -> None:
    for path, leaf in all_keys(FULL):
        assert leaf.field.description, path
        if leaf.type in {int, Decimal}:
            assert " from " in leaf.expects, path


def test_the_tables_of_the_document_are_made_from_the_schema() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert page == with_tables(page), "run: python -m ymera.config.reference docs"
    for path, _ in all_keys(FULL):
        assert f"| `{path[-1]}` |" in page
    with pytest.raises(ValueError, match="no marks"):
        with_tables("# a page without marks")


def test_the_examples_of_the_document_load(clean_environment: Path) -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    toml = page.split("```toml\n")[1].split("```")[0]
    user_dir = clean_environment / "user"
    user_dir.mkdir()
    (user_dir / "config.toml").write_text(toml, encoding="utf-8")
    exports = page.split("```bash\n")[1].split("```")[0]
    lines = [line.removeprefix("export ") for line in exports.splitlines()]
    environ = {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}
    settings = ymera.config.load_settings(
        cwd=clean_environment, user_dir=user_dir, environ=environ
    ).settings
    assert settings.providers["my-vllm"].enabled is False
    assert settings.providers["my-vllm"].models == ("qwen3-8b",)
    assert settings.server.allowed_hosts == ("ymera.example.org", "ymera.internal")
    json.loads(page.split("```json\n")[1].split("```")[0])


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_module_writes_both_files(tmp_path: Path) -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    head, _, rest = page.partition("### `models`")
    (tmp_path / "configuration.md").write_text(head + rest[-200:], encoding="utf-8")
    done = run_python("-m", "ymera.config.reference", str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name in ("configuration.md", "config.schema.json"):
        assert (tmp_path / name).read_text("utf-8") == (DOCS / name).read_text("utf-8")


@pytest.mark.proves("repo.lazy-import")
def test_importing_the_package_imports_no_pydantic() -> None:
    code = (
        "import sys, ymera.config; assert 'load_settings' in dir(ymera.config);"
        "assert not {'pydantic', 'platformdirs'} & set(sys.modules);"
        "ymera.config.DataPaths; assert 'pydantic' not in sys.modules"
    )
    done = run_python("-c", code)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_resolves_and_others_do_not() -> None:
    for name in ymera.config.__all__:
        assert getattr(ymera.config, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        ymera.config.nonsense  # noqa: B018


def test_paths_lead_to_settings_or_nowhere() -> None:
    assert isinstance(find(("providers", "any", "kind")), Leaf)
    assert find(("providers", "any", "nothing")) is None
    assert find(("data_dir", "below")) is None


@pytest.mark.proves("local.bounded")
def test_the_limits_on_the_page_of_embedded_models_are_settings_with_those_defaults() -> None:
    page = (DOCS / "local-models.md").read_text(encoding="utf-8")
    limits = page.partition("## Limits")[2].partition("\n## ")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", limits, re.MULTILINE))
    defaults = Settings().local.model_dump()

    assert set(told) == set(defaults) - {"enabled", "model", "models_dir"}
    assert {key: text for key, text in told.items() if key != "threads"} == {
        key: str(defaults[key]) for key in told if key != "threads"
    }


def test_the_defaults_of_embedded_models_are_those_of_their_provider() -> None:
    settings, bounds = Settings().local, LocalSettings()

    assert bounds == LocalSettings(
        context_tokens=settings.context_tokens,
        slots=settings.slots,
        threads=settings.threads,
        start_timeout_s=settings.start_timeout_seconds,
        answer_timeout_s=settings.answer_timeout_seconds,
        max_running_models=settings.max_running_models,
        unload_after_s=settings.unload_after_seconds,
    )
