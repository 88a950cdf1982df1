"""An answer on its way through the output guard, event by event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import msgspec

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
    of event changes; when the upstream fails, it does not leave at all. A signature leaves after
    the reasoning it signs, unless the guard found something in that: it would no longer fit.

    Args:
        events: the answer.
        guard: looks at its texts.
        report: told the kind of each finding.
    """
    open_kind: _Delta | None = None
    screen: OutputScreen | None = None
    found = False

    def noted(finding: str) -> None:
        nonlocal found
        found = True
        report(finding)

    async for event in events:
        if isinstance(event, TextDelta | ReasoningDelta):
            kind = type(event)
            if screen is None or kind is not open_kind:
                for held in _rest(open_kind, screen):
                    yield held
                open_kind, screen, found = kind, guard.screen(noted), False
            text = screen.feed(event.text)
            if isinstance(event, ReasoningDelta) and event.signature is not None:
                text += screen.end()
                open_kind = screen = None
                if not found:
                    yield msgspec.structs.replace(event, text=text)
                    continue
            if text:
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
