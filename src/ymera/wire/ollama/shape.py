"""Reading a body, and saying what is wrong with one that is not what the dialect says."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ymera.wire.problems import not_json, wrong_shape

__all__ = ["decode_body"]

_T = TypeVar("_T")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_body(
    decoder: msgspec.json.Decoder[_T], body: bytes
) -> tuple[_T, dict[str, msgspec.Raw]]:
    """Return the body as `decoder` reads it, and its top-level fields as they came.

    Raises:
        InvalidRequest: not JSON, not UTF-8, or of the wrong shape; `param` names the field.
    """
    try:
        return decoder.decode(body), _fields.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_shape(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json() from error
