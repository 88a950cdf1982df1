"""The events of an answer, and the answer they add up to.

A plain (not streamed) upstream answer is decoded to the same events as a streamed one, so that one
reducer (`AnswerBuilder`) counts usage and joins tool calls for both.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from ymera.core.chat import ToolCall
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Dialect
from ymera.core.quota import LimitSeen
from ymera.core.usage import Usage

__all__ = [
    "AnswerBuilder",
    "ChatAnswer",
    "ChatEvent",
    "Finish",
    "FinishReason",
    "LimitsSeen",
    "ReasoningDelta",
    "RequestAdapted",
    "TextDelta",
    "ToolCallDelta",
    "UsageReport",
    "cut_short",
]


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class _Event(msgspec.Struct, frozen=True):
    """What all events share: `str(event)` is what it adds to the answer's text."""

    def __str__(self) -> str:
        return ""


class TextDelta(_Event, frozen=True):
    """Next piece of the answer's text."""

    text: str

    def __str__(self) -> str:
        return self.text


class ReasoningDelta(_Event, frozen=True):
    """Next piece of the model's visible reasoning.

    `signature` comes with the last piece, from vendors that sign (see `ReasoningPart`);
    `redacted` marks reasoning of which there is nothing but the signature; `dialect` says whose
    signature it is. None fits any, which only doubles may say.
    """

    text: str
    signature: str | None = None
    redacted: bool = False
    dialect: Dialect | None = None

    def for_callers_of(self, dialect: Dialect) -> ReasoningDelta:
        """Return what callers of a dialect may be shown: another's signature proves them nothing.

        Sent back under the name of the wrong vendor it would be refused.
        """
        if self.signature is None or self.dialect in {None, dialect}:
            return self
        return ReasoningDelta(self.text)


class ToolCallDelta(_Event, frozen=True, kw_only=True):
    """Next piece of a tool call; pieces of one call share `index`.

    `id`, `name` and `signature` come once.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = None


class UsageReport(_Event, frozen=True):
    """Token counts so far; a later report replaces an earlier one.

    `cost_usd` is what the upstream says the call cost; None when it does not say.
    """

    usage: Usage
    cost_usd: Decimal | None = None


class RequestAdapted(_Event, frozen=True):
    """First of all events, from the provider: what of the request the upstream could not be told.

    `losses` are sentences; they are recorded with the attempt and never reach the caller's dialect.
    """

    losses: tuple[str, ...]


class Finish(_Event, frozen=True):
    """The model stopped. Usage may still follow; an answer without this event is broken."""

    reason: FinishReason


class LimitsSeen(_Event, frozen=True):
    """Before the answer begins, from the provider: what its headers say of the vendor's limits."""

    limits: tuple[LimitSeen, ...]


ChatEvent = (
    TextDelta | ReasoningDelta | ToolCallDelta | UsageReport | Finish | RequestAdapted | LimitsSeen
)
"""The last two are for us: the engine takes them out before a caller's dialect sees them."""


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. `usage` is None when the upstream reported none.

    `reasoning_signature`, `reasoning_redacted` and `reasoning_dialect` are as in `ReasoningDelta`;
    `cost_usd` is what the upstream says it cost, None when it does not say.
    """

    text: str
    finish_reason: FinishReason
    reasoning: str = ""
    reasoning_signature: str | None = None
    reasoning_redacted: bool = False
    reasoning_dialect: Dialect | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    cost_usd: Decimal | None = None

    def reasoning_for(self, dialect: Dialect) -> ReasoningDelta:
        """Return the reasoning that callers of a dialect may be shown, in one piece."""
        whole = ReasoningDelta(
            self.reasoning,
            self.reasoning_signature,
            self.reasoning_redacted,
            self.reasoning_dialect,
        )
        return whole.for_callers_of(dialect)


class AnswerBuilder:
    """Adds up events to an answer; the only usage reducer, streamed or not.

    Args:
        keep_text: False counts characters and usage but keeps no text (for relays).

    Attributes:
        text_chars: characters of the text.
        read_chars: characters of everything the model wrote: reasoning and tool calls as well.
    """

    def __init__(self, *, keep_text: bool = True) -> None:
        self.keep_text = keep_text
        self.text_chars = 0
        self.read_chars = 0
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, list[ToolCallDelta]] = {}
        self._signature: str | None = None
        self._redacted = False
        self._dialect: Dialect | None = None
        self.usage: Usage | None = None
        self.reported_cost_usd: Decimal | None = None
        self.finish_reason: FinishReason | None = None

    def _count(self, report: UsageReport) -> None:
        if report.usage.is_believable:
            self.usage = report.usage
        if report.cost_usd is not None:  # said once, it is not unsaid
            self.reported_cost_usd = report.cost_usd

    def add(self, event: ChatEvent) -> None:
        """Take in the next event."""
        match event:
            case TextDelta():
                chars = len(event.text)
                self.text_chars += chars
                self.read_chars += chars
                if self.keep_text:
                    self._text.append(event.text)
            case ReasoningDelta():
                self.read_chars += len(event.text)
                if self.keep_text:
                    self._reason(event)
            case ToolCallDelta():
                self.read_chars += len(event.arguments)
                pieces = self._calls.setdefault(event.index, [])
                if self.keep_text:
                    pieces.append(event)
            case UsageReport():
                self._count(event)
            case Finish():
                self.finish_reason = event.reason
            case RequestAdapted() | LimitsSeen():
                pass

    def _reason(self, event: ReasoningDelta) -> None:
        self._reasoning.append(event.text)
        if event.signature:
            self._signature, self._dialect = event.signature, event.dialect
        self._redacted = self._redacted or event.redacted

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(self._text)

    @property
    def is_empty(self) -> bool:
        """True while there is neither text nor a tool call."""
        return self.text_chars == 0 and not self._calls

    def require_finish(self) -> FinishReason:
        """Return why the model stopped.

        Raises:
            ProviderError: no `Finish` event came: the answer was cut.
        """
        if self.finish_reason is None:
            raise cut_short()
        return self.finish_reason

    def build(self) -> ChatAnswer:
        """Return the answer.

        Raises:
            ProviderError: no `Finish` event came: the answer was cut.
        """
        return ChatAnswer(
            text=self.text,
            finish_reason=self.require_finish(),
            reasoning="".join(self._reasoning),
            reasoning_signature=self._signature,
            reasoning_redacted=self._redacted,
            reasoning_dialect=self._dialect,
            tool_calls=tuple(_join(index, self._calls[index]) for index in sorted(self._calls)),
            usage=self.usage,
            cost_usd=self.reported_cost_usd,
        )


def cut_short() -> ProviderError:
    """Return the error of an answer that ended without a `Finish` event."""
    return ProviderError(
        "The model's answer was cut before it was complete.", kind=ProviderErrorKind.TRANSIENT
    )


def _join(index: int, pieces: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        id=next((piece.id for piece in pieces if piece.id), f"call_{index}"),
        name=next((piece.name for piece in pieces if piece.name), ""),
        arguments="".join(piece.arguments for piece in pieces),
        signature=next((piece.signature for piece in pieces if piece.signature), None),
    )
