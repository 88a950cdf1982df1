"""Reading a request body and writing an answer over ASGI, without a framework."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ymera.core.errors import TooLong, YmeraError
from ymera.wire import openai_chat

__all__ = [
    "REQUEST_ID",
    "ClientGone",
    "Handler",
    "Header",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "read_body",
    "respond",
    "respond_error",
]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]
REQUEST_ID = "ymera.request_id"
"""Key of the scope under which a handler leaves the request's id for whoever answers errors."""


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
        raise _too_long(limit_bytes)
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit_bytes:
            raise _too_long(limit_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_long(limit_bytes: int) -> TooLong:
    return TooLong(
        f"The request body is over {limit_bytes:,} bytes.",
        hint="Send less, or raise server.max_body_bytes.",
    )


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Iterable[Header] = (),
    *,
    content_type: bytes = b"application/json",
) -> None:
    """Send a whole answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def respond_error(
    send: Send,
    error: YmeraError,
    encode: Callable[[YmeraError], bytes] = openai_chat.encode_error,
) -> None:
    """Send an error in a dialect, with its status, request id and waiting time."""
    headers: list[Header] = []
    if error.request_id:
        headers.append((b"x-request-id", error.request_id.encode()))
    wait_s: float | None = getattr(error, "retry_after_s", None)
    if wait_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(wait_s))))
    await respond(send, error.http_status, encode(error), headers)
