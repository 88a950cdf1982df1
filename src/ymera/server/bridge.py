"""Pages on our own server: an ASGI app answers an `Exchange`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ymera.server.exchange import Exchange, header_lines
from ymera.server.http1_answer import BODILESS, HttpExchange
from ymera.server.http1_request import split_target

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ymera.server.http import Message, Scope

__all__ = ["serve_page"]

_LENGTH = b"content-length"


async def serve_page(app: ASGIApp, exchange: Exchange) -> None:
    """Have an ASGI app answer a request that came over HTTP/1.1.

    A caller who leaves cancels it; pieces are sent no faster than they are taken.
    """
    if not isinstance(exchange, HttpExchange):
        raise TypeError("only requests of our own server are bridged")
    page = _Page(exchange)
    await app(_scope(exchange), page.receive, page.send)


class _Page:
    """Both directions of one request, in the messages of ASGI 3."""

    def __init__(self, exchange: HttpExchange) -> None:
        self._exchange = exchange
        self._asked = False

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._exchange.body, "more_body": False}
        if not self._exchange.ended:
            await asyncio.get_running_loop().create_future()  # leaving cancels the whole task
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        exchange = self._exchange
        if message["type"] == "http.response.start":
            self._start(message["status"], list(message.get("headers", ())))
        elif message["type"] == "http.response.body":
            body = bytes(message.get("body", b""))
            if not message.get("more_body", False):
                exchange.end(body)
                return
            exchange.write(body)
            if exchange.congested:
                await exchange.drained()

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        lines = header_lines(headers)
        if status in BODILESS or any(name.lower() == _LENGTH for name, _ in headers):
            self._exchange.start_sized(status, lines)
        else:
            self._exchange.start_stream(status, lines)
            self._exchange.flush()  # the first piece may be long in coming


def _scope(exchange: HttpExchange) -> Scope:
    path, query = split_target(exchange.target)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.0" if exchange.old else "1.1",
        "method": exchange.method,
        "scheme": "http",
        "path": exchange.path,
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": exchange.headers,
        "client": exchange.address("peername"),
        "server": exchange.address("sockname"),
    }
