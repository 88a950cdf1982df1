"""One MCP server as a source of tools and context: started when used, restarted when it dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ymera.core.errors import MachineError
from ymera.core.tool import ContextItem, Tool, ToolResult
from ymera.tools import mcp_pids
from ymera.tools.mcp_context import ResourceReader, bearing_on
from ymera.tools.mcp_ending import ConnectionLost
from ymera.tools.mcp_listing import McpPrompt, McpResource, list_prompts, list_resources, list_tools
from ymera.tools.mcp_results import content_text, cut, failed, resource_text, tool_result
from ymera.tools.mcp_spec import McpServerSpec
from ymera.tools.mcp_supervisor import McpConnection
from ymera.tools.mcp_tools import ExposedTool, clean_text, expose

if TYPE_CHECKING:
    from mcp import Client

__all__ = ["McpServer"]

T = TypeVar("T")

_LIST_AGAIN_AFTER_S = 300.0
_STEADY_AFTER_S = 60.0
"""A server that lived this long is not in a crash loop."""
_LONGEST_WAIT_S = 60.0
_MAX_INSTRUCTIONS_CHARS = 2000
_SHOWN_CHARS = 500

_log = logging.getLogger(__name__)


class McpServer:
    """A `ToolSource` over one server. Works from any event loop, one after another.

    Nothing is started before it is first used. What a server says of itself (descriptions,
    instructions, hints) is text from a stranger: bounded, and never a reason to allow more.

    Args:
        spec: the server and its bounds.
        environ: where the variables it names are looked up.
        state_dir: directory for process ids and scratch homes; made when needed.
        monotonic: seconds that only grow.

    Attributes:
        spec: as given.
        last_failure: why it last ended or could not be reached, for the user; None before.
    """

    def __init__(
        self,
        spec: McpServerSpec,
        *,
        environ: Mapping[str, str],
        state_dir: Path,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.last_failure: str | None = None
        self._environ = environ
        self._state_dir = state_dir
        self._monotonic = monotonic
        self._connection: McpConnection | None = None
        self._ending: set[McpConnection] = set()
        self._crashes = 0
        self._wait_until_s = 0.0
        self._legacy = False
        self._exposed: dict[str, ExposedTool] | None = None
        self._listed_s = 0.0
        self._told: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Name of the server."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Process id of the running child; None when none runs, and for HTTP."""
        return self._connection.pid if self._connection is not None else None

    @property
    def junk_lines(self) -> int:
        """Lines of the running child's output that were no messages."""
        return self._connection.junk_lines if self._connection is not None else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What of its tools was handled differently than asked; for the user."""
        return tuple(one.note for one in (self._exposed or {}).values() if one.note)

    async def tools(self) -> Sequence[Tool]:
        """Return its tools in the order of their names, starting it if need be.

        Raises:
            MachineError: it cannot be reached.
        """
        try:
            return [one.tool for one in (await self._listing()).values()]
        except (ConnectionLost, TimeoutError) as error:
            raise self._unreachable(error) from error
        except MachineError:
            raise
        except Exception as error:
            raise self._unreachable(error) from error

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolResult:
        """Call one of its tools by the name models see.

        Whatever goes wrong is a result. After a timeout the call may still have had its effect.
        """
        try:
            exposed = (await self._listing()).get(name)
            if exposed is None:
                return failed("unknown_tool", f"The server {self.name!r} has no tool {name!r}.")
            own_name = exposed.own_name
            answer = await self._request(lambda client: client.call_tool(own_name, dict(arguments)))
            return tool_result(answer, self.spec.max_output_chars)
        except (ConnectionLost, MachineError) as error:
            if isinstance(error, MachineError):
                self.last_failure = str(error)
            # The reason is the user's: a model's host need not read what a program of theirs said.
            return failed("unavailable", f"The server {self.name!r} ended or cannot be reached.")
        except TimeoutError:
            limit = f"{self.spec.call_timeout_s:g} seconds"
            return failed("timeout", f"The tool {name!r} did not answer within {limit}.")
        except Exception as error:  # noqa: BLE001 - a failing tool is a result, also an odd one
            return self._refused(error)

    async def context(self, query: str) -> Sequence[ContextItem]:
        """Return its resources that bear on `query`, the best first; cut to what fits.

        A server that is down or odd has none; that is logged.
        """
        try:
            async with asyncio.timeout(self.spec.start_timeout_s + self.spec.call_timeout_s):
                offered = await self.resources()
                reader: ResourceReader = self.read_resource
                return await bearing_on(query, offered, reader, source=f"mcp:{self.name}")
        except (MachineError, TimeoutError) as error:
            _log.warning("no context from MCP server %s: %s", self.name, error)
            return ()

    async def resources(self) -> Sequence[McpResource]:
        """Return what it offers to read; empty when it offers none.

        Raises:
            MachineError: it cannot be reached, or answers outside the protocol.
        """
        return await self._asked(list_resources)

    async def read_resource(self, uri: str) -> str:
        """Return a resource's text, cut to `max_output_chars`; of other content a description.

        Raises:
            MachineError: it cannot be reached or does not have it.
        """
        answer = await self._asked(lambda client: client.read_resource(uri))
        text = "\n".join(resource_text(part) for part in answer.contents)
        return cut(text, self.spec.max_output_chars)[0]

    async def prompts(self) -> Sequence[McpPrompt]:
        """Return the prompts it offers; empty when it offers none.

        Raises:
            MachineError: it cannot be reached, or answers outside the protocol.
        """
        return await self._asked(list_prompts)

    async def prompt(self, name: str, arguments: Mapping[str, str]) -> str:
        """Return a prompt filled in: its messages as text, one after another.

        Raises:
            MachineError: it cannot be reached or refuses.
        """
        answer = await self._asked(lambda client: client.get_prompt(name, dict(arguments)))
        text = "\n\n".join(content_text([message.content]) for message in answer.messages)
        return cut(text, self.spec.max_output_chars)[0]

    async def instructions(self) -> str:
        """Return what it says of its own use: a stranger's words on one line, bounded.

        Raises:
            MachineError: it cannot be reached.
        """
        client = await (await self._connected()).client()
        return clean_text(client.instructions, _MAX_INSTRUCTIONS_CHARS)

    async def close(self) -> None:
        """End its child or connection; may be used again after."""
        ending = {*self._ending, *([self._connection] if self._connection else [])}
        self._connection = None
        loop = asyncio.get_running_loop()
        for connection in [one for one in ending if one.loop is not loop]:
            connection.abandon()
        here = [one.stop() for one in ending if one.loop is loop]
        await asyncio.gather(*here)

    async def _listing(self) -> dict[str, ExposedTool]:
        fresh = self._monotonic() - self._listed_s < _LIST_AGAIN_AFTER_S
        if self._exposed is None or not fresh:
            offered = await self._request(list_tools)
            self._exposed = {one.tool.name: one for one in expose(self.spec, offered)}
            self._listed_s = self._monotonic()
            for note in frozenset(self.notes) - self._told:
                _log.warning("MCP server %s: %s", self.name, note)
            self._told |= frozenset(self.notes)
        return self._exposed

    async def _asked(self, send: Callable[[Client], Awaitable[T]]) -> T:
        try:
            return await self._request(send)
        except MachineError:
            raise
        except Exception as error:
            raise self._unreachable(error) from error

    async def _request(self, send: Callable[[Client], Awaitable[T]]) -> T:
        connection = await self._connected()
        return await connection.request(send, self.spec.call_timeout_s)

    async def _connected(self) -> McpConnection:
        loop = asyncio.get_running_loop()
        current = self._connection
        if current is not None and current.loop is not loop:
            current.abandon()
            current = None
        if current is not None and current.usable:
            return current
        if current is not None:
            self._ending.add(current)
        wait_s = self._wait_until_s - self._monotonic()
        if wait_s > 0:
            raise MachineError(
                f"The MCP server {self.name!r} ended {self._crashes} times in a row; it is started "
                f"again in {wait_s:.0f} seconds at the earliest.",
                hint=f"`ymera mcp tools {self.name}` shows why.",
            )
        mcp_pids.reap(self._state_dir)
        self._connection = McpConnection(
            self.spec,
            self._environ,
            self._state_dir,
            started_s=self._monotonic(),
            legacy=self._legacy,
            on_over=self._over,
            on_tools_changed=self._forget_tools,
        )
        return self._connection

    def _over(self, connection: McpConnection, by_itself: bool) -> None:
        self._ending.discard(connection)
        self._legacy = connection.speaks_legacy
        if connection is self._connection:
            self._connection = None
        if not by_itself:
            return
        self.last_failure = connection.why
        _log.warning("MCP server %s ended: %s", self.name, connection.why)
        self._forget_tools()  # the next one may be another version
        if connection.served and self._monotonic() - connection.started_s >= _STEADY_AFTER_S:
            self._crashes = 0
        self._crashes += 1
        pause_s = min(2.0 ** (self._crashes - 2), _LONGEST_WAIT_S) if self._crashes > 1 else 0.0
        if pause_s and connection.start_ran_out:
            pause_s = _LONGEST_WAIT_S  # else each caller waits out another start in vain
        self._wait_until_s = self._monotonic() + pause_s

    def _forget_tools(self) -> None:
        self._exposed = None

    def _unreachable(self, error: Exception) -> MachineError:
        if isinstance(error, ConnectionLost):
            words = self.last_failure or "it ended"
        elif isinstance(error, TimeoutError):
            words = f"no answer within {self.spec.call_timeout_s:g} seconds"
        else:
            words = clean_text(str(error), _SHOWN_CHARS).rstrip(".")
        return MachineError(
            f"The MCP server {self.name!r} cannot be used: {words}.",
            hint="Ask again: it is started anew if it ended.",
        )

    def _refused(self, error: Exception) -> ToolResult:
        """Return the result for an answer that is an error of the protocol, or none at all."""
        from mcp import MCPError
        from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND

        if not isinstance(error, MCPError):
            kind = type(error).__name__
            return failed("tool_error", f"The server answered outside the protocol ({kind}).")
        codes = {INVALID_PARAMS: "invalid_arguments", METHOD_NOT_FOUND: "unknown_tool"}
        text = cut(error.message, min(_SHOWN_CHARS, self.spec.max_output_chars))[0]
        return failed(codes.get(error.code, "tool_error"), text)
