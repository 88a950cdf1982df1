"""A prompt as a set of numbers: hashed words and word pairs, shared by training and run time.

The numbers are part of the shipped model: they may depend on nothing that varies between
platforms or Python versions. CRC-32 (RFC 1952) of UTF-8 bytes is such a hash; `hash()` is not.
"""

from __future__ import annotations

import re
from itertools import pairwise
from zlib import crc32

__all__ = ["HEAD_CHARS", "TAIL_CHARS", "VERSION", "excerpt", "feature_ids"]

VERSION = 1
"""Raise it with any change of what `feature_ids` returns: older model files are refused then."""

HEAD_CHARS = 2_000
TAIL_CHARS = 500
"""What is asked stands at the start or the end; a pasted document in between costs nothing."""

_STEM_BYTES = 5
_LEAD_TOKENS = 4

# Over UTF-8 bytes: emoji and three-byte characters (Chinese, Japanese, Korean, ...) are tokens of
# their own, since those scripts put no spaces between words; then words, runs of digits, code
# fences, and single characters of ASCII punctuation.
_TOKEN = re.compile(
    rb"[\xf0-\xf4][\x80-\xbf]{3}"
    rb"|[\xe0-\xef][\x80-\xbf]{2}"
    rb"|(?:[a-z_]|[\xc2-\xdf][\x80-\xbf])+"
    rb"|[0-9]+"
    rb"|```"
    rb"|[!-/:-@\[-`{-~]"
)
_LENGTH_STEPS = (16, 40, 100, 300, 1_000)


def excerpt(text: str) -> str:
    """Return the part of `text` that is looked at: at most 2,501 characters."""
    if len(text) <= HEAD_CHARS + TAIL_CHARS:
        return text
    return f"{text[:HEAD_CHARS]}\n{text[-TAIL_CHARS:]}"


def feature_ids(text: str, mask: int) -> set[int]:
    """Return the features present in `text`, each 0..`mask`.

    Words, their first and last letters (a cheap stem, and the second half of compounds; both
    forgive typing errors), pairs of neighbours, the opening words, and a length bucket.

    Args:
        text: any text; lone surrogates count as question marks.
        mask: number of features minus 1; the number of features is a power of two.
    """
    tokens = _TOKEN.findall(excerpt(text).lower().encode("utf-8", "replace"))
    words = [b"0" if token.isdigit() else token for token in tokens]
    hashes = [_START, *map(crc32, words), _END]
    ids = {value & mask for value in hashes}
    ids.update((left * 31 + right) & mask for left, right in pairwise(hashes))
    ids.update(
        crc32(word[:_STEM_BYTES], _STEM_SALT) & mask for word in words if len(word) >= _STEM_BYTES
    )
    ids.update(
        crc32(word[-_STEM_BYTES:], _END_SALT) & mask for word in words if len(word) > _STEM_BYTES
    )
    ids.update(crc32(word, _LEAD_SALT) & mask for word in words[:_LEAD_TOKENS])
    length = sum(len(text) > step for step in _LENGTH_STEPS)
    ids.add(crc32(b"length %d" % length) & mask)
    return ids


_START, _END, _STEM_SALT, _END_SALT, _LEAD_SALT = (
    crc32(name) for name in (b"<start>", b"<end>", b"<stem>", b"<ending>", b"<lead>")
)
