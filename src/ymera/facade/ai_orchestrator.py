"""`core_services.ai_mcp.ai_orchestrator` of the user's document."""

from __future__ import annotations

from ymera.core.task import TaskComplexity, TaskType
from ymera.engine.orchestrator import AIOrchestrator as _Orchestrator
from ymera.engine.orchestrator import AIRequest, AIResponse
from ymera.facade.shared import shared_app

__all__ = [
    "AIOrchestrator",
    "AIRequest",
    "AIResponse",
    "TaskComplexity",
    "TaskType",
    "get_orchestrator",
]


class AIOrchestrator(_Orchestrator):
    """Answers requests with this process's configuration; needs no arguments and no clean-up."""

    def __init__(self) -> None:
        super().__init__(
            lambda: shared_app().front_door,
            lambda: shared_app().settings.models.default_model,
            lambda: shared_app().settings.tools.always,
        )


_orchestrator = AIOrchestrator()


def get_orchestrator() -> AIOrchestrator:
    """Return the process's orchestrator; it initialises itself at first use."""
    return _orchestrator
