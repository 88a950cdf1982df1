"""Tool arguments: an object on one line here, JSON text everywhere else."""

from __future__ import annotations

import msgspec

from ymera.wire.tool_arguments import arguments_as_object, arguments_as_text

__all__ = ["object_from", "text_from"]

_object = msgspec.json.Decoder(dict[str, object])
_string = msgspec.json.Decoder(str)


def object_from(text: str) -> tuple[msgspec.Raw, bool]:
    """Return the arguments as an object, and whether they were one (see `arguments_as_object`)."""
    found, was_object = arguments_as_object(text)
    # Line breaks inside JSON are blanks, and here a line must hold the whole answer.
    return msgspec.Raw(bytes(found).replace(b"\n", b" ").replace(b"\r", b" ")), was_object


def text_from(raw: msgspec.Raw) -> str:
    """Return arguments as text: an object as it was written; some clients send text already.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: they are neither.
    """
    held = bytes(raw).strip()
    if held.startswith(b'"'):
        return _string.decode(held)
    if held not in {b"", b"null"}:
        _object.decode(held)
    return arguments_as_text(raw)
