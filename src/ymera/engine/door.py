"""What every caller of ours talks to: something that takes requests."""

from __future__ import annotations

from typing import Protocol

from ymera.core.access import Principal
from ymera.core.chat import ChatRequest
from ymera.core.route import RoutePlan
from ymera.engine.reply import Reply

__all__ = ["Door"]


class Door(Protocol):
    """Takes requests: the `Gateway`, or what stands in front of it."""

    async def handle(
        self, request: ChatRequest, principal: Principal, *, request_id: str = ""
    ) -> Reply:
        """Return the reply once an answer has begun; see `Gateway.handle`."""

    def route(self, request: ChatRequest) -> RoutePlan:
        """Return what would be asked and why; ask nothing."""
