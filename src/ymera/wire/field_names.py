"""Names of fields that could be taken for others."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from ymera.core.chat import ChatRequest

__all__ = ["ALIKE_WITHIN", "UNREAD", "alike_within", "is_named_like", "unread"]

ALIKE_WITHIN = "Fields within messages that are named like others were left out."
UNREAD = "left out: the messages were changed on the way, and these could say it still."
_LONG_CHARS = 64
_NESTED = ("content", "parts", "tool_calls")
_items = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def is_named_like(name: str, names: frozenset[str]) -> bool:
    """Return whether a lenient reader could take `name` for one of `names`, and they differ.

    Servers written in Go read `Model` as `model`, and the last of both counts: a caller could have
    another model asked, or another text read, than the ones that were looked at.

    Args:
        name: as a caller wrote it.
        names: what was read.
    """
    return name not in names and name.casefold() in _folded(names)


@lru_cache(maxsize=64)
def _folded(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.casefold() for name in names)


def alike_within(turns: msgspec.Raw | None, names: frozenset[str]) -> bool:
    """Return whether a turn, or a part of one, has a field that could be taken for another.

    A guard read `content`; who reads `Content` as the same would be told something else.

    Args:
        turns: a list of objects as a caller wrote it, known to be one; anything else has no such
            field.
        names: what was read of turns and parts.
    """
    if turns is None or not bytes(turns).lstrip().startswith(b"["):
        return False
    for item in _items.decode(turns):
        further = item.keys() - names
        if further and any(is_named_like(name, names) for name in further):
            return True
        for name in _NESTED:
            if name in item and alike_within(item[name], names):
                return True
    return False


def unread(request: ChatRequest) -> list[str]:
    """Return further fields that could still say what a guard has changed in the messages.

    No guard reads them: those with a long string in them, or with one of several words.
    """
    verbatim = request.verbatim
    if verbatim is None or request.messages is verbatim.decoded.messages:
        return []
    return [name for name, raw in request.extra.items() if _says(msgspec.json.decode(raw))]


def _says(value: object) -> bool:
    if isinstance(value, str):
        return len(value) > _LONG_CHARS or len(value.split()) > 1
    if isinstance(value, dict):
        return any(_says(each) for pair in value.items() for each in pair)
    return isinstance(value, list) and any(map(_says, value))
