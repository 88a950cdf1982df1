"""Prepares text for the rules on SQL injection.

What tells an injection from SQL is a quote that closes what the text itself never opened. So the
quotes are paired first, and the rules speak of unpaired ones.
"""

from __future__ import annotations

import re

__all__ = ["is_sentence", "prepared"]

OUT = "\x01"
"""A quote that closes what the text did not open."""
CLOSE = "\x02"
"""A quote that closes one of this text."""
OPEN = "\x03"
"""A quote that begins a literal, as code does after an operator or a comma."""

_COMMENT = re.compile(r"/\*(!?)\d{0,6}([^*]{0,200})\*/")
_APOSTROPHE = re.compile(r"(?<=[a-z])'(?=(?:s|t|re|ve|ll|d|m)\b)|(?<=\b[dol])'(?=[a-zé]{2})")
_BEFORE_LITERAL = frozenset("=+,([{.:&<>!~%|?")
_SPACE = re.compile(r"[^\S\n]+")
_ENGLISH = re.compile(
    r"\b(?:what|what's|how|why|which|who|does|do|don't|should|could|would|can|need|please|explain"
    r"|the|this|that|these|my|our|we|i|i'd|i'm|you|me|a|an|of|are|was|isn't|haven't|it's|vs|between"
    r"|write|give|show|tell|help|difference|mean|there|when i|is it)\b"
)
_FEW = 2


def prepared(view: str) -> str:
    """Return a view in lower case, without inline comments, its quotes told apart.

    Quotes become U+0001 (closes what was never opened here), U+0002 (closes) or U+0003 (opens a
    literal of code). Runs of blanks are one blank. Linear in the length of the text.
    """
    text = _COMMENT.sub(lambda m: f" {m[2]} " if m[1] else " ", view.lower())
    text = text.replace("/*", " -- ").replace("\x01", "").replace("\x02", "").replace("\x03", "")
    text = _APOSTROPHE.sub("", text)
    lines = (_SPACE.sub(" ", _paired(line)) for line in text.splitlines())
    return "\n".join(lines)


def is_sentence(view: str) -> bool:
    """Return whether a text speaks to somebody, rather than being the value of a field."""
    return len(set(_ENGLISH.findall(view.lower()))) >= _FEW


def _paired(line: str) -> str:
    if "'" not in line and '"' not in line:
        return line
    out = list(line)
    is_open = {"'": False, '"': False}
    before = ""
    for index, char in enumerate(line):
        if char in is_open:
            if is_open[char]:
                out[index] = CLOSE
            else:
                out[index] = OPEN if before in _BEFORE_LITERAL and before else OUT
            is_open[char] = not is_open[char]
        if not char.isspace():
            before = char
    return "".join(out)
