"""The same site as an ASGI app: for tests, and for whoever runs Ymera under a server of theirs."""

from __future__ import annotations

import asyncio

from ymera.app import App
from ymera.server.exchange import JSON, Exchange, Handler, as_fields, header_lines
from ymera.server.http import ClientGone, Message, Receive, Scope, Send, read_body
from ymera.server.site import AppSite

__all__ = ["Server"]


class Server:
    """One ASGI app around one `App`; the App outlives it and is closed by its owner."""

    def __init__(self, app: App) -> None:
        self._site = AppSite(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":
            await self._site.pages(scope, receive, send)
            return
        exchange = _AsgiExchange(scope, send)
        handler = self._site.hot.get(exchange.path) if exchange.method == "POST" else None
        try:
            self._site.check(exchange.method, exchange.headers, exchange.fields)
            if handler is None:
                await self._site.pages(scope, receive, exchange.pass_on)
            else:
                await self._serve(handler, exchange, receive, scope)
        except ClientGone:
            return
        except Exception as error:  # outermost handler: every failure is answered in the dialect
            if exchange.started:  # too late to answer: whoever carries the bytes cuts it off
                await exchange.drained()
                raise
            self._site.fail(exchange, error)
        await exchange.drained()

    async def _serve(
        self, handler: Handler, exchange: _AsgiExchange, receive: Receive, scope: Scope
    ) -> None:
        exchange.body = await read_body(scope, receive, self._site.max_body_bytes())
        watcher = asyncio.ensure_future(_cancel_when_gone(receive, asyncio.current_task()))
        try:
            await handler(exchange)
        except asyncio.CancelledError:
            if not watcher.done():
                raise  # not the client: the server stops
        finally:
            watcher.cancel()


async def _cancel_when_gone(receive: Receive, serving: asyncio.Task[None] | None) -> None:
    """Wait until the client has gone, then cancel what is done for it."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if serving is not None:
        serving.cancel()


class _AsgiExchange(Exchange):
    """A request that came over ASGI; what is written leaves when it is drained."""

    __slots__ = ("_leaving", "_send")

    def __init__(self, scope: Scope, send: Send) -> None:
        headers = list(scope["headers"])
        super().__init__(scope["method"], scope["path"], headers, as_fields(headers), b"")
        self._send = send
        self._leaving: list[Message] = []
        self.congested = True  # nothing leaves by itself

    async def pass_on(self, message: Message) -> None:
        """Send what a page says."""
        self.started = True
        await self._send(message)

    def respond(
        self, status: int, body: bytes, lines: bytes = b"", content_type: bytes = JSON
    ) -> None:
        """Send a whole answer."""
        length = b"%d" % len(body)
        own = header_lines([(b"content-type", content_type), (b"content-length", length)])
        self.start_stream(status, own + lines)
        self.end(body)

    def start_stream(self, status: int, lines: bytes) -> None:
        """Begin an answer."""
        self.started = True
        pairs = [line.partition(b": ")[::2] for line in lines.split(b"\r\n") if line]
        self._leaving.append({"type": "http.response.start", "status": status, "headers": pairs})

    def write(self, piece: bytes) -> None:
        """Send a piece."""
        self._leaving.append({"type": "http.response.body", "body": piece, "more_body": True})

    def end(self, last: bytes = b"") -> None:
        """Send the last piece."""
        self.ended = True
        self._leaving.append({"type": "http.response.body", "body": last, "more_body": False})

    async def drained(self) -> None:
        """Send what was written."""
        leaving, self._leaving = self._leaving, []
        for message in leaving:
            await self._send(message)
