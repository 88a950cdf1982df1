"""`core_services.ai_mcp.security.security_manager` of the user's document."""

from __future__ import annotations

from datetime import UTC, datetime

from ymera.core.tool import Tool
from ymera.facade.shared import shared_app
from ymera.security.manager import (
    OutputVerdict,
    RateLimitVerdict,
    Sanitized,
    SecurityState,
    ToolVerdict,
)
from ymera.security.manager import SecurityManager as _Manager

__all__ = [
    "OutputVerdict",
    "RateLimitVerdict",
    "Sanitized",
    "SecurityManager",
    "ToolVerdict",
    "get_security_manager",
]


class SecurityManager(_Manager):
    """Guards, keys and limits of this process's configuration; needs no arguments.

    Nothing is read or written before the first call.
    """

    def __init__(self) -> None:
        super().__init__(
            vault=lambda: shared_app().securing.vault,
            state=_state,
            find_tool=_find_tool,
            now=lambda: datetime.now(UTC),
        )


def _state() -> SecurityState:
    return shared_app().securing.state()


def _find_tool(name: str) -> Tool | None:
    return shared_app().securing.find_tool(name)


_manager = SecurityManager()


def get_security_manager() -> SecurityManager:
    """Return the process's security manager; it initialises itself at first use."""
    return _manager
