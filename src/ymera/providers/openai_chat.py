"""The client of every host that speaks the OpenAI chat dialect.

The one place where what such an upstream does (status, HTML, silence, a cut stream) becomes a
`ProviderError`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime

from ymera.core.chat import ChatEvent, ChatRequest
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.core.model import Model
from ymera.core.ports import Deadlines, Transport, TransportResponse
from ymera.wire import openai_chat as wire
from ymera.wire.sse import SSEParser

__all__ = ["OpenAIChatProvider"]

_ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
_ERROR_LIMIT_BYTES = 256 * 1024
_READ_OUT_S = 0.2
_READ_OUT_BYTES = 16 * 1024
_MIN_SECRET_CHARS = 6


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OpenAIChatProvider:
    """Asks the models of one host.

    Args:
        provider_id: catalogue id of the provider.
        base_url: up to and without `/chat/completions`, as in `https://api.example.com/v1`.
        headers: sent with each call: authentication and what the host wants besides. Their
            values never appear in an error.
        transport: carries the bytes; shared between providers, so `close` leaves it open.
        now: the clock that HTTP dates in `retry-after` are compared with.
    """

    def __init__(
        self,
        provider_id: str,
        base_url: str,
        headers: Mapping[str, str],
        transport: Transport,
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.provider_id = provider_id
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._headers = {**headers, "content-type": "application/json"}
        self._secrets = tuple(
            word
            for value in headers.values()
            for word in value.split()
            if len(word) >= _MIN_SECRET_CHARS
        )
        self._transport = transport
        self._now = now

    async def stream(
        self, request: ChatRequest, model: Model, deadlines: Deadlines
    ) -> AsyncGenerator[ChatEvent, None]:
        """Yield the events of the answer; see `ymera.core.ports.ChatProvider.stream`."""
        body = wire.encode_request(request, model.upstream_id)
        accept = "text/event-stream" if request.stream else "application/json"
        response = await self._transport.post(
            self._url, {**self._headers, "accept": accept}, body, deadlines
        )
        try:
            await self._refuse_failure(response)
            # Some hosts answer a streaming request with one plain JSON object.
            if not request.stream or "application/json" in _content_type(response):
                answer = await response.read(_ANSWER_LIMIT_BYTES)
                for event in wire.decode_answer(answer, secrets=self._secrets):
                    yield event
                return
            parser, decoder = SSEParser(), wire.StreamDecoder(secrets=self._secrets)
            async for chunk in response.chunks():
                for data in parser.feed(chunk):
                    for event in decoder.feed(data):
                        yield event
                    if decoder.done:
                        await _read_out(response)
                        return
            if not decoder.finished:
                raise self._error("ended its answer before it was complete", Kind.TRANSIENT)
        finally:
            await response.close()

    async def close(self) -> None:
        """Do nothing: the transport belongs to whoever made it."""

    async def _refuse_failure(self, response: TransportResponse) -> None:
        if not 200 <= response.status < 300:
            raise wire.decode_error(
                response.status,
                response.headers,
                await response.read(_ERROR_LIMIT_BYTES),
                now=self._now(),
                secrets=self._secrets,
            )
        if "text/html" in _content_type(response):
            raise self._error("sent a web page instead of an answer", Kind.BAD_ANSWER)

    def _error(self, what: str, kind: Kind) -> ProviderError:
        scope = Scope.PROVIDER if kind is Kind.BAD_ANSWER else Scope.MODEL
        return ProviderError(f"{self.provider_id} {what}.", kind=kind, scope=scope)


def _content_type(response: TransportResponse) -> str:
    return response.headers.get("content-type", "").lower()


async def _read_out(response: TransportResponse) -> None:
    """Let the end of the body arrive, so that the connection can be kept.

    It follows `[DONE]` at once; a host that holds on instead is not waited for.
    """
    with contextlib.suppress(TimeoutError, ProviderError):
        async with asyncio.timeout(_READ_OUT_S):
            await response.read(_READ_OUT_BYTES)
