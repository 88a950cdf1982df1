"""Characters that an upstream cut in two: half a surrogate pair in one piece, half in the next.

JSON writes characters beyond the first 65,536 as two escapes, and vendors that cut their text
between those send pieces that no strict reader takes. The halves are put together again; one whose
other half never comes is shown as U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from ymera.core.answer import ChatEvent, Finish, ReasoningDelta, TextDelta, ToolCallDelta

__all__ = ["UNREADABLE", "Halves", "whole_characters"]

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a piece raises that is no JSON, or has half a character in it."""

_STAND_IN = 0x10F000
"""Private characters that stand for the 2,048 halves while a piece is read as JSON."""
_FIRST_HALF = 0xD800
_ODD = re.compile(
    r"\\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\u(?P<half>[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|(?P<escape>\\.)"
    r"|(?P<raw>[\ud800-\udfff])"
    r"|(?P<private>[\U0010f000-\U0010f7ff])",
    re.DOTALL,
)
_STANDS_IN = re.compile("[\U0010f000-\U0010f7ff]")
_LOST = "\ufffd"

_Read = Callable[[bytes], list[ChatEvent]]
_Channel = tuple[str, int]
_TEXT: _Channel = ("text", 0)
_REASONING: _Channel = ("reasoning", 0)


class Halves:
    """Knows which half characters of one answer wait for their other half."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[_Channel, str] = {}

    def read(self, data: bytes, read: _Read) -> list[ChatEvent] | None:
        """Return what `read` makes of a piece that it could not read as it came.

        Args:
            data: the piece.
            read: makes events of JSON.

        Returns:
            None when half characters are not what is wrong with the piece.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError, RecursionError: something else is wrong, too.
        """
        mended = _mended(data)
        if mended == data:
            return None
        return self._events(read(mended), stood_in=True)

    def read_again(self, data: bytes, read: _Read) -> list[ChatEvent] | None:
        """Return as `read`; None also when something else is wrong."""
        try:
            return self.read(data, read)
        except UNREADABLE:
            return None

    def join(self, events: Sequence[ChatEvent]) -> list[ChatEvent]:
        """Return the events of a piece that could be read as it came."""
        return self._events(events, stood_in=False) if self._waiting else list(events)

    def _events(self, events: Sequence[ChatEvent], *, stood_in: bool) -> list[ChatEvent]:
        joined: list[ChatEvent] = []
        for event in events:
            match event:
                case TextDelta():
                    text = self._joined(_TEXT, event.text, stood_in)
                    joined += [TextDelta(text)] if text or not event.text else []
                case ReasoningDelta():
                    text = self._joined(_REASONING, event.text, stood_in)
                    if text or not event.text or event.signature is not None:
                        joined.append(msgspec.structs.replace(event, text=text))
                case ToolCallDelta():
                    joined.append(self._call(event, stood_in))
                case Finish():
                    joined += [*self._lost(), event]
                case _:
                    joined.append(event)
        return joined

    def _call(self, event: ToolCallDelta, stood_in: bool) -> ToolCallDelta:
        arguments = self._joined(("call", event.index), event.arguments, stood_in)
        changes: dict[str, object] = {"arguments": arguments}
        if stood_in:
            for name, text in (("id", event.id), ("name", event.name)):
                if text is not None:
                    changes[name] = _as_characters(_as_halves(text))
        return msgspec.structs.replace(event, **changes)

    def _joined(self, channel: _Channel, text: str, stood_in: bool) -> str:
        if not text:
            return text
        text = self._waiting.pop(channel, "") + (_as_halves(text) if stood_in else text)
        if "\ud800" <= text[-1] <= "\udbff":
            self._waiting[channel] = text[-1]
            text = text[:-1]
        return _as_characters(text)

    def _lost(self) -> list[ChatEvent]:
        """Return what the halves that still wait have become: the answer is over."""
        waiting, self._waiting = self._waiting, {}
        lost: list[ChatEvent] = []
        for kind, index in waiting:
            match kind:
                case "text":
                    lost.append(TextDelta(_LOST))
                case "reasoning":
                    lost.append(ReasoningDelta(_LOST))
                case _:
                    lost.append(ToolCallDelta(index=index, arguments=_LOST))
        return lost


def whole_characters(data: bytes, read: _Read) -> list[ChatEvent]:
    """Return what `read` makes of a whole answer, in which halves stand alone for good.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no JSON at all.
    """
    try:
        return read(data)
    except UNREADABLE:
        found = Halves().read(data, read)
        if found is None:
            raise
        return found


def _mended(data: bytes) -> bytes:
    """Return a piece with private characters where it has half ones."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data
    return _ODD.sub(_stand_in, text).encode()


def _stand_in(found: re.Match[str]) -> str:
    if found["half"]:
        return _for_half(int(found["half"], 16))
    if found["raw"]:
        return _for_half(ord(found["raw"]))
    if found["private"]:
        return _for_both(ord(found["private"]))
    if found["high"]:
        high, low = int(found["high"], 16), int(found["low"], 16)
        code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
        return _for_both(code) if _STANDS_IN.match(chr(code)) else found[0]
    return found[0]


def _for_half(half: int) -> str:
    return chr(_STAND_IN + half - _FIRST_HALF)


def _for_both(code: int) -> str:
    """Return the stand-ins of a character that is a stand-in itself."""
    high, low = 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF)
    return _for_half(high) + _for_half(low)


def _as_halves(text: str) -> str:
    return _STANDS_IN.sub(lambda one: chr(ord(one[0]) - _STAND_IN + _FIRST_HALF), text)


def _as_characters(text: str) -> str:
    """Return text with its halves joined, and U+FFFD for each that stands alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
