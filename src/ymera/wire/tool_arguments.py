"""A tool call's arguments, for dialects that want an object where others have JSON text.

Models write broken JSON now and then, and it stays in the conversation. Where an object is wanted
such text becomes `{"_raw": text}`, which says what was written and comes back as that text.
"""

from __future__ import annotations

import msgspec

__all__ = ["arguments_as_object", "arguments_as_text"]

_object = msgspec.json.Decoder(dict[str, object])
_wrapped = msgspec.json.Decoder(dict[str, str])
_RAW = "_raw"


def arguments_as_object(arguments: str) -> tuple[msgspec.Raw, bool]:
    """Return the JSON object for `arguments`, and whether it is one as it stands.

    No text at all means no arguments: the empty object.
    """
    if not arguments.strip():
        return msgspec.Raw(b"{}"), True
    if _is_object(arguments):
        return msgspec.Raw(arguments.encode()), True
    text = arguments.encode("utf-8", "replace").decode()
    return msgspec.Raw(msgspec.json.encode({_RAW: text})), False


def arguments_as_text(raw: msgspec.Raw) -> str:
    """Return the JSON text of an object, as it was written.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: it is no JSON in UTF-8.
    """
    held = bytes(raw).strip()
    if held in {b"", b"null"}:
        return "{}"
    if held.startswith(b"{") and b'"_raw"' in held:
        try:
            wrapped = _wrapped.decode(held)
        except msgspec.DecodeError:
            wrapped = {}
        if wrapped.keys() == {_RAW} and not _is_object(wrapped[_RAW]):
            return wrapped[_RAW]
    return held.decode()


def _is_object(text: str) -> bool:
    try:
        _object.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
