"""The tools of a configuration: what settings switch on, and what stays unloaded."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.engine import FakeTime, Stage
from ymera.app.tooling import Tooling, database_url
from ymera.config.paths import DataPaths
from ymera.config.schema import DatabaseSettings, Settings
from ymera.core.access import LOCAL_OWNER
from ymera.core.errors import ConfigError
from ymera.security.tool_gate import AllowlistGate
from ymera.tools.registry import CallReport

SERVER = Path(__file__).parents[2] / "support" / "mcp_servers" / "good.py"


def tooling(settings: Settings, tmp_path: Path, reports: list[CallReport] | None = None) -> Tooling:
    kept = [] if reports is None else reports
    return Tooling(
        settings,
        environ={},
        paths=DataPaths(tmp_path / "data"),
        clock=FakeTime().clock(),
        gateway=Stage({}).gateway,
        gate=AllowlistGate(settings.tools.allow),
        report=kept.append,
    )


def settings(**tools: object) -> Settings:
    return Settings.model_validate({"tools": tools})


@pytest.mark.proves("tools.settings")
async def test_only_what_is_set_up_is_offered(tmp_path: Path) -> None:
    bare = await tooling(settings(enable_fetch=False), tmp_path).box.tools()
    path = tmp_path / "a.db"
    sqlite3.connect(path).close()
    full = await tooling(
        settings(read_root=tmp_path, databases={"a": {"url": f"sqlite:///{path}"}}), tmp_path
    ).box.tools()

    assert [tool.name for tool in bare] == ["calculator", "current_time"]
    assert [tool.name for tool in full] == [
        *("calculator", "current_time", "read_file", "list_files", "query_database", "fetch_page")
    ]


@pytest.mark.proves("tools.settings")
async def test_bounds_of_the_settings_hold_for_calls(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("x" * 5000, encoding="utf-8")
    tools = tooling(settings(read_root=tmp_path, max_output_chars=100), tmp_path)

    called = await tools.box.call("read_file", {"path": "long.txt"}, LOCAL_OWNER)

    assert (len(called.result.text), called.result.cut_chars) == (100, 4900)


@pytest.mark.proves("tools.settings", "tools.gate")
async def test_a_servers_tools_with_side_effects_are_shown_once_they_are_allowed(
    tmp_path: Path,
) -> None:
    server = {"command": sys.executable, "args": [str(SERVER)]}
    offered = {}
    for allow in ([], ["notes__*"]):
        chosen = Settings.model_validate(
            {"mcp": {"servers": {"notes": server}}, "tools": {"allow": allow}}
        )
        made = tooling(chosen, tmp_path)
        try:
            offered[len(allow)] = await made.box.tools(["notes__*"])
        finally:
            await made.close()

    assert offered[0] == ()
    assert offered[1]


@pytest.mark.proves("tools.settings")
def test_a_database_needs_exactly_one_address() -> None:
    assert database_url("a", DatabaseSettings(url="sqlite:///a.db"), {}) == "sqlite:///a.db"
    assert database_url("a", DatabaseSettings(url_env="A_URL"), {"A_URL": "sqlite:///b"}) == (
        "sqlite:///b"
    )
    for wrong in ({}, {"url": "sqlite:///a", "url_env": "A"}, {"url_env": "MISSING"}):
        with pytest.raises(ConfigError) as caught:
            database_url("a", DatabaseSettings.model_validate(wrong), {})
        assert "tools.databases.a" in f"{caught.value.param}"


@pytest.mark.proves("tools.audited")
async def test_every_call_is_reported_without_values(tmp_path: Path) -> None:
    reports: list[CallReport] = []
    tools = tooling(settings(), tmp_path, reports)

    await tools.box.call("calculator", {"expression": "4711 * 2"}, LOCAL_OWNER)
    await tools.box.call("calculator", {"wrong": "4711"}, LOCAL_OWNER)

    assert [(each.use.name, each.use.ok, each.arguments) for each in reports] == [
        ("calculator", True, ("expression",)),
        ("calculator", False, ("wrong",)),
    ]
    assert "4711" not in str(reports)


_LOADS = """
import asyncio, sys
from ymera.app import App
from ymera.engine.orchestrator import AIRequest
from ymera.testing.scripted import ScriptedProvider

async def main():
    async with App.create(providers={"local": ScriptedProvider()}) as app:
        await app.orchestrator.execute(AIRequest(prompt="hello"))

asyncio.run(main())
heavy = {"mcp", "jsonschema", "simpleeval", "sqlglot", "psycopg", "ymera.tools.registry",
         "ymera.engine.tool_loop", "ymera.engine.text_protocol", "ymera.app.tooling"}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.mark.proves("tools.lazy")
def test_a_request_without_tools_loads_nothing_of_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADS], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout.strip() == "[]", done.stderr


async def test_a_database_is_opened_when_it_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "birds.db"
    tools = tooling(settings(databases={"birds": {"url": f"sqlite:///{path}"}}), tmp_path)
    with closing(sqlite3.connect(path)) as birds, birds:
        birds.execute("CREATE TABLE birds (name TEXT)")
        birds.execute("INSERT INTO birds VALUES ('heron')")

    called = await tools.box.call("query_database", {"sql": "SELECT name FROM birds"}, LOCAL_OWNER)

    assert called.result.text == "name: heron"
