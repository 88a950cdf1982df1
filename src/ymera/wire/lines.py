"""Lines of JSON (NDJSON), parsed piece by piece."""

from __future__ import annotations

from ymera.core.errors import ProviderError, ProviderErrorKind

__all__ = ["LineParser"]


class LineParser:
    """Turns byte chunks, cut anywhere, into whole lines; empty ones are left out.

    A last line without its line feed is held back: an answer that ends so was cut.

    Args:
        max_line_bytes: a line that grows larger is an error, so that a broken upstream cannot
            fill the memory.
    """

    def __init__(self, max_line_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_line_bytes = max_line_bytes
        self._pieces: list[bytes] = []  # of the line whose end has not come yet
        self._held_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take in the next bytes; return every line they complete.

        Raises:
            ProviderError: a line is larger than `max_line_bytes`.
        """
        *whole, rest = chunk.split(b"\n")
        lines: list[bytes] = []
        for piece in whole:
            self._hold(piece)
            line = b"".join(self._pieces).strip()
            self._pieces.clear()
            self._held_bytes = 0
            if line:
                lines.append(line)
        self._hold(rest)
        return lines

    def _hold(self, piece: bytes) -> None:
        self._held_bytes += len(piece)
        if self._held_bytes > self._max_line_bytes:
            raise ProviderError(
                f"The upstream sent a line of more than {self._max_line_bytes} bytes.",
                kind=ProviderErrorKind.BAD_ANSWER,
            )
        self._pieces.append(piece)
