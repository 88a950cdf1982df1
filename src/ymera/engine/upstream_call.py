"""One upstream call from its first event to its end, as record, quotas and health see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Protocol

from ymera.core.answer import (
    AnswerBuilder,
    ChatEvent,
    FinishReason,
    LimitsSeen,
    ReasoningDelta,
    RequestAdapted,
    TextDelta,
    ToolCallDelta,
    cut_short,
)
from ymera.core.chat import ChatRequest
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Model
from ymera.engine.lease import Lease
from ymera.engine.trace import RequestTrace

__all__ = ["UpstreamCall", "UpstreamEvents"]


class UpstreamEvents(Protocol):
    """The batches of one upstream call; to be closed whatever becomes of it."""

    def __aiter__(self) -> AsyncIterator[Sequence[ChatEvent]]:
        """Return what gives them."""

    async def aclose(self) -> None:
        """End the call: what still runs is cancelled."""


class UpstreamCall:
    """Reads the beginning of an answer and takes note of how the call goes.

    Args:
        request: what is asked.
        model: of whom.
        key_id: with which key.
        trace: takes the attempt.
        lease: what the call holds of quotas and health; None: nothing.
        at: wall time it begins.
        losses: what of the request the model is not told.
        leave: gives the call's slot to the next in line.

    Attributes:
        answer: what has come of it, added up; of a stream, once it is the caller's, what has left.
        answered: whether anything of an answer has come.
        head: every event up to the commit point, once it is reached.
    """

    __slots__ = (
        "_at",
        "_committed",
        "_events",
        "_lease",
        "_leave",
        "_losses",
        "_request",
        "_started_s",
        "_trace",
        "answer",
        "answered",
        "head",
        "key_id",
        "model",
    )

    def __init__(
        self,
        request: ChatRequest,
        model: Model,
        key_id: str | None,
        trace: RequestTrace,
        lease: Lease | None,
        at: datetime,
        losses: tuple[str, ...],
        leave: Callable[[], None],
    ) -> None:
        self.model = model
        self.key_id = key_id
        self.answered = False
        self.head: Sequence[ChatEvent] = ()
        self._request = request
        self._trace = trace
        self._lease = lease
        self._losses = losses
        self._leave = leave
        self._events: UpstreamEvents | None = None
        self.answer = AnswerBuilder(keep_text=not request.stream)
        self._committed = False
        self._at = at
        self._started_s = trace.clock.monotonic()

    def begin(self, events: UpstreamEvents) -> AsyncIterator[Sequence[ChatEvent]]:
        """Take the call's events, to be closed by `end`; return what gives them."""
        self._events = events
        return aiter(events)

    async def read_head(self, events: AsyncIterator[Sequence[ChatEvent]]) -> None:
        """Read up to the commit point: the first delta of a stream, the end of a plain answer.

        Raises:
            ProviderError: the answer is empty, cut, or failed before the commit point.
        """
        head: list[ChatEvent] = []
        seen, request = self.answer, self._request
        async for batch in events:
            speaks = False
            for event in batch:
                if type(event) is RequestAdapted:  # costs less than isinstance
                    self._losses += event.losses
                    continue
                self.answered = True
                if type(event) is LimitsSeen:
                    if self._lease is not None:
                        self._lease.learned(event.limits)
                    continue
                head.append(event)
                seen.add(event)
                speaks = speaks or _says_something(event)
            if speaks and request.stream:
                self.head = head
                return
        seen.require_finish()
        stopped = seen.finish_reason is FinishReason.STOP and request.sampling.stop
        if seen.is_empty and not stopped:  # a stop string may come first of all
            raise ProviderError("The model's answer is empty.", kind=ProviderErrorKind.BAD_ANSWER)
        self.head = head

    def commit(self) -> None:
        """Note that this call's answer is the caller's."""
        self._committed = True
        self._note(None)
        self._trace.model = self.model
        if self._request.stream:
            self.answer = self._trace.answer  # adds up whatever leaves for the caller
            if self._lease is not None:
                self._lease.answering()

    async def end(self, error: BaseException | None) -> None:
        """Give everything back and take note of the end.

        Args:
            error: what ended the call; None: the answer is whole, or as much as is wanted.
        """
        try:
            if self._events is not None:
                await self._events.aclose()
        finally:
            try:
                self._take_note(error)
            finally:
                self._leave()

    def _take_note(self, error: BaseException | None) -> None:
        answer = self.answer
        if error is None and self._committed and answer.finish_reason is None:
            error = cut_short()
        if not self._committed:
            self._note(error)
        elif isinstance(error, ProviderError):
            self._trace.broke(error, self._started_s)
        if self._lease is not None:
            self._lease.end(
                error,
                usage=answer.usage,
                cost_usd=answer.reported_cost_usd,
                answered=self.answered,
                read_chars=answer.read_chars,
            )

    def _note(self, error: BaseException | None) -> None:
        self._trace.attempted(
            self.model, self._started_s, self._at, error, self._losses, self.key_id
        )


def _says_something(event: ChatEvent) -> bool:
    match event:
        case TextDelta() | ReasoningDelta():
            return event.text != ""
        case ToolCallDelta():
            return True
        case _:
            return False
