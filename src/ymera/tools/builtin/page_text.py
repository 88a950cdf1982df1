"""The readable text of a web page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

__all__ = ["page_text"]

_SILENT = frozenset(
    "script style noscript template svg canvas iframe object nav header footer form button "
    "select".split()
)
_BLOCKS = frozenset(
    "p div br li ul ol tr table section article main h1 h2 h3 h4 h5 h6 pre blockquote dt dd hr "
    "title figcaption".split()
)
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_GAPS = re.compile(r"\n\s*\n\s*")


def page_text(html: str) -> str:
    """Return the text a reader sees: no scripts, no styles, no navigation; blocks on own lines."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    text = _SPACES.sub(" ", "".join(reader.pieces))
    lines = (line.strip() for line in text.split("\n"))
    return _GAPS.sub("\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    """Collects text, leaving out what stands inside silent elements."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        hidden = any(name == "hidden" for name, _ in attrs)
        if (tag in _SILENT or hidden) and tag not in _VOID:
            self._silent.append(tag)
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:  # an unclosed one ends with the element around it
            del self._silent[self._silent.index(tag) :]
        elif tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data)
