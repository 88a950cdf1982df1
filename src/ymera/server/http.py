"""The messages of ASGI, for the pages, and the whole body of a request for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ymera.server.exchange import Header, too_long

__all__ = ["ClientGone", "Header", "Message", "Receive", "Scope", "Send", "read_body"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Return the whole request body.

    Raises:
        TooLong: the body is, or says it is, over `limit_bytes`; no more than that is held.
        ClientGone: the client went away first.
    """
    declared = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
    pieces: list[bytes] = []
    size = int(declared) if declared.isdigit() else 0
    if size > limit_bytes:
        raise too_long(limit_bytes)
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit_bytes:
            raise too_long(limit_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
