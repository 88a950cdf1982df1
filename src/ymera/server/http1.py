"""A caller's connection: requests are read off it and answered one at a time, in order.

Why this and no server from a package: docs/decisions/0007-own-http-server.md.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import sys
from collections import deque
from typing import TYPE_CHECKING, cast

from ymera.core.errors import InvalidRequest, YmeraError
from ymera.server.exchange import Site
from ymera.server.http1_answer import HttpExchange
from ymera.server.http1_request import RequestReader

if TYPE_CHECKING:
    from ymera.server.connections import Connections

__all__ = ["Connection"]

_HELD_LIMIT_BYTES = 64 * 1024
"""Of what comes in while a request is answered; above it nothing more is read."""

_SILENT_S = 30
_HEAD_S = 60
_WHOLE_S = 300
"""For a request to arrive, however steadily it drips."""
_IDLE_S = 75
_STUCK_S = 60
"""For a caller who takes nothing: what it asked for holds a slot of an upstream meanwhile."""
_LINGERS_S = 5

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_log = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """One connection of a caller.

    Args:
        site: answers.
        others: the connections it is one of; they bound it in time and number.
        loop: where it lives.

    Attributes:
        seen_s: when the last byte came, by the clock of the others.
    """

    __slots__ = (
        "_begun_s", "_congested", "_continue_due", "_exchange", "_held", "_held_bytes",
        "_lingers", "_loop", "_others", "_pending", "_reader", "_site", "_stuck", "_task",
        "_transport", "seen_s",
    )  # fmt: skip

    def __init__(self, site: Site, others: Connections, loop: asyncio.AbstractEventLoop) -> None:
        self._site = site
        self._others = others
        self._loop = loop
        self._reader = RequestReader(site, self)
        self._transport: asyncio.Transport | None = None
        self._exchange: HttpExchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._pending: deque[tuple[HttpExchange, YmeraError | None]] = deque()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._congested = False
        self._continue_due = False
        self._lingers = False
        self._begun_s: int | None = None
        self._stuck = (0, 0)
        self.seen_s = others.now_s

    @property
    def idle(self) -> bool:
        """No request is under way."""
        return self._exchange is None and not self._reader.in_message and not self._lingers

    # --- the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the others."""
        self._transport = cast("asyncio.Transport", transport)
        self._others.add(self)

    def data_received(self, data: bytes) -> None:
        """Read on; while a request is answered, what follows it waits."""
        if self._exchange is not None:
            self._hold(data)
        elif not self._lingers:
            self.seen_s = self._others.now_s
            self._reader.feed(data)

    def pause_writing(self) -> None:
        """Have the handler wait: the caller does not take what was sent."""
        self._congested = True
        if self._exchange is not None:
            self._exchange.congested = True

    def resume_writing(self) -> None:
        """Let it go on."""
        self._congested = False
        if self._exchange is not None:
            self._exchange.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what is done for a caller who has gone."""
        del exc
        self._transport = None
        self._pending.clear()
        self._held.clear()
        self._reader.forget()
        task, self._task = self._task, None
        self._others.remove(self, task)
        if task is not None:
            task.cancel()

    # --- requests ----------------------------------------------------------------------------

    def take(self, request: RequestReader, refusal: YmeraError | None) -> None:
        """Answer a request, or refuse it, once those before it are answered."""
        if self._transport is None:
            return
        handler = self._site.hot.get(request.path) if request.method == "POST" else None
        exchange = HttpExchange(
            self._transport,
            handler or self._site.serve,
            request.method,
            request.path,
            request.headers,
            request.fields,
            bytes(request.body),
            request.target,
            closes=refusal is not None or not request.keeps or self._others.stopping,
            old=request.old,
        )
        self._continue_due = False
        if self._exchange is None:
            self._begin(exchange, refusal)
        else:
            self._pending.append((exchange, refusal))

    def go_ahead(self) -> None:
        """Tell the caller to send the body it announced, now or after the answer under way."""
        if self._exchange is None and self._transport is not None:
            self._transport.write(_CONTINUE)
        else:
            self._continue_due = True

    def _begin(self, exchange: HttpExchange, refusal: YmeraError | None) -> None:
        self._exchange = exchange
        self._begun_s = None
        exchange.congested = self._congested
        if refusal is None:
            self._task = self._loop.create_task(self._serve(exchange))
        else:
            self._answer_for(exchange, refusal)
            self._exchange = None
            self._linger()

    async def _serve(self, exchange: HttpExchange) -> None:
        try:
            await exchange.handler(exchange)
            if not exchange.ended:
                raise RuntimeError("a handler has left its request without an answer")
        except asyncio.CancelledError:
            if self._transport is not None:  # not the caller: the server stops
                self._transport.abort()
            raise
        except Exception as error:  # noqa: BLE001 - outermost: every failure is answered or cuts
            self._failed(exchange, error)
        self._served(exchange)

    def _failed(self, exchange: HttpExchange, error: Exception) -> None:
        if not exchange.started:
            self._answer_for(exchange, error)
        elif self._transport is not None:
            _log.error("broke off: %s %s", exchange.method, exchange.path, exc_info=error)
            exchange.closes = True
            if exchange.old:
                _reset(self._transport)

    def _answer_for(self, exchange: HttpExchange, error: Exception) -> None:
        try:
            self._site.fail(exchange, error)
        except Exception:  # noqa: BLE001 - outermost here, too
            _log.exception("an error could not be told")
            if not exchange.started:
                exchange.respond(500, b"")

    def _served(self, exchange: HttpExchange) -> None:
        """Go on to the next request."""
        self._task = self._exchange = None
        transport = self._transport
        if transport is None:
            return
        self.seen_s = self._others.now_s
        if exchange.closes or self._others.stopping:
            transport.close()
        elif self._pending:
            self._begin(*self._pending.popleft())
        elif self._held:
            self._release()
        elif self._continue_due:
            self._continue_due = False
            transport.write(_CONTINUE)

    def _hold(self, data: bytes) -> None:
        if self._reader.done or self._transport is None:
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _HELD_LIMIT_BYTES:
            self._transport.pause_reading()

    def _release(self) -> None:
        data = b"".join(self._held)
        self._held.clear()
        if self._held_bytes > _HELD_LIMIT_BYTES and self._transport is not None:
            self._transport.resume_reading()
        self._held_bytes = 0
        self._reader.feed(data)

    # --- ends --------------------------------------------------------------------------------

    def _linger(self) -> None:
        """Say nothing more, but let the caller finish: a reset would eat the answer."""
        self._lingers = True
        self.seen_s = self._others.now_s
        if self._transport is None:
            return
        if self._held_bytes > _HELD_LIMIT_BYTES:
            self._transport.resume_reading()
        self._held.clear()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def close(self) -> None:
        """Close once what was written has left."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """Close after the request under way, if there is one."""
        if self._exchange is not None:
            self._exchange.closes = True
        elif self._lingers or not self._reader.in_message:
            self.close()

    def check_time(self, now_s: int) -> None:
        """End what takes too long; called about every second."""
        if self._transport is None:
            return
        self._check_stuck(self._transport, now_s)
        silent_s = now_s - self.seen_s
        if self._exchange is not None:
            return
        if self._lingers:
            if silent_s >= _LINGERS_S:
                self.abort()
        elif not self._reader.in_message:
            self._begun_s = None
            if silent_s >= _IDLE_S:
                self.close()
        elif silent_s >= _SILENT_S or self._is_late(now_s):
            error = InvalidRequest("The request did not come in time.")
            error.http_status = 408
            self._reader.refuse(error)

    def _is_late(self, now_s: int) -> bool:
        if self._begun_s is None:
            self._begun_s = now_s
        return now_s - self._begun_s >= (_WHOLE_S if self._reader.in_body else _HEAD_S)

    def _check_stuck(self, transport: asyncio.Transport, now_s: int) -> None:
        """Drop a caller who takes nothing of what it asked for."""
        unread = transport.get_write_buffer_size()
        if not unread or unread != self._stuck[0]:
            self._stuck = (unread, now_s)
        elif now_s - self._stuck[1] >= _STUCK_S:
            transport.abort()


def _reset(transport: asyncio.Transport) -> None:
    """Break a connection so that it shows: where an answer ends with it, a close is a clean end."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
