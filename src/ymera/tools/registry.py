"""All tools in one place: found by name, checked, bounded, noted; a call never raises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from fnmatch import fnmatchcase

import msgspec

from ymera.core.access import Principal
from ymera.core.errors import InvalidRequest, YmeraError
from ymera.core.ports import ToolGate, ToolSource
from ymera.core.tool import ContextItem, Tool, ToolResult, ToolUse
from ymera.tools.schemas import argument_problem, with_defaults

__all__ = ["BUILTIN", "CallReport", "Called", "ToolBox", "matches"]

BUILTIN = "builtin"
"""Name of the source of built-in tools."""

_GRACE_S = 0.5
_CANCEL_WITHIN_S = 1.0
_MAX_REASON_CHARS = 500


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """One call for record and audit: who, what and how it went; no values, no output."""

    use: ToolUse
    principal: Principal
    arguments: tuple[str, ...]


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gave, and the line the record keeps of it."""

    result: ToolResult
    use: ToolUse


class ToolBox:
    """Tools of several sources.

    Args:
        sources: by name: `builtin`, and MCP servers by their names in the configuration.
        gate: the last word before every call.
        report: told of every call, refused ones included; must not raise.
        timeout_s: seconds one call may take at most; a tool's own bound may be lower.
        max_output_chars: longest output handed on; a tool's own bound may be lower.
        offered: whether a tool is shown to models at all.
        monotonic: seconds that only grow.

    Attributes:
        problems: sources that could not be listed, and why; renewed by each `tools`.
    """

    def __init__(
        self,
        sources: Mapping[str, ToolSource],
        gate: ToolGate,
        *,
        report: Callable[[CallReport], None] = lambda _: None,
        timeout_s: float = 30.0,
        max_output_chars: int = 20_000,
        offered: Callable[[Tool], bool] = lambda _: True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = dict(sources)
        self._gate = gate
        self._report = report
        self._timeout_s = timeout_s
        self._max_output_chars = max_output_chars
        self._offered = offered
        self._monotonic = monotonic
        self._known: dict[str, tuple[Tool, ToolSource]] = {}
        self._unending: set[asyncio.Task[ToolResult]] = set()
        self.problems: dict[str, str] = {}

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of the sources, in their order."""
        return tuple(self._sources)

    async def tools(self, patterns: Sequence[str] = ("*",)) -> tuple[Tool, ...]:
        """Return the tools that fit a pattern, in the order of sources.

        Args:
            patterns: names, or with `*`: `git__*` is all of server `git`, `*` is all.

        A source that does not answer is left out and noted in `problems`.
        """
        asked = [name for name in self._sources if _may_hold(name, patterns)]
        listings = await asyncio.gather(*(self._list(name) for name in asked))
        found: dict[str, Tool] = {}
        for name, listing in zip(asked, listings, strict=True):
            for tool in listing:
                if tool.name not in found and matches(tool.name, patterns):
                    found[tool.name] = tool
                    self._known[tool.name] = tool, self._sources[name]
        return tuple(tool for tool in found.values() if self._offered(tool))

    async def find(self, name: str) -> Tool | None:
        """Return a tool by name; None when no source has it."""
        if name not in self._known:
            await self.tools((name,))
        known = self._known.get(name)
        return known[0] if known else None

    async def call(
        self, name: str, arguments: Mapping[str, object], principal: Principal
    ) -> Called:
        """Call a tool: checked against its schema, past the gate, within time and size.

        Whatever goes wrong is a result with `is_error`; only a cancellation of the caller raises.
        """
        started_s = self._monotonic()
        tool = await self.find(name)
        approved_by: str | None = None
        if tool is None:
            result, source = _failed("unknown_tool", f"There is no tool {name!r}."), "unknown"
            filled = dict(arguments)
        else:
            source = tool.source
            filled = with_defaults(tool, arguments)
            refusal, approved_by = self._admit(tool, filled, principal)
            result = refusal or await self._run(tool, filled)
        output_chars = len(result.text) + result.cut_chars
        use = ToolUse(
            name=name[:128],
            source=source,
            ok=not result.is_error,
            error_code=result.error_code if result.is_error else None,
            latency_s=self._monotonic() - started_s,
            output_chars=output_chars,
            approved_by=approved_by,
        )
        self._report(CallReport(use=use, principal=principal, arguments=tuple(sorted(filled))))
        return Called(result=result, use=use)

    async def context(self, query: str, sources: Sequence[str] = ()) -> list[ContextItem]:
        """Return texts of the named sources that bear on `query`; a dead source gives none."""
        asked = [name for name in sources if name in self._sources]
        texts = await asyncio.gather(*(self._context(name, query) for name in asked))
        return [item for of_source in texts for item in of_source]

    async def close(self) -> None:
        """End every source, each whatever happens to the others."""
        for task in self._unending:
            task.cancel()
        async with AsyncExitStack() as parts:
            for source in self._sources.values():
                parts.push_async_callback(source.close)

    async def _list(self, name: str) -> Sequence[Tool]:
        self.problems.pop(name, None)
        try:
            return await self._sources[name].tools()
        except YmeraError as error:
            self.problems[name] = error.message
        except Exception as error:  # noqa: BLE001 - one broken source must not take the rest along
            self.problems[name] = f"{type(error).__name__}: {error}"[:_MAX_REASON_CHARS]
        return ()

    async def _context(self, name: str, query: str) -> Sequence[ContextItem]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._sources[name].context(query)
        except YmeraError as error:
            self.problems[name] = error.message
        except Exception as error:  # noqa: BLE001 - as above; a question can do without
            self.problems[name] = f"{type(error).__name__}: {error}"[:_MAX_REASON_CHARS]
        return ()

    def _admit(
        self, tool: Tool, arguments: Mapping[str, object], principal: Principal
    ) -> tuple[ToolResult | None, str | None]:
        """Return a refusal, or what lets the call run."""
        problem = argument_problem(tool, arguments)
        if problem is not None:
            return _failed("invalid_arguments", problem), None
        try:
            return None, self._gate.check(tool, arguments, principal)
        except InvalidRequest as error:
            return _failed("invalid_arguments", error.message), None
        except YmeraError as error:
            return _failed("denied", f"{error.message} {error.hint or ''}".strip()), None

    async def _run(self, tool: Tool, arguments: Mapping[str, object]) -> ToolResult:
        _, source = self._known[tool.name]
        allowed_s = min(tool.timeout_s, self._timeout_s)
        # A source has a clock of its own; ours, a moment later, is for one that does not keep it.
        result = await self._bounded(source.call(tool.name, arguments), allowed_s + _GRACE_S)
        if result is None:
            return _failed("timeout", f"{tool.name} gave no answer within {allowed_s:g} s.")
        return _cut(result, min(tool.max_output_chars, self._max_output_chars))

    async def _bounded(self, call: Awaitable[ToolResult], seconds: float) -> ToolResult | None:
        """Return the result, or None when it did not come in time.

        A tool that does not even end when cancelled is left behind: nobody waits for it.
        """
        task = asyncio.ensure_future(call)
        self._unending.add(task)
        task.add_done_callback(self._ended)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_WITHIN_S)
            return None
        if task.cancelled():
            return _failed("unavailable", "The call was given up by its source.")
        error = task.exception()
        if error is not None:
            return _failed("tool_error", f"{type(error).__name__}: {error}"[:_MAX_REASON_CHARS])
        return task.result()

    def _ended(self, task: asyncio.Task[ToolResult]) -> None:
        self._unending.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that the loop does not complain of it


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a tool's name fits one of the patterns (`*` stands for any characters)."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _may_hold(source: str, patterns: Sequence[str]) -> bool:
    """Whether a source could have a tool that fits, so that others need not be started."""
    for pattern in patterns:
        server, separator, _ = pattern.partition("__")
        if "*" in server or (fnmatchcase(source, server) if separator else source == BUILTIN):
            return True
    return False


def _failed(code: str, text: str) -> ToolResult:
    return ToolResult(text=text, is_error=True, error_code=code)


def _cut(result: ToolResult, limit: int) -> ToolResult:
    structured = result.structured
    if structured is not None and len(bytes(structured)) > limit:
        structured = None
    over = max(0, len(result.text) - limit)
    return msgspec.structs.replace(
        result,
        text=result.text[:limit],
        cut_chars=result.cut_chars + over,
        structured=structured,
    )
