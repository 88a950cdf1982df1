"""Reasoning that a model writes into its text: `<think>...</think>` in front of the answer."""

from __future__ import annotations

from ymera.core.answer import ChatEvent, Finish, ReasoningDelta, TextDelta, ToolCallDelta

__all__ = ["ThinkTags"]

_TAGS = {"<think>": "</think>", "<thought>": "</thought>"}


class ThinkTags:
    """Makes reasoning of what stands between the tags at the very start of one answer's text.

    Tags may arrive in pieces: what may still become one is held back until it is clear. White space
    before the first tag and after the last one is dropped with them; a tag further on in the text
    is text. Reasoning whose closing tag never comes stays reasoning.
    """

    def __init__(self) -> None:
        self._held = ""
        self._closing = ""
        self._feed = self._before

    def split(self, events: list[ChatEvent]) -> list[ChatEvent]:
        """Return the events that these ones become, possibly none."""
        split: list[ChatEvent] = []
        for event in events:
            if isinstance(event, TextDelta):
                split += self._feed(event.text)
                continue
            if isinstance(event, Finish | ToolCallDelta):
                split += self._rest()
            split.append(event)
        return split

    def _before(self, text: str) -> list[ChatEvent]:
        """Look for a tag that opens."""
        self._held += text
        begun = self._held.lstrip()
        for opening, closing in _TAGS.items():
            if begun.startswith(opening):
                self._closing, self._held = closing, ""
                self._feed = self._within
                return self._within(begun.removeprefix(opening))
        if any(opening.startswith(begun) for opening in _TAGS):
            return []
        return self._rest()

    def _within(self, text: str) -> list[ChatEvent]:
        """Look for the tag that closes."""
        self._held += text
        reasoning, closing, after = self._held.partition(self._closing)
        if closing:
            self._held, self._feed = "", self._after
            return [*_reasoning(reasoning), *self._after(after)]
        sure = len(reasoning) - _beginning_at_the_end(reasoning, self._closing)
        self._held = reasoning[sure:]
        return _reasoning(reasoning[:sure])

    def _after(self, text: str) -> list[ChatEvent]:
        """Drop the white space between reasoning and answer."""
        if text := text.lstrip():
            self._feed = _as_text
        return _as_text(text)

    def _rest(self) -> list[ChatEvent]:
        """Give out what was held back: no tag will come of it any more."""
        held, self._held = self._held, ""
        if self._feed == self._within:
            return _reasoning(held)
        self._feed = _as_text
        return _as_text(held)


def _as_text(text: str) -> list[ChatEvent]:
    return [TextDelta(text)] if text else []


def _reasoning(text: str) -> list[ChatEvent]:
    return [ReasoningDelta(text)] if text else []


def _beginning_at_the_end(text: str, tag: str) -> int:
    """Return how many characters at the end of `text` may be the beginning of `tag`."""
    lengths = range(min(len(tag) - 1, len(text)), 0, -1)
    return next((length for length in lengths if text.endswith(tag[:length])), 0)
