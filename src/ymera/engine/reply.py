"""An answer on its way to the caller."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable

from ymera.core.answer import (
    AnswerBuilder,
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
)
from ymera.core.errors import YmeraError
from ymera.core.ports import OutputGuard
from ymera.engine.attempts import Commitment
from ymera.engine.output import screened
from ymera.engine.trace import RequestTrace

__all__ = ["Reply"]

_CUT = Finish(FinishReason.LENGTH)


class Reply:
    """An answer on its way: read it at once and once, with `events()` or `answer()`.

    It holds an upstream call; reading (to the end, or by closing the iterator) gives that back.
    """

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
        self._output_guard = output_guard
        self._enough = False

    def stop(self) -> None:
        """End a streamed answer after the event just read, as if its bound were reached.

        The upstream call is cancelled; the request is recorded as answered.
        """
        self._enough = True

    async def events(self) -> AsyncGenerator[ChatEvent, None]:
        """Yield the answer as it comes; closing the iterator cancels the upstream call.

        Raises:
            ProviderError: the upstream failed after the first delta had left.
        """
        error: BaseException | None = None
        try:
            async with self._commitment.resources:
                async for event in self._screened():
                    self.trace.passed(event)
                    yield event
                    if self._enough:
                        self.trace.passed(_CUT)
                        yield _CUT
                        break
            self.trace.answer.require_finish()
        except BaseException as caught:
            error = caught
            if isinstance(error, YmeraError):
                error.broke_off = not self.trace.cached
            raise
        finally:
            self._finish(self.trace, error)

    def _screened(self) -> AsyncIterator[ChatEvent]:
        events = self._commitment.events()
        if self._output_guard is None or self.trace.cached:  # what is held was screened before
            return events
        return screened(events, self._output_guard, self.trace.found)

    async def answer(self) -> ChatAnswer:
        """Return the whole answer.

        Raises:
            ProviderError: as `events`.
        """
        builder = AnswerBuilder()
        async for event in self.events():
            builder.add(event)
        return builder.build()
