"""Where the parts meet: Protocols with two implementations or a shipped double, at most 5 methods.

Siblings (`providers`, `storage`, `security`, ...) do not know each other; they meet here, and the
composition root (`ymera.app`) plugs them together.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from ymera.core.access import Principal
from ymera.core.answer import ChatEvent
from ymera.core.chat import ChatRequest
from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest
from ymera.core.model import Model, Provider
from ymera.core.record import RequestRecord
from ymera.core.tool import ContextItem, Tool, ToolResult

__all__ = [
    "ChatProvider",
    "Deadlines",
    "EmbeddingProvider",
    "EventSink",
    "InputGuard",
    "OutputGuard",
    "OutputScreen",
    "ProviderFactory",
    "RateLimiter",
    "Throttle",
    "ToolGate",
    "ToolSource",
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
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """Yield the events of the answer, ending after `Finish` (and a usage report if any).

        They come in batches, none of them empty: what arrived together leaves together. With
        `request.stream` False the upstream is asked for a plain answer, decoded to the same
        events. Closing the generator (`aclose`) cancels the upstream call.

        Raises:
            ProviderError: from the iteration; whatever the upstream did is converted here.
        """

    async def close(self) -> None:
        """Release connections and child processes."""


@runtime_checkable
class EmbeddingProvider(Protocol):
    """How one provider's models are asked for vectors; most providers of chat are one, too."""

    async def embed(
        self, request: EmbeddingRequest, model: Model, deadlines: Deadlines
    ) -> EmbeddingAnswer:
        """Return one vector per text.

        Raises:
            ProviderError: whatever the upstream did.
            Unsupported: its dialect cannot say what was asked.
        """


class ProviderFactory(Protocol):
    """Entry points of the group `ymera.providers` are these: they make a provider from its row."""

    def __call__(self, provider: Provider) -> ChatProvider:
        """Return the provider."""


class InputGuard(Protocol):
    """Looks at a request before it is routed."""

    def check(self, request: ChatRequest, report: Callable[[str], None]) -> ChatRequest:
        """Return the request (possibly redacted).

        Args:
            request: what was asked.
            report: told the kind of each finding that lets the request pass.

        Raises:
            GuardBlocked: it must not pass.
            TooLong: it is over the size limit.
        """


class OutputScreen(Protocol):
    """Looks at one answer while it is written; what may still become a finding is held back."""

    def feed(self, text: str) -> str:
        """Take the next piece of text; return what may leave now, possibly redacted or empty."""

    def end(self) -> str:
        """Return the rest once no more text comes."""


class OutputGuard(Protocol):
    """Looks at answers before they reach the caller."""

    def screen(self, report: Callable[[str], None]) -> OutputScreen:
        """Return the screen of one answer.

        Args:
            report: told the kind of each finding (such as `secret.aws_key`), never its text.
        """

    def screen_whole(self, text: str, report: Callable[[str], None]) -> str:
        """Return a whole text as it may leave: what its screen makes of it, for much less.

        Args:
            text: all of it.
            report: as for `screen`.
        """


class ToolSource(Protocol):
    """Where tools come from: the built-in ones, or one MCP server."""

    async def tools(self) -> Sequence[Tool]:
        """Return its tools, always in the same order; starts what has to be started.

        Raises:
            MachineError: it cannot be reached.
        """

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolResult:
        """Call a tool; whatever goes wrong, a hang included, is a result with `is_error`."""

    async def context(self, query: str) -> Sequence[ContextItem]:
        """Return texts it offers that bear on `query` (resources); empty when it has none."""

    async def close(self) -> None:
        """End children and connections."""


class ToolGate(Protocol):
    """Decides whether a tool may be called; the last word before every call."""

    def check(self, tool: Tool, arguments: Mapping[str, object], principal: Principal) -> str:
        """Return what lets it run: `read_only`, `allowlist`, or who approved.

        Raises:
            Forbidden: it may not; the hint says which setting would let it.
            InvalidRequest: the arguments do not fit the tool's schema.
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


class Throttle(Protocol):
    """Slows new requests down while what earlier ones left behind piles up."""

    def crowded(self) -> bool:
        """Whether a new request should wait; asked for each one, so it costs next to nothing."""

    async def thinned(self) -> None:
        """Wait until there is room again, or for as long as is bearable."""
