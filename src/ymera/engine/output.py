"""An answer on its way through the output guard, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec

from ymera.core.answer import ChatEvent, ReasoningDelta, TextDelta
from ymera.core.ports import OutputGuard, OutputScreen

__all__ = ["Screening"]

_Delta = type[TextDelta] | type[ReasoningDelta]
_TEXTS = frozenset({TextDelta, ReasoningDelta})


class Screening:
    """Lets the events of one answer pass as the guard allows.

    Text and visible reasoning are screened apart. What the guard holds back leaves when the kind
    of event changes; when the upstream fails, it does not leave at all. A signature leaves after
    the reasoning it signs, unless the guard found something in that: it would no longer fit.

    Args:
        guard: looks at the answer's texts.
        report: told the kind of each finding.
    """

    __slots__ = ("_found", "_guard", "_open_kind", "_report", "_screen")

    def __init__(self, guard: OutputGuard, report: Callable[[str], None]) -> None:
        self._guard = guard
        self._report = report
        self._open_kind: _Delta | None = None
        self._screen: OutputScreen | None = None
        self._found = False

    def passed(self, events: Sequence[ChatEvent]) -> list[ChatEvent]:
        """Take the next events; return what may leave now."""
        leaving: list[ChatEvent] = []
        for event in events:
            if type(event) is TextDelta or type(event) is ReasoningDelta:
                self._read(event, leaving)
            else:
                self._close(leaving)
                leaving.append(event)
        return leaving

    def whole(self, events: Sequence[ChatEvent]) -> Sequence[ChatEvent]:
        """Take every event of an answer; return what may leave: `passed` and `rest`, for less.

        These are the very `events` where the guard finds nothing.
        """
        kinds = [type(event) for event in events]
        if any(kind is after for kind, after in pairwise(kinds) if kind in _TEXTS):
            return [*self.passed(events), *self.rest()]  # a text in several pieces
        leaving: list[ChatEvent] = []
        changed = False
        for event in events:
            if isinstance(event, TextDelta | ReasoningDelta):
                self._found = False
                text = self._guard.screen_whole(event.text, self._note)
                if self._found:
                    changed = True
                    if text:
                        leaving.append(type(event)(text))
                    continue
            leaving.append(event)
        return leaving if changed else events

    def rest(self) -> list[ChatEvent]:
        """Return what is still held, once the answer has ended."""
        leaving: list[ChatEvent] = []
        self._close(leaving)
        return leaving

    def _read(self, event: TextDelta | ReasoningDelta, leaving: list[ChatEvent]) -> None:
        kind, screen = type(event), self._screen
        if screen is None or kind is not self._open_kind:
            self._close(leaving)
            screen = self._screen = self._guard.screen(self._note)
            self._open_kind, self._found = kind, False
        text = screen.feed(event.text)
        if type(event) is ReasoningDelta and event.signature is not None:
            text += screen.end()
            self._open_kind = self._screen = None
            if not self._found:
                leaving.append(msgspec.structs.replace(event, text=text))
                return
        if text:
            leaving.append(event if text == event.text else kind(text))

    def _close(self, leaving: list[ChatEvent]) -> None:
        kind, screen = self._open_kind, self._screen
        self._open_kind = self._screen = None
        if kind is not None and screen is not None and (text := screen.end()):
            leaving.append(kind(text))

    def _note(self, finding: str) -> None:
        self._found = True
        self._report(finding)
