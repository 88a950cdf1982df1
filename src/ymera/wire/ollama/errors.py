"""Failures told to our callers: `{"error": "a sentence"}`; upstreams' are read as everywhere."""

from __future__ import annotations

import msgspec

from ymera.core.errors import YmeraError
from ymera.wire.upstream_error import told

__all__ = ["encode_error"]


def encode_error(error: YmeraError) -> bytes:
    """Return the error as this dialect writes it; the hint follows the message."""
    return msgspec.json.encode({"error": told(error)})
