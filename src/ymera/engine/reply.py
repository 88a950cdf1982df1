"""An answer on its way to the caller."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
)
from ymera.core.errors import YmeraError
from ymera.core.ports import OutputGuard
from ymera.engine.attempts import Commitment
from ymera.engine.output import Screening
from ymera.engine.trace import RequestTrace

__all__ = ["Reply"]

_CUT = Finish(FinishReason.LENGTH)


class Reply:
    """An answer on its way: read it at once and once, by `batches()`, `events()` or `answer()`.

    It holds an upstream call; reading (to the end, or by closing the iterator) gives that back.
    """

    __slots__ = ("_commitment", "_enough", "_finish", "_screening", "trace")

    def __init__(
        self,
        trace: RequestTrace,
        commitment: Commitment,
        finish: Callable[[RequestTrace, BaseException | None], None],
        output_guard: OutputGuard | None = None,
    ) -> None:
        self.trace = trace
        self._commitment = commitment
        self._finish = finish
        self._screening: Screening | None = None
        if output_guard is not None and not trace.cached:  # what is held was screened before
            self._screening = Screening(output_guard, trace.found)
        self._enough = False

    def stop(self) -> None:
        """End a streamed answer after the event just read, as if its bound were reached.

        The upstream call is cancelled; the request is recorded as answered.
        """
        self._enough = True

    async def batches(self) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """Yield the answer as it comes: what arrived together in one batch, none of them empty.

        Closing the iterator cancels the upstream call.

        Raises:
            ProviderError: the upstream failed after the first delta had left.
        """
        trace, screening, rest = self.trace, self._screening, self._commitment.rest
        error: BaseException | None = None
        try:
            if head := self._passed(self._commitment.head):
                yield head
            if rest is not None and not self._has_enough():
                async for batch in rest:
                    if leaving := self._passed(batch):
                        yield leaving
                        if self._has_enough():
                            break
            if self._has_enough():
                trace.passed(_CUT)
                yield (_CUT,)
            elif screening is not None and (held := screening.rest()):
                self._note(held)
                yield held
            trace.answer.require_finish()
        except BaseException as caught:
            error = caught
            raise
        finally:
            await self._end(error)

    async def events(self) -> AsyncGenerator[ChatEvent, None]:
        """Yield the answer event by event; as `batches`.

        Raises:
            ProviderError: as `batches`.
        """
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for event in batch:
                    yield event
                    if self._has_enough():
                        break

    async def answer(self) -> ChatAnswer:
        """Return the whole answer.

        Raises:
            ProviderError: as `batches`.
        """
        self.trace.keep_answer()
        if self._commitment.rest is None:
            return await self._whole()
        async for _ in self.batches():
            pass
        return self.trace.answer.build()

    async def _whole(self) -> ChatAnswer:
        """Return an answer that has come already, without the ways of one that still comes."""
        error: BaseException | None = None
        try:
            head, added_up = self._commitment.head, self._commitment.whole
            leaving = head if self._screening is None else self._screening.whole(head)
            if leaving is head and added_up is not None:
                self.trace.answer = added_up
            else:
                self._note(leaving)
            return self.trace.answer.build()
        except BaseException as caught:
            error = caught
            raise
        finally:
            await self._end(error)

    def _has_enough(self) -> bool:  # a call: mypy takes a field for unchanged across a yield
        return self._enough

    def _passed(self, batch: Sequence[ChatEvent]) -> Sequence[ChatEvent]:
        """Return what of a batch may leave, noted in the trace."""
        if self._screening is not None:
            batch = self._screening.passed(batch)
        self._note(batch)
        return batch

    def _note(self, events: Sequence[ChatEvent]) -> None:
        for event in events:
            self.trace.passed(event)

    async def _end(self, error: BaseException | None) -> None:
        """Give back what the answer held, then have it recorded."""
        try:
            if self._commitment.end is not None:
                await self._commitment.end(error)
        finally:
            if isinstance(error, YmeraError):
                error.broke_off = not self.trace.cached
            self._finish(self.trace, error)
