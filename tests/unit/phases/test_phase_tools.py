"""Phases with tools: the tool loop, each of its model calls paid for from the run's budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from tests.support.engine import model
from tests.support.phases import Cast, phase, run_of
from ymera.app.phase_tools import PhaseToolCalls
from ymera.app.tooling import Tooling
from ymera.config.paths import DataPaths
from ymera.config.schema import Settings
from ymera.core.access import Principal
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ToolCall
from ymera.core.tool import Tool
from ymera.core.usage import Usage
from ymera.phases.types import Budget, PhaseOutcome, PhaseState
from ymera.routing.plan import Snapshot
from ymera.testing.scripted import ScriptedProvider

CALLS = ChatAnswer(
    text="",
    finish_reason=FinishReason.TOOL_CALLS,
    tool_calls=(ToolCall(id="1", name="calculator", arguments='{"expression": "6 * 7"}'),),
    usage=Usage(input_tokens=50, output_tokens=5),
)
ANSWERS = ChatAnswer(
    text="It is 42.",
    finish_reason=FinishReason.STOP,
    usage=Usage(input_tokens=70, output_tokens=6),
)


class Open:
    """A gate that lets everything pass."""

    def check(self, tool: Tool, arguments: Mapping[str, object], principal: Principal) -> str:
        return "read_only"


async def played(
    tmp_path: Path, *answers: ChatAnswer, **facts: object
) -> tuple[Cast, PhaseOutcome]:
    cast = Cast({"a": ScriptedProvider(answers=answers)})
    stage = cast.stage
    caller = msgspec.structs.replace(model("a"), tools=True)
    stage.snapshot = Snapshot(models=(caller,))
    gateway, clock = stage.gateway(), stage.time.clock()
    tooling = Tooling(
        Settings(),
        environ={},
        paths=DataPaths(tmp_path),
        clock=clock,
        gateway=lambda: gateway,
        gate=Open(),
        report=lambda _: None,
    )
    cast.ask_with_tools = PhaseToolCalls(lambda: tooling, lambda: gateway, clock)
    budget = facts.pop("budget", Budget())
    given = {"tools": ("calculator",), **facts}
    outcomes = await cast.play(run_of(phase("count", "Do {{ task }}.", **given), budget=budget))
    await tooling.close()
    return cast, outcomes["count"]


@pytest.mark.proves("phases.tools")
async def test_a_phase_calls_its_tools_and_the_outcome_shows_which(tmp_path: Path) -> None:
    cast, outcome = await played(tmp_path, CALLS, ANSWERS)
    assert outcome.state is PhaseState.DONE, outcome.error
    assert outcome.artefact is not None
    assert outcome.artefact.text == "It is 42."
    assert [(use.name, use.ok) for use in outcome.tools] == [("calculator", True)]
    assert outcome.model == "a/m"
    assert outcome.reason
    offered = cast.asked("a")[0].tools
    assert [tool.name for tool in offered] == ["calculator"]


@pytest.mark.proves("phases.tools", "phases.budget")
async def test_every_call_of_the_tool_loop_is_paid_for(tmp_path: Path) -> None:
    cast, outcome = await played(tmp_path, CALLS, ANSWERS)
    assert len(outcome.request_ids) == outcome.spend.calls == 2
    assert outcome.spend.tokens == cast.ledger.spend.tokens == 131
    assert outcome.usage == Usage(input_tokens=120, output_tokens=11)
    short, failed = await played(tmp_path, CALLS, ANSWERS, budget=Budget(calls=1))
    assert failed.error_code == "budget_exceeded"
    assert len(short.asked("a")) == short.ledger.spend.calls == 1


@pytest.mark.proves("phases.tools")
async def test_a_phase_whose_tools_are_not_set_up_is_asked_without_them(tmp_path: Path) -> None:
    cast, outcome = await played(tmp_path, ANSWERS, tools=("read_file",), context=("*",))
    assert outcome.state is PhaseState.DONE
    assert outcome.tools == ()
    assert cast.asked("a")[0].tools == ()
    assert outcome.spend.tokens == cast.ledger.spend.tokens == 76
