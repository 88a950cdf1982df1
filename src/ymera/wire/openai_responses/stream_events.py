"""The numbered events of one streamed answer, and the items it has so far."""

from __future__ import annotations

__all__ = ["Events"]


class Events:
    """Numbers events and places, and keeps finished items for the closing event.

    Attributes:
        items: finished items, encoded, by their places.
    """

    def __init__(self) -> None:
        self._number = 0
        self._places = 0
        self._done: dict[int, bytes] = {}

    @property
    def items(self) -> list[bytes]:
        """Finished items, in the order in which they began."""
        return [self._done[index] for index in sorted(self._done)]

    def next_index(self) -> int:
        """Return the place of the item that begins now."""
        self._places += 1
        return self._places - 1

    def event(self, name: str, fields: bytes) -> bytes:
        """Return `response.<name>` with these members of its object."""
        number = self._number
        self._number += 1
        kind = name.encode()
        return b'event: response.%b\ndata: {"type":"response.%b","sequence_number":%d,%b}\n\n' % (
            kind,
            kind,
            number,
            fields,
        )

    def response(self, name: str, body: bytes) -> bytes:
        """Return an event that carries the whole response."""
        return self.event(name, b'"response":%b' % body)

    def added(self, index: int, item: bytes) -> bytes:
        """Return the event with which an item begins."""
        return self.event("output_item.added", b'"output_index":%d,"item":%b' % (index, item))

    def done(self, index: int, item: bytes) -> bytes:
        """Return the event with which an item ends."""
        self._done[index] = item
        return self.event("output_item.done", b'"output_index":%d,"item":%b' % (index, item))
