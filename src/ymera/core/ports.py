"""Where the parts meet: Protocols with two implementations or a shipped double, at most 5 methods.

Siblings (`providers`, `storage`, `security`, ...) do not know each other; they meet here, and the
composition root (`ymera.app`) plugs them together.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Protocol

import msgspec

from ymera.core.access import Principal
from ymera.core.chat import ChatEvent, ChatRequest
from ymera.core.model import Model, Provider
from ymera.core.record import RequestRecord

__all__ = [
    "ChatProvider",
    "Deadlines",
    "EventSink",
    "InputGuard",
    "ProviderFactory",
    "RateLimiter",
    "Transport",
    "TransportResponse",
]


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds each stage of an upstream call may take; None = no bound of its own.

    Attributes:
        connect_s: to open the connection.
        first_byte_s: from sending the request to the first byte of the answer.
        idle_s: between two pieces of a streamed answer.
        total_s: the whole call.
    """

    connect_s: float | None = 10.0
    first_byte_s: float | None = 30.0
    idle_s: float | None = 30.0
    total_s: float | None = 30.0


class TransportResponse(Protocol):
    """An upstream's answer whose body has not been read yet."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers, names in lower case."""

    async def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            ProviderError: longer than `limit` bytes, cut, or over a deadline.
        """

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises ProviderError when cut or over a deadline."""

    async def close(self) -> None:
        """Give the connection back, or drop it (which cancels the upstream) if unread."""


class Transport(Protocol):
    """How bytes reach an upstream."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
    ) -> TransportResponse:
        """Send one POST and return once the answer's head has arrived.

        Raises:
            ProviderError: kind `transient`: no connection, or a deadline passed.
        """

    async def close(self) -> None:
        """Close every connection."""


class ChatProvider(Protocol):
    """How one provider's models are asked."""

    def stream(
        self, request: ChatRequest, model: Model, deadlines: Deadlines
    ) -> AsyncGenerator[ChatEvent, None]:
        """Yield the events of the answer, ending after `Finish` (and a usage report if any).

        With `request.stream` False the upstream is asked for a plain answer, decoded to the same
        events. Closing the generator (`aclose`) cancels the upstream call.

        Raises:
            ProviderError: from the iteration; whatever the upstream did is converted here.
        """

    async def close(self) -> None:
        """Release connections and child processes."""


class ProviderFactory(Protocol):
    """Entry points of the group `ymera.providers` are these: they make a provider from its row."""

    def __call__(self, provider: Provider) -> ChatProvider:
        """Return the provider."""


class InputGuard(Protocol):
    """Looks at a request before it is routed."""

    def check(self, request: ChatRequest) -> ChatRequest:
        """Return the request (possibly redacted).

        Raises:
            GuardBlocked: it must not pass.
            TooLong: it is over the size limit.
        """


class RateLimiter(Protocol):
    """Our own limit for callers."""

    def admit(self, principal: Principal) -> None:
        """Count one request.

        Raises:
            RateLimited: over the limit; the refused try is counted too.
        """


class EventSink(Protocol):
    """Wants to know of finished requests (store, metrics, audit, learning)."""

    def emit(self, record: RequestRecord) -> None:
        """Take the record; must not block and must not raise."""

    async def close(self) -> None:
        """Write out whatever is held."""
