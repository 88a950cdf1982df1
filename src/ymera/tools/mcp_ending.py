"""How a server's life ended, in words for the user: bounded, and without secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ymera.core.errors import MachineError, YmeraError
from ymera.core.redaction import redact
from ymera.tools.mcp_process import McpChild
from ymera.tools.mcp_spec import McpServerSpec

__all__ = ["ConnectionLost", "is_loss", "reason", "start_failure"]

_SHOWN_CHARS = 300
_CLOSED_WORDS = ("Connection closed", "SSE stream ")
_SESSION_GONE = frozenset({"Session terminated", "Session not found"})
"""What is said when an HTTP server was restarted and no longer knows us."""


class ConnectionLost(Exception):
    """The server ended, or cannot be reached any more."""


def start_failure(
    spec: McpServerSpec,
    environ: Mapping[str, str],
    child: McpChild | None,
    error: BaseException | None,
) -> MachineError:
    """Return the error of a server that does not start; `error` is what its start ended with."""
    if isinstance(error, MachineError):
        return error
    if isinstance(error, TimeoutError):
        words = child.said() if child else ""
        return MachineError(
            f"The MCP server {spec.name!r} did not answer within {spec.start_timeout_s:g} seconds "
            f"of its start{': ' + words if words else ''}.",
            hint="Try its command by hand, or raise mcp.start_timeout_seconds.",
        )
    return MachineError(
        f"The MCP server {spec.name!r} did not start: {reason(spec, environ, child, error)}.",
        hint=_hint(spec, environ),
    )


def reason(
    spec: McpServerSpec,
    environ: Mapping[str, str],
    child: McpChild | None,
    error: BaseException | None,
) -> str:
    """Return what is known of an end; `error` is what the SDK raised, if it did."""
    if child is not None and (words := child.last_words()):
        return words
    first = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if first is None or isinstance(first, asyncio.CancelledError | ConnectionLost):
        return "the connection ended"
    kind = "" if isinstance(first, YmeraError) else f"{type(first).__name__}: "  # ours say it
    said = " ".join(f"{kind}{first}".split()).rstrip(".")
    if token := environ.get(spec.bearer_env or ""):
        said = said.replace(token, "***")
    return redact(said)[:_SHOWN_CHARS]


def is_loss(error: BaseException | None) -> bool:
    """Whether the SDK says that the connection ended; a server may send the same code itself."""
    if error is None:
        return False
    import anyio
    import httpx2
    from mcp import MCPError
    from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST

    broken = (anyio.ClosedResourceError, anyio.BrokenResourceError, httpx2.TransportError)
    if not isinstance(error, MCPError):
        return isinstance(error, broken)
    closed = error.code == CONNECTION_CLOSED and error.message.startswith(_CLOSED_WORDS)
    return closed or (error.code == INVALID_REQUEST and error.message in _SESSION_GONE)


def _hint(spec: McpServerSpec, environ: Mapping[str, str]) -> str:
    unset = [name for name in spec.env if name not in environ]
    if unset:
        return f"Not set, though named in its env: {', '.join(unset)}."
    if spec.command is None:
        return f"Is it running? Check mcp.servers.{spec.name}.url."
    return f"Try its command by hand, or correct mcp.servers.{spec.name}."
