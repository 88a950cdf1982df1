"""A streamable HTTP server: its address, its bearer token, and nothing else of ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ymera.core.errors import MachineError
from ymera.tools.mcp_spec import MAX_MESSAGE_BYTES, McpServerSpec

if TYPE_CHECKING:
    from mcp.client import Transport

__all__ = ["http_transport"]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@asynccontextmanager
async def http_transport(
    spec: McpServerSpec, environ: Mapping[str, str]
) -> AsyncGenerator[Transport]:
    """Give the SDK's view of a server that is reached by its address.

    Raises:
        MachineError: its token is not set, or would travel in the clear.
    """
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    url = spec.url or ""
    host = urlsplit(url).hostname
    headers = _authorization(
        spec, environ, in_clear=url.startswith("http:") and host not in _LOOPBACK
    )
    timeout = httpx2.Timeout(spec.start_timeout_s, read=spec.call_timeout_s + spec.start_timeout_s)

    class Bounded(httpx2.AsyncByteStream):
        """A body that ends with an error where it becomes too long."""

        def __init__(self, body: httpx2.AsyncByteStream) -> None:
            self._body = body

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self._body:
                size += len(chunk)
                if size > MAX_MESSAGE_BYTES:
                    raise httpx2.ReadError(f"an answer of more than {MAX_MESSAGE_BYTES:,} bytes")
                yield chunk

        async def aclose(self) -> None:
            await self._body.aclose()

    async def bound(response: httpx2.Response) -> None:
        """A stream of events may be long, each of its events may not: the SDK sees to that."""
        events = response.headers.get("content-type", "").startswith("text/event-stream")
        if not events and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = Bounded(response.stream)

    async with httpx2.AsyncClient(
        headers=headers,
        timeout=timeout,
        event_hooks={"response": [bound]},
        trust_env=host not in _LOOPBACK,  # a proxy cannot reach this machine's own servers
    ) as client:
        yield streamable_http_client(url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES)


def _authorization(
    spec: McpServerSpec, environ: Mapping[str, str], *, in_clear: bool
) -> dict[str, str]:
    if spec.bearer_env is None:
        return {}
    token = environ.get(spec.bearer_env, "").strip()
    if not token:
        raise MachineError(
            f"The MCP server {spec.name!r} wants a token, and {spec.bearer_env} is not set.",
            hint=f"export {spec.bearer_env}=...",
        )
    if in_clear:
        raise MachineError(
            f"The token of the MCP server {spec.name!r} would be sent unencrypted.",
            hint="Use an https:// address, or drop bearer_env.",
        )
    if not token.isprintable() or not token.isascii():
        raise MachineError(
            f"{spec.bearer_env} holds what no HTTP header may.", hint="Export the bare token."
        )
    return {"Authorization": f"Bearer {token}"}
