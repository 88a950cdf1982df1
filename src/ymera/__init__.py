"""Ymera makes forty free models work like one good one.

    async with ymera.connect() as ai:
        answer = await ai.ask("Write a SQL query for monthly revenue")

Every public name is here; importing the package loads none of the parts behind them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ymera.core.answer import TextDelta
    from ymera.core.errors import YmeraError
    from ymera.core.route import RoutePlan
    from ymera.core.task import TaskComplexity, TaskType
    from ymera.core.usage import Usage
    from ymera.facade.ai_orchestrator import (
        AIOrchestrator,
        AIRequest,
        AIResponse,
        get_orchestrator,
    )
    from ymera.facade.connect import SyncYmera, Ymera, connect, connect_sync
    from ymera.facade.multi_model_executor import (
        MultiModelExecutor,
        RunResult,
        get_multi_model_executor,
    )

    __version__: str

__all__ = [
    "AIOrchestrator",
    "AIRequest",
    "AIResponse",
    "MultiModelExecutor",
    "RoutePlan",
    "RunResult",
    "SyncYmera",
    "TaskComplexity",
    "TaskType",
    "TextDelta",
    "Usage",
    "Ymera",
    "YmeraError",
    "__version__",
    "connect",
    "connect_sync",
    "get_multi_model_executor",
    "get_orchestrator",
]

_HOME = {
    "AIOrchestrator": "ymera.facade.ai_orchestrator",
    "AIRequest": "ymera.facade.ai_orchestrator",
    "AIResponse": "ymera.facade.ai_orchestrator",
    "MultiModelExecutor": "ymera.facade.multi_model_executor",
    "RoutePlan": "ymera.core.route",
    "RunResult": "ymera.facade.multi_model_executor",
    "SyncYmera": "ymera.facade.connect",
    "TaskComplexity": "ymera.core.task",
    "TaskType": "ymera.core.task",
    "TextDelta": "ymera.core.answer",
    "Usage": "ymera.core.usage",
    "Ymera": "ymera.facade.connect",
    "YmeraError": "ymera.core.errors",
    "connect": "ymera.facade.connect",
    "connect_sync": "ymera.facade.connect",
    "get_multi_model_executor": "ymera.facade.multi_model_executor",
    "get_orchestrator": "ymera.facade.ai_orchestrator",
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("ymera")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'ymera' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
