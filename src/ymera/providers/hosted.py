"""The client of every host, whatever its dialect.

The one place where what such an upstream does (status, HTML, silence, a cut stream) becomes a
`ProviderError`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from ymera.core.answer import ChatEvent, LimitsSeen, RequestAdapted
from ymera.core.chat import ChatRequest, verbatim_for
from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.core.model import Dialect, Model, Quirk
from ymera.core.ports import Deadlines, Transport, TransportResponse
from ymera.wire.codec import Framing, UpstreamDialect
from ymera.wire.embedding import embedding_dialect
from ymera.wire.lines import LineParser
from ymera.wire.rate_limits import limits_in_headers, limits_of_failure
from ymera.wire.sse import SSEParser
from ymera.wire.think_tags import ThinkTags
from ymera.wire.tool_ids import FreshIds

__all__ = ["HostAddress", "HostedProvider"]

_ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
_ERROR_LIMIT_BYTES = 256 * 1024
_READ_OUT_S = 0.2
_READ_OUT_BYTES = 16 * 1024
_MIN_SECRET_CHARS = 6
_OK = 200
_HTML = "text/html"
_EFFORT = "reasoning_effort"
_NO_REASONING = f"{_EFFORT} was left out: the model does not think before it answers."


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class HostAddress:
    """Where a host is asked in one dialect, and what is sent with each call."""

    dialect: UpstreamDialect
    base_url: str
    headers: Mapping[str, str]


class HostedProvider:
    """Asks the models of one host, in the caller's own dialect where the host speaks that.

    Args:
        provider_id: catalogue id of the provider.
        dialect: how it is asked, unless the caller's dialect is one of `also`.
        base_url: what the dialect's paths are appended to, as in `https://api.example.com/v1`.
        headers: sent with each call: authentication and what the host wants besides. Their
            values never appear in an error.
        transport: carries the bytes; shared between providers, so `close` leaves it open.
        also: further dialects of the host.
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
        also: Iterable[HostAddress] = (),
        flags: frozenset[Quirk] = frozenset(),
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.provider_id = provider_id
        self._first = dialect.dialect
        self._addresses = {
            each.dialect.dialect: HostAddress(
                each.dialect,
                each.base_url.rstrip("/"),
                {**each.headers, "content-type": "application/json"},
            )
            for each in (HostAddress(dialect, base_url, headers), *also)
        }
        self._flags = flags
        self._secrets = tuple(
            dict.fromkeys(
                word
                for address in self._addresses.values()
                for name, value in address.headers.items()
                if name != "content-type"
                for word in value.split()
                if len(word) >= _MIN_SECRET_CHARS
            )
        )
        self._transport = transport
        self._now = now
        self._asked: dict[tuple[Dialect, str, bool], tuple[str, Mapping[str, str]]] = {}

    async def stream(
        self, request: ChatRequest, model: Model, deadlines: Deadlines
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """Yield the events of the answer; see `ymera.core.ports.ChatProvider.stream`."""
        address = self._address_for(request)
        wire = address.dialect
        flags = self._flags | model.flags if model.flags else self._flags
        losses: tuple[str, ...] = ()
        if model.reasoning is False and _wants_reasoning(request):
            request, losses = _without_reasoning(request), (_NO_REASONING,)
        encoded = wire.encode_request(request, model.upstream_id, flags)
        if losses := losses + encoded.losses:
            yield (RequestAdapted(losses),)
        tags = ThinkTags().split if Quirk.THINK_TAGS in flags else _as_they_are
        named = FreshIds(request.messages) if request.tools else _as_they_are
        url, headers = self._asked_at(address, model.upstream_id, request.stream)
        response = await self._transport.post(url, headers, encoded.body, deadlines)
        try:
            if response.status != _OK or _HTML in _content_type(response):
                await self._refuse_failure(response, wire)
            if limits := limits_in_headers(response.headers, self.provider_id, self._now()):
                yield (LimitsSeen(limits),)
            # Some hosts answer a streaming request with one plain JSON object.
            if not request.stream or "application/json" in _content_type(response):
                answer = await response.read(_ANSWER_LIMIT_BYTES)
                yield named(tags(wire.decode_answer(answer, self._secrets)))
                return
            reading = _Reading(wire, self._secrets)
            hush = _Hush(deadlines.idle_s)
            async for chunk in response.chunks():
                events = named(tags(reading.feed(chunk)))
                if events:
                    yield events
                if reading.failure is not None:
                    raise reading.failure
                if reading.decoder.done:
                    await _read_out(response)
                    return
                if hush.is_too_long(bool(events)):
                    raise self._error("sent nothing but signs of life for too long", Kind.TRANSIENT)
            if not reading.decoder.finished:
                raise self._error("ended its answer before it was complete", Kind.TRANSIENT)
        finally:
            await response.close()

    async def embed(
        self, request: EmbeddingRequest, model: Model, deadlines: Deadlines
    ) -> EmbeddingAnswer:
        """Return the vectors of the request's texts; see `ymera.core.embedding`.

        Raises:
            ProviderError: whatever the upstream did; kind capability: the host embeds nothing.
            Unsupported: its dialect cannot say what was asked.
        """
        spoken = self._addresses.values()
        found = ((address, embedding_dialect(address.dialect.dialect)) for address in spoken)
        address, wire = next((pair for pair in found if pair[1] is not None), (None, None))
        if address is None or wire is None:
            raise self._error("speaks no dialect with embeddings", Kind.CAPABILITY)
        response = await self._transport.post(
            address.base_url + wire.path(model.upstream_id),
            {**address.headers, "accept": "application/json"},
            wire.encode_request(request, model.upstream_id),
            deadlines,
        )
        try:
            await self._refuse_failure(response, address.dialect)
            body = await response.read(_ANSWER_LIMIT_BYTES)
            answer = wire.decode_answer(body, len(request.inputs), self._secrets)
            limits = limits_in_headers(response.headers, self.provider_id, self._now())
            return msgspec.structs.replace(answer, limits=limits) if limits else answer
        finally:
            await response.close()

    async def close(self) -> None:
        """Do nothing: the transport belongs to whoever made it."""

    def _asked_at(
        self, address: HostAddress, upstream_id: str, stream: bool
    ) -> tuple[str, Mapping[str, str]]:
        """Return URL and headers of a call; made once, since they are the same every time."""
        wire = address.dialect
        found = self._asked.get(key := (wire.dialect, upstream_id, stream))
        if found is None:
            accept = wire.framing.value if stream else "application/json"
            url = address.base_url + wire.path(upstream_id, stream)
            found = self._asked[key] = url, {**address.headers, "accept": accept}
        return found

    def _address_for(self, request: ChatRequest) -> HostAddress:
        """Return the caller's own dialect where the host speaks it, else the preferred one."""
        spoken = request.verbatim.dialect if request.verbatim is not None else self._first
        return self._addresses.get(spoken) or self._addresses[self._first]

    async def _refuse_failure(self, response: TransportResponse, wire: UpstreamDialect) -> None:
        if not 200 <= response.status < 300:
            now, status, headers = self._now(), response.status, response.headers
            body = await response.read(_ERROR_LIMIT_BYTES)
            error = wire.decode_error(status, headers, body, now=now, secrets=self._secrets)
            error.limits = limits_of_failure(
                error.kind, status, headers, body, self.provider_id, now
            )
            raise error
        if _HTML in _content_type(response):
            raise self._error("sent a web page instead of an answer", Kind.BAD_ANSWER)

    def _error(self, what: str, kind: Kind) -> ProviderError:
        scope = Scope.PROVIDER if kind is Kind.BAD_ANSWER else Scope.MODEL
        return ProviderError(f"{self.provider_id} {what}.", kind=kind, scope=scope)


class _Reading:
    """A streamed answer, from bytes to events.

    Attributes:
        decoder: of its dialect.
        failure: what the upstream reported instead of going on, or that this is no answer. What
            came before it in the same piece is the caller's all the same.
    """

    def __init__(self, wire: UpstreamDialect, secrets: tuple[str, ...]) -> None:
        self._parser = SSEParser() if wire.framing is Framing.SSE else LineParser()
        self.decoder = wire.stream_decoder(secrets)
        self.failure: ProviderError | None = None

    def feed(self, chunk: bytes) -> list[ChatEvent]:
        """Return the events of one piece of the body."""
        events: list[ChatEvent] = []
        decoder = self.decoder
        try:
            for data in self._parser.feed(chunk):
                events += decoder.feed(data)
                if decoder.done:
                    break
        except ProviderError as error:
            self.failure = error
        return events


class _Hush:
    """How long a stream has brought bytes and no word: comments and pings are no answer."""

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._since_s: float | None = None

    def is_too_long(self, spoke: bool) -> bool:
        """Take note of one more piece; `spoke` says whether an event came of it."""
        if spoke or self._limit_s is None:
            self._since_s = None
            return False
        now_s = asyncio.get_running_loop().time()
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s > self._limit_s


def _wants_reasoning(request: ChatRequest) -> bool:
    sampling = request.sampling
    return sampling.reasoning_effort is not None or sampling.reasoning_tokens is not None


def _without_reasoning(request: ChatRequest) -> ChatRequest:
    """Return the request without the wish to think first, which such a model's host refuses.

    Of a body in the OpenAI dialect the rest stays as it was written; where the wish lies deeper in
    it, the body is written anew.
    """
    replace = msgspec.structs.replace
    sampling = replace(request.sampling, reasoning_effort=None, reasoning_tokens=None)
    verbatim = request.verbatim
    if verbatim is not None and verbatim_for(request, Dialect.OPENAI_CHAT) is not None:
        fields = {name: raw for name, raw in verbatim.fields.items() if name != _EFFORT}
        decoded = replace(verbatim.decoded, sampling=sampling)
        verbatim = replace(verbatim, fields=fields, decoded=decoded)
    else:
        verbatim = None
    return replace(request, sampling=sampling, verbatim=verbatim)


def _as_they_are(events: list[ChatEvent]) -> list[ChatEvent]:
    return events


def _content_type(response: TransportResponse) -> str:
    return response.headers.get("content-type", "").lower()


async def _read_out(response: TransportResponse) -> None:
    """Let the end of the body arrive, so that the connection can be kept.

    It follows the last event at once; a host that holds on instead is not waited for.
    """
    with contextlib.suppress(TimeoutError, ProviderError):
        async with asyncio.timeout(_READ_OUT_S):
            await response.read(_READ_OUT_BYTES)
