"""A route that chats, in one dialect: the hot path."""

from __future__ import annotations

import time
from contextlib import aclosing
from functools import lru_cache

from ymera.core.access import LOCAL_OWNER
from ymera.core.errors import YmeraError
from ymera.core.model import Dialect, Model
from ymera.engine.door import Door
from ymera.engine.reply import Reply
from ymera.engine.trace import RequestTrace, new_request_id
from ymera.server.exchange import Exchange
from ymera.server.hints import with_header_hints
from ymera.wire.codec import AnswerHead, CallerDialect

__all__ = ["ChatRoute", "model_lines"]


class ChatRoute:
    """Answers chat requests in one dialect, plain or streamed.

    Args:
        dialect: what callers of this route speak; errors are told in it, too.
        door: takes the requests.
    """

    __slots__ = ("_door", "_names_request_twice", "_stream_lines", "dialect")

    def __init__(self, dialect: CallerDialect, door: Door) -> None:
        self.dialect = dialect
        self._door = door
        # Anthropic's SDKs read the request's id under a name without `x-`.
        self._names_request_twice = dialect.dialect is Dialect.ANTHROPIC
        framing = dialect.framing.value.encode()
        self._stream_lines = (
            b"content-type: %b; charset=utf-8\r\ncache-control: no-store\r\n" % framing
        )

    async def __call__(self, exchange: Exchange) -> None:
        """Serve one request; cancelling it, as when the caller leaves, cancels the upstream call.

        Raises:
            YmeraError: no answer could be had; nothing has been sent.
        """
        exchange.request_id = request_id = new_request_id()
        dialect = self.dialect
        request = with_header_hints(dialect.decode_request(exchange.body), exchange.fields)
        reply = await self._door.handle(request, LOCAL_OWNER, request_id=request_id)
        if request.stream:
            await self._send_stream(reply, exchange)
        else:
            body = dialect.encode_answer(await reply.answer(), _head(reply.trace))
            exchange.respond(200, body, self._lines(reply.trace))

    async def _send_stream(self, reply: Reply, exchange: Exchange) -> None:
        """Relay the answer as it comes; a failure after the start ends in an error event."""
        encoder = self.dialect.stream_encoder(_head(reply.trace))
        encode = encoder.encode
        try:
            async with aclosing(reply.batches()) as batches:  # before any await: it holds the call
                async for batch in batches:
                    if not exchange.started:
                        exchange.start_stream(200, self._stream_lines + self._lines(reply.trace))
                    if len(batch) == 1:
                        piece = encode(batch[0])
                    else:
                        piece = b"".join([encode(event) for event in batch])
                    if piece:
                        exchange.write(piece)
                        if exchange.congested:
                            await exchange.drained()
            last = encoder.end()
        except YmeraError as error:
            if not exchange.started:
                raise
            last = encoder.error(error)
        exchange.end(last)

    def _lines(self, trace: RequestTrace) -> bytes:
        """Return what SURFACE section 4 promises; the cost is absent when it is unknown."""
        lines = (
            f"x-request-id: {trace.id}\r\n"
            f"x-ymera-cache: {_cache_word(trace)}\r\n"
            f"x-ymera-overhead-ms: {1000 * (trace.overhead_s or 0.0):.3f}\r\n"
        )
        if not trace.of_many:
            lines += f"x-ymera-attempts: {len(trace.attempts)}\r\n"
        if trace.model is not None:
            lines += model_lines(trace.model)
        if (run_id := trace.request.hints.run_id) is not None:
            lines += f"x-ymera-run: {_one_line(run_id)}\r\n"
        if (cost := trace.cost_usd()) is not None:
            lines += f"x-ymera-cost-usd: {cost}\r\n"
        if self._names_request_twice:
            lines += f"request-id: {trace.id}\r\n"
        return lines.encode()


def model_lines(model: Model) -> str:
    """Return the header lines that name a model and its provider."""
    return _model_lines(model.id, model.provider)


@lru_cache(maxsize=1024)
def _model_lines(model_id: str, provider: str) -> str:
    names = f"x-ymera-model: {_one_line(model_id)}\r\n"
    return f"{names}x-ymera-provider: {_one_line(provider)}\r\n"


def _one_line(text: str) -> str:
    return "".join(char for char in text if char.isprintable())


def _head(trace: RequestTrace) -> AnswerHead:
    model = trace.model
    return AnswerHead(
        id=trace.id,
        created=int(time.time()),
        model=model.id if model else trace.request.model,
        request=trace.request,
        elapsed_s=trace.elapsed_s,
    )


def _cache_word(trace: RequestTrace) -> str:
    if trace.cached:
        return "hit"
    return "off" if trace.cache_key is None else "miss"
