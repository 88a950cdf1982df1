"""Tools of one configuration: built at first use, closed with the app."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ymera.app.mcp_servers import mcp_servers
from ymera.config.paths import DataPaths
from ymera.config.schema import DatabaseSettings, McpServerSettings, Settings, ToolSettings
from ymera.core.errors import ConfigError
from ymera.core.ports import ToolGate, ToolSource
from ymera.core.tool import Tool, ToolEffect
from ymera.engine.door import Door
from ymera.engine.tool_loop import ToolLoop
from ymera.engine.trace import Clock
from ymera.tools.builtin import BuiltinSource, BuiltinTool
from ymera.tools.helped import HelpedSource
from ymera.tools.registry import BUILTIN, CallReport, ToolBox, matches

if TYPE_CHECKING:
    from ymera.tools.builtin.query_database import ReadableDatabase

__all__ = ["Tooling", "database_url"]


class Tooling:
    """The tools of one configuration, and the loop that answers with them.

    Args:
        settings: sections `tools` and `mcp`.
        environ: where variables named by servers and databases are looked up.
        paths: of the data directory.
        clock: time.
        gateway: returns the gateway in force.
        gate: the last word before every call.
        report: told of every call.

    Attributes:
        settings: as given.
        box: the tools.
        loop: answers requests with them.

    Raises:
        ConfigError: a server or database is set up wrongly.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        paths: DataPaths,
        clock: Clock,
        gateway: Callable[[], Door],
        gate: ToolGate,
        report: Callable[[CallReport], None],
    ) -> None:
        self.settings = settings
        tools = settings.tools
        self.box = ToolBox(
            _sources(settings, environ=environ, paths=paths, clock=clock),
            gate,
            report=report,
            timeout_s=_longest_call_s(settings),
            max_output_chars=tools.max_output_chars,
            offered=lambda tool: _is_offered(tool, tools),
            monotonic=clock.monotonic,
        )
        self.loop = ToolLoop(
            gateway=gateway,
            toolbox=self.box,
            clock=clock,
            max_steps=tools.max_steps,
            max_context_tokens=tools.max_context_tokens,
        )

    def fits(self, settings: Settings) -> bool:
        """Return whether other settings would give the same tools."""
        return (settings.tools, settings.mcp) == (self.settings.tools, self.settings.mcp)

    async def close(self) -> None:
        """End servers and children."""
        await self.box.close()


def database_url(name: str, database: DatabaseSettings, environ: Mapping[str, str]) -> str:
    """Return the URL of a database.

    Raises:
        ConfigError: it has neither a URL nor a variable that holds one, or both.
    """
    key = f"tools.databases.{name}"
    if (database.url is None) == (database.url_env is None):
        raise ConfigError(
            f"The database {name!r} needs one of url and url_env.",
            hint=f"Set {key}.url or {key}.url_env.",
            param=key,
        )
    if database.url is not None:
        return database.url
    url = environ.get(str(database.url_env))
    if not url:
        raise ConfigError(
            f"The variable {database.url_env} with the URL of database {name!r} is not set.",
            hint=f"Export it, or change {key}.url_env.",
            param=key,
        )
    return url


def _sources(
    settings: Settings, *, environ: Mapping[str, str], paths: DataPaths, clock: Clock
) -> dict[str, ToolSource]:
    sources: dict[str, ToolSource] = {BUILTIN: _builtin(settings.tools, environ, clock)}
    servers = mcp_servers(settings, environ=environ, paths=paths, monotonic=clock.monotonic)
    for name, server in servers.items():
        sources[name] = HelpedSource(server, place=_one_place(settings.mcp.servers[name]))
    return sources


def _one_place(server: McpServerSettings) -> str | None:
    """Return the only directory among a server's arguments."""
    places = {each for each in server.args if Path(each).is_absolute() and Path(each).is_dir()}
    return places.pop() if len(places) == 1 else None


def _builtin(settings: ToolSettings, environ: Mapping[str, str], clock: Clock) -> BuiltinSource:
    from ymera.tools.builtin import calculator, current_time, fetch_page, query_database, read_file

    tools: dict[str, BuiltinTool] = {
        "calculator": calculator.make(),
        "current_time": current_time.make(clock.now),
    }
    if settings.read_root is not None:
        tools["read_file"] = read_file.make_read_file(
            settings.read_root, max_output_chars=settings.max_output_chars
        )
        tools["list_files"] = read_file.make_list_files(settings.read_root)
    if settings.databases:
        tools["query_database"] = query_database.make(
            {
                name: _opener(name, database, settings, environ)
                for name, database in settings.databases.items()
            },
            {name: database.description or "" for name, database in settings.databases.items()},
            timeout_s=float(settings.timeout_seconds),
            max_output_chars=settings.max_output_chars,
        )
    if settings.enable_fetch:
        tools["fetch_page"] = fetch_page.make(
            timeout_s=float(settings.timeout_seconds), max_output_chars=settings.max_output_chars
        )
    return BuiltinSource(tools)


def _opener(
    name: str, database: DatabaseSettings, settings: ToolSettings, environ: Mapping[str, str]
) -> Callable[[], ReadableDatabase]:
    opened: list[ReadableDatabase] = []

    def open_database() -> ReadableDatabase:
        if not opened:
            from ymera.storage.readonly_sql import ReadOnlySql
            from ymera.storage.sql_schema import DescribedSql

            sql = ReadOnlySql(
                database_url(name, database, environ),
                timeout_s=float(settings.timeout_seconds),
                max_chars=settings.max_output_chars,
            )
            opened.append(DescribedSql(sql))
        return opened[0]

    return open_database


def _longest_call_s(settings: Settings) -> float:
    of_servers = (server.timeout_seconds or 0 for server in settings.mcp.servers.values())
    return float(max([settings.tools.timeout_seconds, *of_servers]))


def _is_offered(tool: Tool, settings: ToolSettings) -> bool:
    """Whether models are shown a tool: those that the gate would refuse are not."""
    return tool.effect is ToolEffect.READ_ONLY or matches(tool.name, settings.allow)
