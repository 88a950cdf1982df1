"""Who is asking."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["LOCAL_OWNER", "Principal", "PrincipalKind"]


class PrincipalKind(StrEnum):
    """How the caller was recognised."""

    LOCAL_OWNER = "local_owner"
    USER = "user"
    ACCESS_KEY = "access_key"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The caller of one request; `id` is safe to log (never a secret)."""

    id: str
    kind: PrincipalKind


LOCAL_OWNER = Principal(id="local-owner", kind=PrincipalKind.LOCAL_OWNER)
"""The person at this machine: no rate limit applies."""
