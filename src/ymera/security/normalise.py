"""What a text says once its disguises are taken off, so that rules are written once."""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from urllib.parse import unquote

__all__ = ["lowered", "views", "visible"]

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\U000e0000-\U000e0fff]"
)
_SPACE = re.compile(r"\s+")
_QUOTES = str.maketrans({"‘": "'", "’": "'", "‛": "'", "ʼ": "'", "“": '"', "”": '"'})  # noqa: RUF001
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[a-zA-Z]{2,8});")
_ESCAPE = re.compile(r"\\(?:u00([0-9A-Fa-f]{2})|x([0-9A-Fa-f]{2}))")
_ROUNDS = 3
"""Encodings on top of each other that are taken off."""


def visible(text: str) -> str:
    """Return `text` without characters that are not shown and could hide something."""
    return text if text.isascii() and _is_shown(text) else _INVISIBLE.sub("", text)


def views(text: str) -> tuple[str, ...]:
    """Return the readings of a text: as it is shown, and decoded as an address or markup would be.

    Always at least one, without repeats, at most four.
    """
    plain = visible(text)
    if not plain.isascii():
        plain = unicodedata.normalize("NFKC", plain).translate(_QUOTES)
    found = [plain]
    for _ in range(_ROUNDS):
        decoded = _decoded(found[-1])
        if decoded == found[-1]:
            break
        found.append(decoded)
    return tuple(found)


def _decoded(text: str) -> str:
    if "%" in text and _PERCENT.search(text):
        text = unquote(text, errors="replace")
    if "+" in text and not any(c.isspace() for c in text):
        text = text.replace("+", " ")
    if "&" in text and _ENTITY.search(text):
        text = unescape(text)
    if "\\" in text:
        text = _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    return text


def lowered(text: str) -> str:
    """Return a text in lower case, its lines apart and white space in them as one blank."""
    text = text.lower()
    if not (text.isascii() and _is_shown(text)):
        return "\n".join(_SPACE.sub(" ", line) for line in text.splitlines())
    text = text.replace("\t", " ").replace("\r\n", "\n").replace("\r", "\n")
    while "  " in text:  # a few passes, each of them far faster than an expression
        text = text.replace("  ", " ")
    return text.removesuffix("\n")


def _is_shown(text: str) -> bool:
    """Return whether every character is printed, or is one of the usual white space."""
    return text.replace("\n", "").replace("\t", "").replace("\r", "").isprintable()
