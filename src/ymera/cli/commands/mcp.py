"""`ymera mcp`: servers whose tools and resources models may use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table, note
from ymera.core.errors import ConfigError, InvalidRequest, MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import TypeVar

    from ymera.config.load import Loaded
    from ymera.core.tool import Tool, ToolResult
    from ymera.tools.mcp_client import McpServer

    T = TypeVar("T")

__all__ = ["command"]

_MAX_IMPORT_BYTES = 1_048_576
_DESCRIPTION_SHOWN = 60


@click.group(name="mcp", cls=DefaultGroup, default="list")
def command() -> None:
    """List, add, remove and try MCP servers; `list` by default."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_servers(as_json: bool) -> None:
    """List the servers of the configuration; starts none."""
    from ymera.config.load import load_settings

    loaded = load_settings()
    servers = loaded.settings.mcp.servers
    if as_json:
        dumped = loaded.settings.mcp.model_dump(mode="json")["servers"]
        echo_json([{"name": name, **dumped[name]} for name in servers])
        return
    rows = []
    for name, server in servers.items():
        target = server.url or " ".join([server.command or "", *server.args])
        unset = [variable for variable in server.env if variable not in os.environ]
        state = "disabled" if not server.enabled else f"unset: {', '.join(unset)}" if unset else "-"
        rows.append((name, "http" if server.url else "stdio", state, target))
    echo_table(("SERVER", "OVER", "STATE", "TARGET"), rows)
    if not rows:
        note("No MCP server yet; `ymera mcp add NAME -- COMMAND` adds one.")


@command.command(name="add")
@click.argument("name")
@click.argument("target", metavar="[-- COMMAND [ARGS]...]", nargs=-1)
@click.option("--url", metavar="URL", help="Address of a streamable HTTP server instead.")
@click.option("--env", metavar="VARIABLE", multiple=True, help="Name of a variable to hand on.")
@click.option("--bearer-env", metavar="VARIABLE", help="Name of the variable with its token.")
@click.option("--read-only", metavar="TOOL", multiple=True, help="A tool that changes nothing.")
@click.option("--cwd", metavar="DIR", help="Its working directory.")
def add(
    name: str,
    target: tuple[str, ...],
    url: str | None,
    env: tuple[str, ...],
    bearer_env: str | None,
    read_only: tuple[str, ...],
    cwd: str | None,
) -> None:
    """Add server NAME to your configuration file.

    ymera mcp add files -- mcp-server-filesystem ~/notes
    """
    from ymera.app.mcp_file import ServerFile, checked_name
    from ymera.config.load import load_settings

    if bool(target) == (url is not None):
        raise click.UsageError("Give either a command after -- or --url.")
    given: dict[str, str | Sequence[str] | None] = {
        "command": _anchored(target[0]) if target else None,
        "args": target[1:],
        "url": url,
        "env": env,
        "bearer_env": bearer_env,
        "read_only": read_only,
        "cwd": str(Path(cwd).expanduser().absolute()) if cwd else None,
    }
    file = ServerFile.of_user(load_settings())
    file.add(checked_name(name), {key: value for key, value in given.items() if value})
    note(f"Added to {file.path}; `ymera mcp tools {name}` tries it.")
    _note_unset(env)


@command.command(name="remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove server NAME from your configuration file."""
    from ymera.app.mcp_file import ServerFile
    from ymera.config.load import load_settings

    loaded = load_settings()
    file = ServerFile.of_user(loaded)
    where = _source_of(loaded, name)
    if where is not None and str(file.path) not in where:
        raise ConfigError(f"{name!r} is set in {where}.", hint="Remove it there.")
    file.remove(name)
    note(f"Removed from {file.path}.")


@command.command(name="import")
@click.argument("source", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_servers(source: str, as_json: bool) -> None:
    """Take over the servers of another program's mcpServers FILE (- is stdin).

    Values of variables and headers are not taken over, only their names.
    """
    from ymera.app.mcp_file import ServerFile
    from ymera.config.load import load_settings
    from ymera.tools.mcp_import import LeftOut, imported_servers

    servers, left = imported_servers(_read_source(source))
    file = ServerFile.of_user(load_settings())
    added = []
    for server in servers:
        try:
            file.add(server.name, server.table)
            added.append(server)
        except ConfigError as error:
            left.append(LeftOut(server.name, error.message))
    if as_json:
        echo_json({"file": str(file.path), "added": added, "left_out": left})
    else:
        for server in added:
            note("; ".join([f"Added {server.name}", *server.notes]))
        for one in left:
            note(f"Left out {one.name}: {one.reason}")
    if left and not added:
        raise ConfigError("No server was taken over.", hint="Add them one by one: ymera mcp add")


@command.command(name="tools")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def tools(name: str | None, as_json: bool) -> None:
    """Start server NAME, or all, and list their tools."""
    servers = _servers(name)

    async def ask() -> list[Sequence[Tool] | BaseException]:
        import asyncio

        starts = (server.tools() for server in servers)  # side by side: each takes a second
        return await asyncio.gather(*starts, return_exceptions=True)

    answers = _run(ask, servers)
    found = [tool for answer in answers if not isinstance(answer, BaseException) for tool in answer]
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    if as_json:
        if found or not failures:  # an error alone leaves stdout empty
            echo_json(found)
    else:
        rows = [(t.name, t.effect.value, t.description[:_DESCRIPTION_SHOWN]) for t in found]
        echo_table(("TOOL", "EFFECT", "DESCRIPTION"), rows)
    for server in servers:
        for said in server.notes:
            note(f"{server.name}: {said}")
    for failure in failures[1:]:
        note(str(failure))
    if failures:
        raise failures[0]


@command.command(name="call")
@click.argument("tool", metavar="SERVER__TOOL")
@click.option("-p", "--param", "params", metavar="KEY=VALUE", multiple=True, help="An argument.")
@click.option("--arguments", metavar="JSON", help="All arguments as one JSON object.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def call(tool: str, params: tuple[str, ...], arguments: str | None, as_json: bool) -> None:
    """Call a tool yourself; whoever types this has approved it.

    ymera mcp call time__get_current_time -p timezone=UTC
    """
    server_name, separator, _ = tool.partition("__")
    if not separator:
        raise click.UsageError("Name a tool as SERVER__TOOL; `ymera mcp tools` lists them.")
    servers = _servers(server_name)
    server = servers[0]

    async def ask() -> ToolResult:
        offered = {one.name: one for one in await server.tools()}
        if tool not in offered:
            raise InvalidRequest(
                f"{server_name!r} has no tool {tool!r}.",
                hint=f"It has: {', '.join(offered) or 'none'}.",
            )
        return await server.call(tool, _arguments(offered[tool], params, arguments))

    result = _run(ask, servers)
    if as_json:
        echo_json(result)
    elif not result.is_error:
        click.echo(result.text)
    if result.is_error:
        why = f" {server.last_failure}" if result.error_code == "unavailable" else ""
        raise MachineError(
            f"{tool}: {result.text}{why}", hint="`ymera mcp tools` tries the server."
        )


def _arguments(tool: Tool, params: Sequence[str], arguments: str | None) -> dict[str, object]:
    """Return the arguments of a call; `-p` values are texts where the tool wants a text."""
    try:
        given: object = json.loads(arguments) if arguments else {}
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise InvalidRequest("--arguments is no JSON object.", hint="""Such as '{"a": 1}'.""")
    schema: Mapping[str, object] = json.loads(bytes(tool.parameters))
    properties = schema.get("properties")
    for param in params:
        key, separator, text = param.partition("=")
        if not separator:
            raise InvalidRequest(f"{param!r} is no KEY=VALUE.", hint="Such as -p timezone=UTC.")
        wanted = properties.get(key) if isinstance(properties, dict) else None
        given[key] = text if _wants_text(wanted) else _parsed(text)
    return given


def _wants_text(schema: object) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "string"


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _servers(name: str | None) -> list[McpServer]:
    from ymera.app.mcp_servers import mcp_servers
    from ymera.config.load import load_settings
    from ymera.config.paths import ensure_writable, locate_data_dir

    settings = load_settings().settings
    paths = locate_data_dir(settings.data_dir)
    ensure_writable(paths.root)
    servers = mcp_servers(settings, environ=os.environ, paths=paths)
    if name is None:
        return list(servers.values())
    if name not in servers:
        known = settings.mcp.servers
        raise ConfigError(
            f"The MCP server {name!r} is {'disabled' if name in known else 'not configured'}.",
            hint=f"There are: {', '.join(servers) or 'none'}. `ymera mcp add` adds one.",
        )
    return [servers[name]]


def _run(ask: Callable[[], Coroutine[None, None, T]], servers: Sequence[McpServer]) -> T:
    import asyncio

    async def run() -> T:
        try:
            return await ask()
        finally:
            for server in servers:
                await server.close()

    return asyncio.run(run())


def _read_source(source: str) -> str:
    try:
        if source == "-":
            data = sys.stdin.buffer.read(_MAX_IMPORT_BYTES + 1) if sys.stdin is not None else b""
        else:
            with Path(source).expanduser().open("rb") as file:
                data = file.read(_MAX_IMPORT_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise ConfigError(
            f"{source[:200]!a} cannot be read: {reason}.", hint="Name a file of mcpServers."
        ) from error
    if len(data) > _MAX_IMPORT_BYTES:
        raise ConfigError("The file is larger than 1 MiB.", hint="Is this the right file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("The file is not UTF-8.", hint="Save it as UTF-8.") from None


def _source_of(loaded: Loaded, name: str) -> str | None:
    prefix = f"mcp.servers.{name}."
    for key, source in loaded.sources.items():
        if key.startswith(prefix) and source.place:
            return str(source)
    return None


def _anchored(command_name: str) -> str:
    """Return a command with a path in full: it is started from elsewhere."""
    return str(Path(command_name).absolute()) if "/" in command_name else command_name


def _note_unset(names: Sequence[str]) -> None:
    unset = [name for name in names if name not in os.environ]
    if unset:
        note(f"Not set in this environment: {', '.join(unset)}.")
