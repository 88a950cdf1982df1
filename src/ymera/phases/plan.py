"""From a task to a run: everything that can be refused is refused here, before any call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches

import msgspec

from ymera.core.access import LOCAL_OWNER, Principal
from ymera.core.errors import InvalidRequest, TooLong
from ymera.core.task import TaskComplexity
from ymera.phases.types import AgentSpec, Budget, PhaseSpec, RunSpec, Strategy
from ymera.routing.complexity import infer_complexity

__all__ = ["new_run_id", "plan_run"]

_ID_BYTES = 12
_MAX_TASK_CHARS = 100_000
_NO_PARAMETERS: Mapping[str, object] = {}


def new_run_id() -> str:
    """Return a name for one run, unique for all practical purposes."""
    return f"run_{os.urandom(_ID_BYTES).hex()}"


def plan_run(
    agent: AgentSpec,
    task: str,
    parameters: Mapping[str, object] = _NO_PARAMETERS,
    *,
    id: str | None = None,
    strategy: Strategy | str | None = None,
    complexity: TaskComplexity | None = None,
    default_complexity: TaskComplexity = TaskComplexity.MEDIUM,
    budget: Budget | None = None,
    most: Budget | None = None,
    enable_multi_model: bool = True,
    private: bool = False,
    principal: Principal = LOCAL_OWNER,
    max_task_chars: int = _MAX_TASK_CHARS,
) -> RunSpec:
    """Return the run that does `task`.

    Args:
        agent: who does it.
        task: its description.
        parameters: what the agent may be told beside it, by name; text, or a number.
        id: name of the run; None makes one.
        strategy: forces one; None chooses by the agent and the complexity.
        complexity: of the task; None infers it.
        default_complexity: where neither caller nor task shows one.
        budget: the caller's bounds; each bound of the run is the least of this, the agent's
            and `most`.
        most: the configuration's bounds.
        enable_multi_model: False makes every run one of a single model.
        private: only models that do not train on the text; nothing of it is kept.
        principal: who asks.
        max_task_chars: longest task with its parameters.

    Raises:
        InvalidRequest: task, parameters, strategy or budget do not fit the agent.
        TooLong: task and parameters are over the limit.
    """
    task = _checked_task(task)
    values = _parameters(agent, parameters)
    _require_short(task, values, max_task_chars)
    complexity = complexity or infer_complexity(task, agent.single.task_type) or default_complexity
    forced = _strategy(strategy)
    chosen, reason = _choose(agent, forced, complexity, enabled=enable_multi_model)
    phases = agent.phases if chosen is Strategy.MULTI_MODEL else (agent.single,)
    bounds = _least(agent.budget, budget, most)
    _require_enough(bounds, phases)
    return RunSpec(
        id=id or new_run_id(),
        agent=agent,
        task=task,
        parameters=values,
        strategy=chosen,
        strategy_reason=reason,
        phases=phases,
        complexity=complexity,
        budget=bounds,
        private=private,
        principal=principal,
    )


def _checked_task(task: str) -> str:
    if not task.strip():
        raise InvalidRequest(
            "The task is empty.", hint='Say what to do, such as "Create a REST API".', param="task"
        )
    try:
        task.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            "The task is not valid UTF-8.", hint="Convert it with iconv first.", param="task"
        ) from None
    return task


def _require_short(task: str, parameters: Mapping[str, str], most: int) -> None:
    size = len(task) + sum(map(len, parameters.values()))
    if size > most:
        raise TooLong(
            f"Task and parameters have {size:,} characters, the limit is {most:,}.",
            hint="Shorten the task, or raise security.max_input_length.",
            param="task",
        )


def _parameters(agent: AgentSpec, given: Mapping[str, object]) -> dict[str, str]:
    """Return a value for every parameter; one that is neither given nor required is empty."""
    texts = {name: _text(agent, name, value) for name, value in given.items()}
    values: dict[str, str] = {}
    for name, parameter in agent.parameters.items():
        value = texts.get(name) or parameter.default or ""
        if parameter.required and not value.strip():
            raise InvalidRequest(
                f"The agent {agent.name!r} needs the parameter {name!r}.",
                hint=f"{parameter.description} Give it as -p {name}=...".strip(),
                param=f"parameters.{name}",
            )
        if value and parameter.choices and value not in parameter.choices:
            raise InvalidRequest(
                f"The parameter {name!r} cannot be {value!r}.",
                hint=f"One of: {', '.join(parameter.choices)}.",
                param=f"parameters.{name}",
            )
        values[name] = value
    return values


def _text(agent: AgentSpec, name: str, value: object) -> str:
    """Return the value of a parameter that the agent knows."""
    param = f"parameters.{name}"
    if name not in agent.parameters:
        near = get_close_matches(name, agent.parameters, n=1)
        known = ", ".join(agent.parameters) or "none"
        hint = f"Did you mean {near[0]!r}?" if near else f"Its parameters: {known}."
        message = f"The agent {agent.name!r} has no parameter {name!r}."
        raise InvalidRequest(message, hint=hint, param=param)
    if not isinstance(value, str | int | float | Decimal):
        message = f"The parameter {name!r} must be text, not {type(value).__name__}."
        raise InvalidRequest(message, hint='Write it as "...".', param=param)
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"The parameter {name!r} is not valid UTF-8."
        raise InvalidRequest(message, hint="Convert it with iconv first.", param=param) from None
    return text


def _strategy(given: Strategy | str | None) -> Strategy | None:
    if given is None:
        return None
    try:
        return Strategy(given)
    except ValueError:
        raise InvalidRequest(
            f"Unknown strategy {given!r}.", hint=f"One of: {', '.join(Strategy)}.", param="strategy"
        ) from None


def _choose(
    agent: AgentSpec, forced: Strategy | None, complexity: TaskComplexity, *, enabled: bool
) -> tuple[Strategy, str]:
    """Return the strategy and why, one sentence."""
    if not enabled:
        return Strategy.SINGLE_MODEL, "models.enable_multi_model is off."
    if forced is Strategy.MULTI_MODEL and not agent.phases:
        raise InvalidRequest(
            f"The agent {agent.name!r} has no phases, so it cannot use several models.",
            hint="Leave the strategy out, or add [[phases]] to its file.",
            param="strategy",
        )
    if forced is not None:
        return forced, "The caller asked for it."
    if not agent.phases:
        return Strategy.SINGLE_MODEL, f"{agent.name} has no phases."
    if agent.strategy is not None:
        return agent.strategy, f"{agent.name} always works so."
    if complexity is TaskComplexity.SIMPLE:
        return Strategy.SINGLE_MODEL, "The task is simple: one model in one call does it."
    return Strategy.MULTI_MODEL, f"The task is {complexity}: each phase gets the model it needs."


def _least(agent: Budget, *others: Budget | None) -> Budget:
    """Return the least of each bound; the money of a run without any bound is 0."""
    given = [each for each in others if each is not None]
    bounds = [agent, *given] if given else [msgspec.structs.replace(agent, usd=Decimal(0))]
    return Budget(
        calls=min(each.calls for each in bounds),
        tokens=min(each.tokens for each in bounds),
        usd=min(each.usd for each in bounds),
        seconds=min(each.seconds for each in bounds),
    )


def _require_enough(budget: Budget, phases: tuple[PhaseSpec, ...]) -> None:
    needed = sum(not phase.optional for phase in phases)
    if budget.calls < needed:
        raise InvalidRequest(
            f"A budget of {budget.calls} calls is too small: {needed} phases need one each.",
            hint="Raise it, or use the strategy single_model.",
            param="budget.calls",
        )
    for name, value in (("tokens", budget.tokens), ("seconds", budget.seconds)):
        if value <= 0:
            raise InvalidRequest(
                f"A budget of {value:g} {name} allows no call.",
                hint="Give it more than 0.",
                param=f"budget.{name}",
            )
    if budget.usd < 0:
        raise InvalidRequest(
            "The budget's money is below 0.",
            hint="0 lets free models alone be asked.",
            param="budget.usd",
        )
