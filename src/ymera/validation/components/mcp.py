"""mcp: a server of ours is started, listed, called and read, and leaves no child behind."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from ymera.app.mcp_servers import mcp_servers
from ymera.core.tool import Tool, Trust
from ymera.engine.orchestrator import AIRequest
from ymera.tools.mcp_pids import started_at
from ymera.tools.mcp_probe import RESOURCE_URI, TOOL
from ymera.validation.hosted import HOST, HostedDouble, hosted_only
from ymera.validation.report import Check, CheckState, Unchecked, Unmet, check

if TYPE_CHECKING:
    from ymera.tools.mcp_client import McpServer
    from ymera.validation.installation import Installation

__all__ = ["examine"]

_NAME = "probe"
_GONE_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.05


async def examine(installation: Installation) -> AsyncGenerator[Check, None]:
    """Make the checks."""
    word = f"[{os.urandom(6).hex()}]"
    flags: dict[str, object] = {
        f"mcp.servers.{_NAME}.command": sys.executable,
        f"mcp.servers.{_NAME}.args": ("-m", "ymera.tools.mcp_probe", word),
        f"mcp.servers.{_NAME}.read_only": (TOOL,),
    }
    async with installation.app(flags=flags) as app:
        servers = mcp_servers(app.settings, environ=installation.environ, paths=app.paths)
        probe = servers[_NAME]
        try:
            listed = await check("list", _list(probe))
            yield listed
            if listed.state is CheckState.FAILED:
                return  # the others would only say the same
            yield await check("call", _call(probe, word))
            yield await check("refusal", _refusal(probe))
            yield await check("context", _context(probe, word))
        finally:
            child = _child(probe)
            await probe.close()
        yield await check("no child left", _gone(*child))
    yield await check("context enhances answers", _enhances(installation, word, flags))
    if installation.loaded.settings.mcp.servers:
        yield await check("your servers", _own(installation))


async def _list(probe: McpServer) -> str:
    if importlib.util.find_spec("mcp") is None:
        raise Unmet("The package mcp is not installed.", hint="Reinstall ymera.")
    tools = await probe.tools()
    names = [tool.name for tool in tools]
    if names != [f"{_NAME}__{TOOL}"]:
        raise Unmet(f"The server offers {names} instead of one tool.")
    return f"started as a child of {sys.executable}, tool {names[0]}"


async def _call(probe: McpServer, word: str) -> str:
    result = await probe.call((await _tool(probe)).name, {"name": "Ymera"})
    if result.is_error or f"{word} Ymera" not in result.text:
        raise Unmet(f"The tool answered {result.text!r}.")
    return "the tool told the word that only the server knows"


async def _refusal(probe: McpServer) -> str:
    result = await probe.call((await _tool(probe)).name, {"nobody": 1})
    if not result.is_error:
        raise Unmet(f"Wrong arguments were answered with {result.text!r}.")
    unknown = await probe.call(f"{_NAME}__nothing", {})
    if unknown.error_code != "unknown_tool":
        raise Unmet(f"An unknown tool was answered with {unknown.error_code}.")
    return "wrong arguments and an unknown tool come back as results"


async def _context(probe: McpServer, word: str) -> str:
    items = await probe.context("What is the password of the day?")
    found = [item for item in items if word in item.text]
    if not found:
        raise Unmet(f"None of {len(items)} texts holds what the server's resource says.")
    if RESOURCE_URI not in found[0].source or found[0].trust is not Trust.RETRIEVED:
        raise Unmet(f"The text is labelled {found[0].source!r}, {found[0].trust}.")
    return f"{found[0].source} became a labelled text that gives no orders"


async def _enhances(installation: Installation, word: str, probe: dict[str, object]) -> str:
    """A scripted model, which repeats a word in brackets, gets to see the server's resource."""
    keys, flags = hosted_only()
    async with installation.app(
        flags={**flags, **probe}, keys=keys, providers={HOST: HostedDouble()}
    ) as app:
        question = AIRequest(prompt="What is the password of the day?", fresh=True, tools=())
        plain = await app.orchestrator.ask(question)
        aided = await app.orchestrator.ask(replace(question, tools=(f"{_NAME}__*",)))
    if word in plain.response or word not in aided.response:
        raise Unmet(f"Without MCP: {plain.response[:60]!r}; with it: {aided.response[:60]!r}.")
    return f"the answer has the word with MCP ({aided.context[0].source}) and has not without"


async def _tool(probe: McpServer) -> Tool:
    tools = await probe.tools()
    if not tools:
        raise Unmet("The server offers no tool.")
    return tools[0]


def _child(probe: McpServer) -> tuple[int | None, str | None]:
    """Return the process id of the running server and what tells it from a later process."""
    pid = probe.pid
    return pid, None if pid is None else started_at(pid)


async def _gone(pid: int | None, started: str | None) -> str:
    if pid is None or started is None:
        raise Unchecked("This system does not tell which process the server is.")
    deadline = monotonic() + _GONE_WITHIN_S
    while monotonic() < deadline:
        if started_at(pid) != started:
            return f"process {pid} is gone"
        await asyncio.sleep(_LOOK_EVERY_S)
    raise Unmet(f"Process {pid} of the server is still there.", hint=f"End it: kill {pid}")


async def _own(installation: Installation) -> str:
    names = ", ".join(installation.loaded.settings.mcp.servers)
    raise Unchecked(
        f"{names}: validation starts no program of yours.", hint="Try `ymera mcp tools`."
    )
