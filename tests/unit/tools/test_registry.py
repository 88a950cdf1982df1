"""The tool box: whatever a tool does, a call is a result, checked, bounded and reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.access import LOCAL_OWNER, Principal
from ymera.core.errors import Forbidden, MachineError
from ymera.core.tool import ContextItem, Tool, ToolEffect, ToolResult
from ymera.tools.registry import CallReport, ToolBox
from ymera.tools.schemas import argument_problem

SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "times": {"type": "integer", "default": 1}},
    "required": ["text", "times"],
    "additionalProperties": False,
}


def tool(name: str = "echo", *, schema: object = SCHEMA, **changes: object) -> Tool:
    made = Tool(
        name=name,
        description="Says it again.",
        parameters=msgspec.Raw(msgspec.json.encode(schema)),
        effect=ToolEffect.READ_ONLY,
    )
    return msgspec.structs.replace(made, **changes)


async def echo(arguments: Mapping[str, object]) -> ToolResult:
    return ToolResult(text=str(arguments["text"]) * int(str(arguments["times"])))


@dataclass
class Source:
    """A source whose one tool does what the test says."""

    offered: Sequence[Tool] = field(default_factory=lambda: [tool()])
    run: Callable[[Mapping[str, object]], Awaitable[ToolResult]] = echo
    listed: int = 0
    calls: list[Mapping[str, object]] = field(default_factory=list)
    closed: bool = False

    async def tools(self) -> Sequence[Tool]:
        self.listed += 1
        return self.offered

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolResult:
        self.calls.append(arguments)
        return await self.run(arguments)

    async def context(self, query: str) -> Sequence[ContextItem]:
        return [ContextItem(text=f"about {query}", source="mcp:one:x")]

    async def close(self) -> None:
        self.closed = True


@dataclass
class Dead(Source):
    """A source that cannot be reached."""

    async def tools(self) -> Sequence[Tool]:
        raise MachineError("It does not start.", hint="Start it.")

    async def context(self, query: str) -> Sequence[ContextItem]:
        raise OSError(query)


class OpenGate:
    def check(self, tool: Tool, arguments: Mapping[str, object], principal: Principal) -> str:
        return "read_only"


class ClosedGate:
    def check(self, tool: Tool, arguments: Mapping[str, object], principal: Principal) -> str:
        raise Forbidden("Nobody allowed it.", hint="Add it to tools.allow.")


def box(source: Source, reports: list[CallReport] | None = None, **bounds: float) -> ToolBox:
    kept = [] if reports is None else reports
    return ToolBox(
        {"builtin": source},
        OpenGate(),
        report=kept.append,
        timeout_s=bounds.get("timeout_s", 5.0),
        max_output_chars=int(bounds.get("max_output_chars", 1000)),
    )


@pytest.mark.proves("tools.call-is-result")
async def test_a_good_call_gives_its_result_with_defaults_filled_in() -> None:
    source, reports = Source(), list[CallReport]()

    called = await box(source, reports).call("echo", {"text": "hi"}, LOCAL_OWNER)

    assert called.result == ToolResult(text="hi")
    assert source.calls == [{"text": "hi", "times": 1}]
    assert called.use.ok
    assert called.use.approved_by == "read_only"
    assert [(each.use, each.arguments) for each in reports] == [(called.use, ("text", "times"))]


@pytest.mark.proves("tools.call-is-result")
async def test_a_tool_that_raises_is_a_result_that_says_so() -> None:
    async def run(_: Mapping[str, object]) -> ToolResult:
        raise ZeroDivisionError("oh")

    called = await box(Source(run=run)).call("echo", {"text": "hi"}, LOCAL_OWNER)

    assert (called.result.is_error, called.result.error_code) == (True, "tool_error")
    assert "ZeroDivisionError" in called.result.text
    assert (called.use.ok, called.use.error_code) == (False, "tool_error")


@pytest.mark.proves("tools.call-is-result")
async def test_a_hanging_tool_is_cut_off_with_its_name() -> None:
    async def run(_: Mapping[str, object]) -> ToolResult:
        await asyncio.Event().wait()
        raise AssertionError

    source = Source(offered=[tool(timeout_s=0.01)], run=run)
    called = await box(source).call("echo", {"text": "hi"}, LOCAL_OWNER)

    assert called.result.error_code == "timeout"
    assert "echo" in called.result.text


@pytest.mark.proves("tools.call-is-result")
async def test_a_tool_that_ignores_its_cancellation_is_left_behind() -> None:
    leave = asyncio.Event()

    async def run(_: Mapping[str, object]) -> ToolResult:
        while not leave.is_set():
            try:
                await leave.wait()
            except asyncio.CancelledError:
                continue
        return ToolResult(text="late")

    source = Source(offered=[tool(timeout_s=0.01)], run=run)
    async with asyncio.timeout(10):
        called = await box(source).call("echo", {"text": "hi"}, LOCAL_OWNER)
    leave.set()
    await asyncio.sleep(0)

    assert called.result.error_code == "timeout"


@pytest.mark.proves("tools.call-is-result")
async def test_a_caller_who_leaves_cancels_the_tool() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def run(_: Mapping[str, object]) -> ToolResult:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    calling = asyncio.ensure_future(box(Source(run=run)).call("echo", {"text": ""}, LOCAL_OWNER))
    await started.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.proves("tools.call-is-result")
async def test_a_tool_that_prints_too_much_is_cut_and_says_how_much() -> None:
    called = await box(Source(), max_output_chars=10).call(
        "echo", {"text": "abc", "times": 100}, LOCAL_OWNER
    )

    assert called.result.text == "abcabcabca"
    assert called.result.cut_chars == 290
    assert called.use.output_chars == 300


@pytest.mark.proves("tools.arguments-checked")
@pytest.mark.parametrize(
    "arguments", [{}, {"text": 5}, {"text": "a", "more": 1}, {"text": "a", "times": "x"}]
)
async def test_arguments_that_do_not_fit_the_schema_reach_no_tool(
    arguments: dict[str, object],
) -> None:
    source, reports = Source(), list[CallReport]()

    called = await box(source, reports).call("echo", arguments, LOCAL_OWNER)

    assert called.result.error_code == "invalid_arguments"
    assert source.calls == []
    assert [each.use.error_code for each in reports] == ["invalid_arguments"]


@pytest.mark.proves("tools.gate")
async def test_the_gate_has_the_last_word_and_its_hint_reaches_the_model() -> None:
    source, reports = Source(), list[CallReport]()
    closed = ToolBox({"builtin": source}, ClosedGate(), report=reports.append)

    called = await closed.call("echo", {"text": "hi"}, LOCAL_OWNER)

    assert called.result.error_code == "denied"
    assert "tools.allow" in called.result.text
    assert source.calls == []
    assert reports[0].use.approved_by is None


async def test_an_unknown_tool_is_a_result_too() -> None:
    called = await box(Source()).call("nothing", {}, LOCAL_OWNER)

    assert called.result.error_code == "unknown_tool"


@pytest.mark.proves("tools.dead-source")
async def test_a_dead_source_takes_no_other_along() -> None:
    boxed = ToolBox({"bad": Dead(), "builtin": Source()}, OpenGate())

    assert [each.name for each in await boxed.tools()] == ["echo"]
    assert boxed.problems == {"bad": "It does not start."}
    context = await boxed.context("whales", ["bad", "builtin"])
    assert [item.text for item in context] == ["about whales"]


async def test_patterns_choose_tools_and_start_no_other_source() -> None:
    git = Source(offered=[tool("git__log"), tool("git__show")])
    files = Source(offered=[tool("files__read")])
    boxed = ToolBox({"git": git, "files": files}, OpenGate())

    assert [each.name for each in await boxed.tools(["git__*"])] == ["git__log", "git__show"]
    assert [each.name for each in await boxed.tools(["git__show"])] == ["git__show"]
    assert files.listed == 0
    assert len(await boxed.tools(["*"])) == 3


async def test_closing_closes_every_source() -> None:
    sources = [Source(), Source()]
    await ToolBox({"a": sources[0], "b": sources[1]}, OpenGate()).close()

    assert [source.closed for source in sources] == [True, True]


@pytest.mark.proves("tools.arguments-checked")
def test_a_schema_cannot_make_us_run_its_pattern_or_fetch_its_reference() -> None:
    slow = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    remote = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}}
    endless = {"$ref": "#"}

    assert argument_problem(tool(schema=slow), {"a": "a" * 40 + "!"}) is None
    for schema in (remote, endless, {"type": 5}, [1]):
        assert argument_problem(tool(schema=schema), {"a": "x"}) is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
    )
)
@pytest.mark.proves("tools.arguments-checked")
def test_no_schema_makes_the_check_raise(schema: object) -> None:
    encoded = json.dumps({"type": "object", "properties": {"a": schema}, "allOf": [schema]})

    problem = argument_problem(
        msgspec.structs.replace(tool(), parameters=msgspec.Raw(encoded.encode())), {"a": 1}
    )

    assert problem is None or problem
