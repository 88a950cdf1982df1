"""Turns and content blocks, as callers write them."""

from __future__ import annotations

import msgspec

__all__ = ["Block", "Source", "WireMessage"]

_ABSENT = msgspec.Raw()


class Source(msgspec.Struct):
    """Where an image is: in place (base64) or at an address."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class Block(msgspec.Struct):
    """One block of any type; which fields it has follows from `type`.

    Raw where types that are refused by name hold something else under the same name.
    """

    type: str
    text: msgspec.Raw = _ABSENT
    source: msgspec.Raw = _ABSENT
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _ABSENT
    tool_use_id: str | None = None
    content: msgspec.Raw = _ABSENT
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class WireMessage(msgspec.Struct):
    """One turn."""

    role: str
    content: str | list[Block]
