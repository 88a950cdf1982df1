"""One upstream call from its first event to its end, as record, quotas and health see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from types import TracebackType

from ymera.core.answer import (
    AnswerBuilder,
    ChatEvent,
    FinishReason,
    LimitsSeen,
    ReasoningDelta,
    RequestAdapted,
    TextDelta,
    ToolCallDelta,
)
from ymera.core.chat import ChatRequest
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Model
from ymera.engine.lease import Lease
from ymera.engine.trace import RequestTrace

__all__ = ["UpstreamCall"]


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

    Attributes:
        answered: whether anything of an answer has come.
        head: every event up to the commit point, once it is reached.
    """

    __slots__ = (
        "_answer",
        "_at",
        "_committed",
        "_lease",
        "_losses",
        "_request",
        "_started_s",
        "_trace",
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
        losses: tuple[str, ...] = (),
    ) -> None:
        self.model = model
        self.key_id = key_id
        self.answered = False
        self.head: tuple[ChatEvent, ...] = ()
        self._request = request
        self._trace = trace
        self._lease = lease
        self._losses = losses
        self._answer = AnswerBuilder(keep_text=False)
        self._committed = False
        self._at = at
        self._started_s = trace.clock.monotonic()

    async def read_head(self, events: AsyncIterator[ChatEvent]) -> None:
        """Read up to the commit point: the first delta of a stream, the end of a plain answer.

        Raises:
            ProviderError: the answer is empty, cut, or failed before the commit point.
        """
        head: list[ChatEvent] = []
        seen, request = self._answer, self._request
        async for event in events:
            if isinstance(event, RequestAdapted):
                self._losses += event.losses
                continue
            self.answered = True
            if isinstance(event, LimitsSeen):
                if self._lease is not None:
                    self._lease.learned(event.limits)
                continue
            head.append(event)
            seen.add(event)
            if request.stream and _says_something(event):
                self.head = tuple(head)
                return
        seen.require_finish()
        stopped = seen.finish_reason is FinishReason.STOP and request.sampling.stop
        if seen.is_empty and not stopped:  # a stop string may come first of all
            raise ProviderError("The model's answer is empty.", kind=ProviderErrorKind.BAD_ANSWER)
        self.head = tuple(head)

    def commit(self) -> None:
        """Note that this call's answer is the caller's."""
        self._committed = True
        self._note(None)
        self._trace.model = self.model
        if self._request.stream:
            self._answer = self._trace.answer  # adds up whatever leaves for the caller
            if self._lease is not None:
                self._lease.answering()

    def ended(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take note of the end; the callback of an exit stack."""
        del kind, traceback
        answer = self._answer
        if error is None and self._committed and answer.finish_reason is None:
            error = _cut()
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
            )

    def _note(self, error: BaseException | None) -> None:
        self._trace.attempted(
            self.model, self._started_s, self._at, error, self._losses, self.key_id
        )


def _cut() -> ProviderError | None:
    try:
        AnswerBuilder().require_finish()
    except ProviderError as error:
        return error
    return None


def _says_something(event: ChatEvent) -> bool:
    match event:
        case TextDelta() | ReasoningDelta():
            return event.text != ""
        case ToolCallDelta():
            return True
        case _:
            return False
