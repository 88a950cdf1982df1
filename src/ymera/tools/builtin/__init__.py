"""Tools of our own, one file each; each file makes a `BuiltinTool`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from ymera.core.tool import ContextItem, Tool, ToolResult

__all__ = ["BuiltinSource", "BuiltinTool", "ToolFailed", "text_argument"]

_MAX_REASON_CHARS = 500


class ToolFailed(Exception):
    """A built-in tool could not do what it was asked; the model gets to see the sentence."""


@dataclass(frozen=True, kw_only=True)
class BuiltinTool:
    """One built-in tool.

    Attributes:
        describe: returns what models are told; called for each listing, since arguments may
            depend on what is there (files, databases).
        run: the call; raises ToolFailed.
        context: texts that help with a question, such as a schema; None when there are none.
    """

    describe: Callable[[], Awaitable[Tool]]
    run: Callable[[Mapping[str, object]], Awaitable[str]]
    context: Callable[[str], Awaitable[Sequence[ContextItem]]] | None = None


class BuiltinSource:
    """The built-in tools as one `ToolSource`.

    Args:
        tools: by name.
    """

    def __init__(self, tools: Mapping[str, BuiltinTool]) -> None:
        self._tools = dict(tools)

    async def tools(self) -> Sequence[Tool]:
        """Return the tools in the order they were given."""
        return [await tool.describe() for tool in self._tools.values()]

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolResult:
        """Call a tool; see `ymera.core.ports.ToolSource.call`."""
        tool = self._tools.get(name)
        if tool is None:
            return _failed("unknown_tool", f"There is no built-in tool {name!r}.")
        try:
            described = await tool.describe()
            async with asyncio.timeout(described.timeout_s):
                text = await tool.run(arguments)
        except ToolFailed as error:
            return _failed("tool_error", str(error))
        except TimeoutError:
            return _failed("timeout", f"{name} took too long.")
        except Exception as error:  # noqa: BLE001 - a tool's bug is its result, not ours
            return _failed("tool_error", f"{type(error).__name__}: {error}"[:_MAX_REASON_CHARS])
        limit = described.max_output_chars
        return ToolResult(text=text[:limit], cut_chars=max(0, len(text) - limit))

    async def context(self, query: str) -> Sequence[ContextItem]:
        """Return what the tools offer for `query`."""
        offers = [tool.context(query) for tool in self._tools.values() if tool.context is not None]
        return [item for items in await asyncio.gather(*offers) for item in items]

    async def close(self) -> None:
        """Nothing is held."""


def text_argument(arguments: Mapping[str, object], name: str, default: str | None = None) -> str:
    """Return a string argument.

    Raises:
        ToolFailed: it is missing without a default, or no string.
    """
    value = arguments.get(name, default)
    if not isinstance(value, str):
        raise ToolFailed(f"The argument {name!r} has to be text.")
    return value


def _failed(code: str, text: str) -> ToolResult:
    return ToolResult(text=text, is_error=True, error_code=code)
