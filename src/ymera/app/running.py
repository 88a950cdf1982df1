"""Runs of one configuration: planned from agents, kept in the data directory or PostgreSQL."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from ymera.app.phase_calls import PhaseCalls
from ymera.config.paths import DataPaths, ensure_writable
from ymera.config.schema import Settings
from ymera.core.access import LOCAL_OWNER, Principal
from ymera.core.errors import ConfigError, InvalidRequest, YmeraError
from ymera.core.task import TaskComplexity
from ymera.engine.gateway import Gateway
from ymera.engine.trace import Clock
from ymera.phases.types import Budget, RunSpec, Strategy

if TYPE_CHECKING:
    from ymera.phases.calls import AskWithTools
    from ymera.phases.executor import PhaseRunner, Rejected
    from ymera.phases.load import Agents
    from ymera.phases.service import RunService

__all__ = ["Running", "bounds"]

_log = logging.getLogger(__name__)
_NO_BOUND = 10**9


def bounds(
    *,
    calls: int | None = None,
    tokens: int | None = None,
    usd: Decimal | None = None,
    seconds: float | None = None,
) -> Budget:
    """Return a caller's wish for less; what is None is left to agent and configuration.

    Raises:
        InvalidRequest: a bound below 1 call, 1 token, 0 USD or 0 seconds.
    """
    for name, value, least in (
        ("calls", calls, 1),
        ("tokens", tokens, 1),
        ("usd", usd, 0),
        ("seconds", seconds, 0),
    ):
        nan = isinstance(value, Decimal) and value.is_nan()  # it raises where a float says no
        if value is not None and (nan or not value >= least):
            raise InvalidRequest(
                f"The budget's {name} is {value}; it must be at least {least}.",
                param=f"budget.{name}",
            )
    return Budget(
        calls=_NO_BOUND if calls is None else calls,
        tokens=_NO_BOUND if tokens is None else tokens,
        usd=Decimal(_NO_BOUND) if usd is None else usd,
        seconds=float(_NO_BOUND) if seconds is None else seconds,
    )


class Running:
    """Agents and runs; constructing one touches nothing.

    Args:
        paths: of the data directory.
        environ: environment variables; the database's URL is looked up here.
        clock: wall and monotonic time.
        settings: returns the settings in force.
        gateway: returns the gateway in force.
        ask_with_tools: returns what phases with tools ask through; None: they do without.
        rejected: told of answers that failed the checks of their phase.
        agents_dir: the user's own agents; None is `agents` beside the user's configuration.
    """

    def __init__(
        self,
        *,
        paths: DataPaths,
        environ: Mapping[str, str],
        clock: Clock,
        settings: Callable[[], Settings],
        gateway: Callable[[], Gateway],
        ask_with_tools: Callable[[], AskWithTools | None] = lambda: None,
        rejected: Rejected = lambda _spec, _phase, _model, _time_s: None,
        agents_dir: Path | None = None,
    ) -> None:
        self._folder = paths.root / "runs"
        self._environ = environ
        self._clock = clock
        self._settings = settings
        self._calls = PhaseCalls(gateway)
        self._ask_with_tools = ask_with_tools
        self._rejected = rejected
        self._agents_dir = agents_dir
        self._service: RunService | None = None

    @property
    def agents(self) -> Agents:
        """The agents there are: the bundled ones and the user's own."""
        from ymera.phases.load import Agents

        own = platformdirs.user_config_path("ymera", appauthor=False) / "agents"
        return Agents(self._agents_dir or own)

    @property
    def service(self) -> RunService:
        """The run service, made at first use.

        Raises:
            ConfigError: the variable that holds the database's URL is not set.
            MachineError: the data directory cannot be written.
        """
        if self._service is None:
            self._service = self._made()
        return self._service

    def plan(
        self,
        agent: str,
        task: str,
        parameters: Mapping[str, object] | None = None,
        *,
        strategy: Strategy | str | None = None,
        complexity: TaskComplexity | None = None,
        budget: Budget | None = None,
        private: bool = False,
        principal: Principal = LOCAL_OWNER,
    ) -> RunSpec:
        """Return the run that does `task`; asks no model.

        Args:
            agent: name of a bundled agent or one of the user's.
            task: what to do.
            parameters: what the agent may be told beside it.
            strategy: forces one; None: by agent and complexity.
            complexity: None: inferred from the task.
            budget: bounds below those of the agent and the configuration.
            private: only models that do not train on the text; nothing of it is kept.
            principal: who asks.

        Raises:
            UnknownModel: no agent is called so.
            ConfigError: the agent's file is wrong.
            InvalidRequest: task, parameters, strategy or budget do not fit.
            TooLong: task and parameters are over the limit.
        """
        from ymera.phases.plan import plan_run

        settings = self._settings()
        return plan_run(
            self.agents.get(agent),
            task,
            parameters or {},
            strategy=strategy,
            complexity=complexity,
            default_complexity=settings.models.default_complexity,
            budget=budget,
            most=self._most(),
            enable_multi_model=settings.models.enable_multi_model,
            private=private,
            principal=principal,
            max_task_chars=settings.security.max_input_length,
        )

    def check_store(self) -> str:
        """Return where runs are kept, once they could be read.

        Raises:
            ConfigError: the variable that holds the database's URL is not set.
            MachineError: the runs cannot be read.
        """
        from ymera.storage.runs import SqlRunStore

        url = self._database_url()
        store = SqlRunStore(url or self._folder / "runs.sqlite3")
        try:
            store.newest(1)
        finally:
            store.close()
        return "PostgreSQL" if url else str(self._folder)

    async def resume_pending(self) -> tuple[str, ...]:
        """Carry on what dead processes left behind, now and until `close`; return what is begun.

        What is wrong with the store is logged: everything else may go on without runs.
        """
        try:
            return await self.service.resume_pending(watch=True)
        except YmeraError as error:
            _log.error("runs left behind are not carried on: %s %s", error, error.hint or "")
            return ()

    async def close(self) -> None:
        """Stop runs under way, to be carried on at the next start; may be used again after."""
        if self._service is not None:
            service, self._service = self._service, None
            await service.close()

    def _made(self) -> RunService:
        from ymera.phases.service import RunService
        from ymera.storage.runs import SqlRunStore

        url = self._database_url()
        if url is None:
            ensure_writable(self._folder)
        return RunService(
            runner=self._runner,
            store=SqlRunStore(url or self._folder / "runs.sqlite3"),
            engine_location=url or self._folder / "dbos.sqlite",
            clock=self._clock,
            most=self._most,
            max_parallel=lambda: self._settings().runs.max_parallel_runs,
            retention=lambda: timedelta(days=self._settings().runs.retention_days),
        )

    def _runner(self) -> PhaseRunner:
        from ymera.phases.executor import PhaseRunner

        return PhaseRunner(
            ask=self._calls,
            clock=self._clock,
            ask_with_tools=self._ask_with_tools(),
            context_tokens=self._calls.context_tokens,
            first_choice=self._calls.first_choice,
            rejected=self._rejected,
            max_usd_per_call=self._settings().budget.max_usd_per_request,
        )

    def _most(self) -> Budget:
        """Return the configuration's bounds."""
        runs = self._settings().runs
        return Budget(
            calls=runs.max_calls,
            tokens=runs.max_tokens,
            usd=runs.max_usd,
            seconds=float(runs.max_seconds),
        )

    def _database_url(self) -> str | None:
        name = self._settings().runs.database_url_env
        if name is None:
            return None
        url = self._environ.get(name, "").strip()
        if not url:
            raise ConfigError(
                f"The variable {name} with the URL of the database for runs is not set.",
                hint="Export it, or set runs.database_url_env to null for SQLite.",
                param="runs.database_url_env",
            )
        return url
