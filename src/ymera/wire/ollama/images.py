"""Images: bare base64 here, URLs with a media type everywhere else."""

from __future__ import annotations

import re

from ymera.core.chat import ImagePart
from ymera.core.errors import Unsupported
from ymera.wire.problems import invalid

__all__ = ["image_from", "image_to"]

_DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")

_MEDIA_TYPES = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("Qk", "image/bmp"),
)
"""How the first bytes of an image look in base64."""


def image_from(text: str, param: str) -> ImagePart:
    """Return the image a caller sent.

    Args:
        text: base64, or a `data:` URL as some clients send.
        param: name of the field.

    Raises:
        InvalidRequest: it is neither, or of no known kind of image.
    """
    if _DATA_URL.match(text):
        return ImagePart(url=text)
    held = "".join(text.split())
    media_type = next((kind for start, kind in _MEDIA_TYPES if held.startswith(start)), None)
    if media_type is None or _BASE64.fullmatch(held) is None:
        raise invalid(
            param,
            "is no image in base64.",
            "Send the bytes of a PNG, JPEG, GIF, WebP or BMP file in base64, without a URL.",
        )
    return ImagePart(url=f"data:{media_type};base64,{held}")


def image_to(part: ImagePart, param: str) -> str:
    """Return the base64 of an image for an upstream.

    Args:
        part: the image.
        param: name of the field that holds it.

    Raises:
        Unsupported: it is elsewhere: Ollama fetches nothing, and neither do we.
    """
    found = _DATA_URL.match(part.url)
    if found is None:
        raise Unsupported(
            f"`{param}`: this model takes images as data only, not by address.",
            hint="Send the image as a data: URL in base64.",
            param=param,
        )
    return part.url[found.end() :]
