"""An answer on its way through the output guard, event by event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from ymera.core.answer import (
    ChatEvent,
    ReasoningDelta,
    TextDelta,
)
from ymera.core.ports import OutputGuard, OutputScreen

__all__ = ["screened"]

_Delta = type[TextDelta] | type[ReasoningDelta]


async def screened(
    events: AsyncIterator[ChatEvent], guard: OutputGuard, report: Callable[[str], None]
) -> AsyncIterator[ChatEvent]:
    """Yield the events as the guard lets them pass.

    Text and visible reasoning are screened apart. What the guard holds back leaves when the kind
    of event changes; when the upstream fails, it does not leave at all.

    Args:
        events: the answer.
        guard: looks at its texts.
        report: told the kind of each finding.
    """
    open_kind: _Delta | None = None
    screen: OutputScreen | None = None
    async for event in events:
        if isinstance(event, TextDelta | ReasoningDelta):
            kind = type(event)
            if screen is None or kind is not open_kind:
                for held in _rest(open_kind, screen):
                    yield held
                open_kind, screen = kind, guard.screen(report)
            if text := screen.feed(event.text):
                yield event if text == event.text else kind(text)
            continue
        for held in _rest(open_kind, screen):
            yield held
        open_kind = screen = None
        yield event
    for held in _rest(open_kind, screen):
        yield held


def _rest(kind: _Delta | None, screen: OutputScreen | None) -> Iterator[ChatEvent]:
    if kind is not None and screen is not None and (text := screen.end()):
        yield kind(text)
