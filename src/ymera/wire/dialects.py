"""Dialects by name; each is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from ymera.core.model import Dialect
from ymera.wire.codec import CallerDialect, UpstreamDialect

__all__ = ["UPSTREAM_DIALECTS", "caller_dialect", "upstream_dialect"]

UPSTREAM_DIALECTS: frozenset[Dialect] = frozenset(
    {Dialect.OPENAI_CHAT, Dialect.ANTHROPIC, Dialect.GEMINI, Dialect.OLLAMA}
)
"""What upstreams can be asked in."""


def upstream_dialect(dialect: Dialect) -> UpstreamDialect:
    """Return how upstreams of a dialect are asked; it is one of `UPSTREAM_DIALECTS`."""
    return cast("UpstreamDialect", _package(dialect).UPSTREAM)


def caller_dialect(dialect: Dialect) -> CallerDialect:
    """Return how callers of a dialect are answered."""
    return cast("CallerDialect", _package(dialect).CALLER)


def _package(dialect: Dialect):  # type: ignore[no-untyped-def]
    return import_module(f"ymera.wire.{dialect.value.replace('-', '_')}")
