"""Server-sent events, parsed piece by piece.

Source: WHATWG HTML, section "Server-sent events". Only `data` is handed on: every dialect that
names its events repeats the name inside the JSON.
"""

from __future__ import annotations

from ymera.core.errors import ProviderError, ProviderErrorKind

__all__ = ["SSEParser", "sse_event"]

_BOM = b"\xef\xbb\xbf"


def sse_event(data: bytes) -> bytes:
    """Return one event whose `data` is `data` (no line break inside, as in compact JSON)."""
    return b"data: %b\n\n" % data


class SSEParser:
    """Turns byte chunks, cut anywhere, into the data of whole events.

    Args:
        max_event_bytes: an event that grows larger is an error, so that a broken upstream cannot
            fill the memory.
    """

    def __init__(self, max_event_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_event_bytes = max_event_bytes
        self._line: list[bytes] = []  # pieces of the line whose end has not come yet
        self._data: list[bytes] = []  # data lines of the event whose end has not come yet
        self._held_bytes = 0
        self._skip_line_feed = False  # the last chunk ended in CR: a leading LF belongs to it
        self._first_line = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take in the next bytes; return the data of every event they complete.

        Raises:
            ProviderError: an event is larger than `max_event_bytes`.
        """
        if self._skip_line_feed and chunk:
            self._skip_line_feed = False
            chunk = chunk.removeprefix(b"\n")
        events: list[bytes] = []
        for piece in chunk.splitlines(keepends=True):
            line = piece.rstrip(b"\r\n")
            self._hold(line)
            if len(line) == len(piece):
                break  # the line goes on in the next chunk; splitlines yields such a piece last
            self._end_line(events)
        self._skip_line_feed = chunk.endswith(b"\r")
        return events

    def _hold(self, piece: bytes) -> None:
        self._held_bytes += len(piece)
        if self._held_bytes > self._max_event_bytes:
            raise ProviderError(
                f"The upstream sent a stream event of more than {self._max_event_bytes} bytes.",
                kind=ProviderErrorKind.BAD_ANSWER,
            )
        self._line.append(piece)

    def _end_line(self, events: list[bytes]) -> None:
        line = self._line[0] if len(self._line) == 1 else b"".join(self._line)
        self._line.clear()
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                events.append(b"\n".join(self._data))
                self._data.clear()
            self._held_bytes = 0
        elif line == b"data" or line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        else:
            self._held_bytes -= len(line)  # a comment, or a field that nobody needs
