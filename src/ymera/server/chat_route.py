"""A route that chats, in one dialect: the hot path, raw ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing

from ymera.core.access import LOCAL_OWNER
from ymera.core.chat import ChatRequest
from ymera.core.errors import YmeraError
from ymera.engine.door import Door
from ymera.engine.reply import Reply
from ymera.engine.trace import RequestTrace, new_request_id
from ymera.server.hints import with_header_hints
from ymera.server.http import (
    REQUEST_ID,
    ClientGone,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    respond,
)
from ymera.wire.codec import AnswerHead, CallerDialect, Framing

__all__ = ["ChatRoute", "cancel_when_gone"]


class ChatRoute:
    """Answers chat requests in one dialect, plain or streamed.

    Args:
        dialect: what callers of this route speak; errors are told in it, too.
        door: takes the requests.
        max_body_bytes: returns the largest request body accepted.
    """

    def __init__(
        self, dialect: CallerDialect, door: Door, max_body_bytes: Callable[[], int]
    ) -> None:
        self.dialect = dialect
        self._door = door
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a client that goes away cancels the upstream call.

        Raises:
            YmeraError: no answer could be had; nothing has been sent.
        """
        scope[REQUEST_ID] = request_id = new_request_id()
        try:
            body = await read_body(scope, receive, self._max_body_bytes())
        except ClientGone:
            return
        request = with_header_hints(self.dialect.decode_request(body), scope["headers"])
        watcher = asyncio.ensure_future(cancel_when_gone(receive, asyncio.current_task()))
        try:
            await self._answer(request, request_id, send)
        except asyncio.CancelledError:
            if not watcher.done():
                raise  # not the client: the server stops
        finally:
            watcher.cancel()

    async def _answer(self, request: ChatRequest, request_id: str, send: Send) -> None:
        reply = await self._door.handle(request, LOCAL_OWNER, request_id=request_id)
        if request.stream:
            await self._send_events(reply, send)
        else:
            await self._send_whole(reply, send)

    async def _send_whole(self, reply: Reply, send: Send) -> None:
        answer = await reply.answer()
        body = self.dialect.encode_answer(answer, _head(reply))
        await respond(send, 200, body, _headers(reply))

    async def _send_events(self, reply: Reply, send: Send) -> None:
        """Relay the answer as it comes; a failure after the start ends in an error event."""
        encoder = self.dialect.stream_encoder(_head(reply))
        started = False
        try:
            async with aclosing(reply.events()) as events:  # before any await: it holds the call
                async for event in events:
                    if not started:
                        started = True
                        await send(_stream_start(reply, self.dialect.framing))
                    piece = encoder.encode(event)
                    if piece:
                        await send(_body(piece, more=True))
            last = encoder.end()
        except YmeraError as error:
            if not started:
                raise
            last = encoder.error(error)
        await send(_body(last, more=False))


async def cancel_when_gone(receive: Receive, serving: asyncio.Task[None] | None) -> None:
    """Wait until the client has gone, then cancel what is done for it."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if serving is not None:
        serving.cancel()


def _head(reply: Reply) -> AnswerHead:
    trace = reply.trace
    model = trace.model
    return AnswerHead(
        id=trace.id,
        created=int(time.time()),
        model=model.id if model else trace.request.model,
        request=trace.request,
        elapsed_s=trace.elapsed_s,
    )


def _stream_start(reply: Reply, framing: Framing) -> Message:
    return {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"%b; charset=utf-8" % framing.value.encode()),
            (b"cache-control", b"no-store"),
            *_headers(reply),
        ],
    }


def _body(piece: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}


def _cache_word(trace: RequestTrace) -> bytes:
    if trace.cached:
        return b"hit"
    return b"off" if trace.cache_key is None else b"miss"


def _headers(reply: Reply) -> list[Header]:
    """Return what SURFACE section 4 promises; the cost header is absent when it is unknown."""
    trace = reply.trace
    headers = [
        (b"x-request-id", trace.id.encode()),
        (b"x-ymera-cache", _cache_word(trace)),
        (b"x-ymera-overhead-ms", b"%.3f" % (1000 * (trace.overhead_s or 0.0))),
    ]
    if not trace.of_many:
        headers.append((b"x-ymera-attempts", b"%d" % len(trace.attempts)))
    if trace.model is not None:
        headers.append((b"x-ymera-model", trace.model.id.encode()))
        headers.append((b"x-ymera-provider", trace.model.provider.encode()))
    if (run_id := trace.request.hints.run_id) is not None:
        headers.append((b"x-ymera-run", run_id.encode()))
    if (cost := trace.cost_usd()) is not None:
        headers.append((b"x-ymera-cost-usd", str(cost).encode()))
    return headers
