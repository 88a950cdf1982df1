"""Requests without a question: with them clients load a model ahead, or unload it."""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = ["LoadRequest", "encode_loaded", "load_request"]

_LARGEST_BYTES = 4096
"""Such requests are short; a longer body is not looked at twice."""

_NOW = frozenset({"0", "0s", "0m", "0h"})


class LoadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What such a request names.

    Attributes:
        model: the name.
        unload: whether it is to be unloaded.
    """

    model: str
    unload: bool = False


class _Body(msgspec.Struct):
    model: str
    prompt: str | None = None
    messages: list[msgspec.Raw] | None = None
    images: list[msgspec.Raw] | None = None
    suffix: str | None = None
    keep_alive: float | str | None = None


_body = msgspec.json.Decoder(_Body)


def load_request(body: bytes) -> LoadRequest | None:
    """Return what a body without a question asks for; None for any other."""
    if len(body) > _LARGEST_BYTES:
        return None
    try:
        read = _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # whoever reads it next says what is wrong
    if not read.model or read.prompt or read.messages or read.images or read.suffix:
        return None
    unload = read.keep_alive == 0 or read.keep_alive in _NOW
    return LoadRequest(model=read.model, unload=unload)


def encode_loaded(request: LoadRequest, at: datetime, *, chat: bool) -> bytes:
    """Return the answer, which says nothing but that it is done.

    Args:
        request: what was asked.
        at: now.
        chat: of `/api/chat`; else of `/api/generate`.
    """
    said = {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
    reason = "unload" if request.unload else "load"
    return msgspec.json.encode(
        {"model": request.model, "created_at": at, **said, "done": True, "done_reason": reason}
    )
