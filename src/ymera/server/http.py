"""The messages of ASGI, for the pages, and the body of a request for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import msgspec

from ymera.core.errors import InvalidRequest
from ymera.server.exchange import Header, too_long

__all__ = [
    "ClientGone",
    "Header",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "decoded_body",
    "read_body",
]

_T = TypeVar("_T")

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


async def decoded_body(
    scope: Scope,
    receive: Receive,
    kind: type[_T],
    limit_bytes: int,
    *,
    hint: str | None = None,
    may_be_empty: bool = False,
) -> _T:
    """Return a request's body as the struct `kind`.

    Args:
        scope: of the request.
        receive: gives its body.
        kind: its shape.
        limit_bytes: the largest body accepted.
        hint: said of a body that does not fit.
        may_be_empty: whether no body counts as an empty object.

    Raises:
        InvalidRequest: it is no JSON object of that shape, or the client went away first.
        TooLong: as `read_body`.
    """
    try:
        body = await read_body(scope, receive, limit_bytes)
        return msgspec.json.decode(b"{}" if may_be_empty and not body else body, type=kind)
    except ClientGone:
        raise InvalidRequest("The client went away before its request was complete.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = f"The body is not what {scope['path']} takes: {error}."
        raise InvalidRequest(what, hint=hint) from error
