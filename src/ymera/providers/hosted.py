"""The client of every host, whatever its dialect.

The one place where what such an upstream does (status, HTML, silence, a cut stream) becomes a
`ProviderError`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime

from ymera.core.answer import ChatEvent, RequestAdapted
from ymera.core.chat import ChatRequest
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.core.model import Model, Quirk
from ymera.core.ports import Deadlines, Transport, TransportResponse
from ymera.wire.codec import Framing, UpstreamDialect
from ymera.wire.lines import LineParser
from ymera.wire.sse import SSEParser

__all__ = ["HostedProvider"]

_ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
_ERROR_LIMIT_BYTES = 256 * 1024
_READ_OUT_S = 0.2
_READ_OUT_BYTES = 16 * 1024
_MIN_SECRET_CHARS = 6


def _utc_now() -> datetime:
    return datetime.now(UTC)


class HostedProvider:
    """Asks the models of one host in one dialect.

    Args:
        provider_id: catalogue id of the provider.
        dialect: how it is asked.
        base_url: what the dialect's paths are appended to, as in `https://api.example.com/v1`.
        headers: sent with each call: authentication and what the host wants besides. Their
            values never appear in an error.
        transport: carries the bytes; shared between providers, so `close` leaves it open.
        flags: how the host departs from its dialect.
        now: the clock that HTTP dates in `retry-after` are compared with.
    """

    def __init__(
        self,
        provider_id: str,
        dialect: UpstreamDialect,
        base_url: str,
        headers: Mapping[str, str],
        transport: Transport,
        *,
        flags: frozenset[Quirk] = frozenset(),
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.provider_id = provider_id
        self._dialect = dialect
        self._base_url = base_url.rstrip("/")
        self._flags = flags
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
        wire = self._dialect
        flags = self._flags | model.flags if model.flags else self._flags
        encoded = wire.encode_request(request, model.upstream_id, flags)
        if encoded.losses:
            yield RequestAdapted(encoded.losses)
        url = self._base_url + wire.path(model.upstream_id, request.stream)
        accept = wire.framing.value if request.stream else "application/json"
        response = await self._transport.post(
            url, {**self._headers, "accept": accept}, encoded.body, deadlines
        )
        try:
            await self._refuse_failure(response)
            # Some hosts answer a streaming request with one plain JSON object.
            if not request.stream or "application/json" in _content_type(response):
                answer = await response.read(_ANSWER_LIMIT_BYTES)
                for event in wire.decode_answer(answer, self._secrets):
                    yield event
                return
            parser = SSEParser() if wire.framing is Framing.SSE else LineParser()
            decoder = wire.stream_decoder(self._secrets)
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
            raise self._dialect.decode_error(
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

    It follows the last event at once; a host that holds on instead is not waited for.
    """
    with contextlib.suppress(TimeoutError, ProviderError):
        async with asyncio.timeout(_READ_OUT_S):
            await response.read(_READ_OUT_BYTES)
