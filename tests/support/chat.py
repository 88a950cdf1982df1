"""Small requests and models that many tests ask with."""

from __future__ import annotations

from ymera.core.chat import (
    ChatRequest,
    Message,
    Role,
    TextPart,
)
from ymera.core.model import FreeTerms, Model

__all__ = ["make_model", "make_request"]


def make_model(name: str = "sim-small") -> Model:
    """Return the catalogue entry `sim/<name>`."""
    free = FreeTerms(free_now=True, may_auto_route=True, reason="a double")
    return Model(id=f"sim/{name}", provider="sim", upstream_id=name, name=name, free=free)


def make_request(prompt: str = "say hello", *, stream: bool = True) -> ChatRequest:
    """Return a request of one user turn."""
    message = Message(role=Role.USER, content=(TextPart(prompt),))
    return ChatRequest(model="auto", messages=(message,), stream=stream)
