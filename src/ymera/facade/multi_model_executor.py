"""`core_services.ai_mcp.multi_model_executor` of the user's document."""

from __future__ import annotations

from collections.abc import Mapping

from ymera.facade.shared import shared_app
from ymera.phases.types import PhaseOutcome, RunResult, Strategy

__all__ = ["MultiModelExecutor", "PhaseOutcome", "RunResult", "get_multi_model_executor"]


class MultiModelExecutor:
    """Does tasks with agents, a model for each phase; needs no arguments and no clean-up."""

    async def initialize(self) -> None:
        """Build everything now instead of at the first task."""
        _ = shared_app().gateway

    async def execute_with_multi_model(
        self,
        agent_name: str,
        task_description: str,
        task_parameters: Mapping[str, object] | None = None,
        strategy: Strategy | str | None = None,
    ) -> RunResult:
        """Do a task and return what came of it; a failed phase shows there, it does not raise.

        Cancelling the call interrupts the run; `ymera runs resume` carries it on.

        Args:
            agent_name: such as `coding_agent`; `ymera agents` lists them.
            task_description: what to do.
            task_parameters: what the agent may be told beside it, such as `language`.
            strategy: `single_model` or `multi_model`; None: by agent and complexity.

        Raises:
            UnknownModel: no agent is called so.
            InvalidRequest: task, parameters or strategy do not fit.
            ConfigError: a setting or an agent's file is wrong.
            MachineError: runs cannot be stored.
        """
        app = shared_app()
        spec = app.running.plan(agent_name, task_description, task_parameters, strategy=strategy)
        return await app.runs.run(spec)


_executor = MultiModelExecutor()


def get_multi_model_executor() -> MultiModelExecutor:
    """Return the process's executor; it initialises itself at first use."""
    return _executor
