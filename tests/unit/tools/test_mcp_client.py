"""An MCP server as a source of tools, over real child processes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop

from tests.support.mcp_servers.running import Time, good, is_running, odd, until
from ymera.core.errors import MachineError
from ymera.core.tool import ToolEffect, Trust
from ymera.tools.mcp_client import McpServer
from ymera.tools.mcp_spec import McpServerSpec

Start = Callable[..., McpServer]
ENVIRON = {"PATH": "/usr/bin:/bin", "GOOD_TOKEN": "gt-123456789", "GROQ_API_KEY": "gsk-unnamed"}


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def start(tmp_path: Path, clock: Time) -> AsyncIterator[Start]:
    servers: list[McpServer] = []

    def make(spec: McpServerSpec) -> McpServer:
        server = McpServer(spec, environ=ENVIRON, state_dir=tmp_path / "mcp", monotonic=clock)
        servers.append(server)
        return server

    yield make
    for server in servers:
        await server.close()
    assert list((tmp_path / "mcp").glob("*.json")) == []


@pytest.mark.proves("mcp.tools")
async def test_tools_are_named_after_their_server_and_come_in_a_stable_order(start: Start) -> None:
    server = start(good())

    tools = await server.tools()

    names = [tool.name for tool in tools]
    assert names == sorted(names)
    assert {"srv__add", "srv__odd_name_with_dots"} <= set(names)
    assert {tool.source for tool in tools} == {"mcp:srv"}
    schema = json.loads(bytes(next(tool for tool in tools if tool.name == "srv__add").parameters))
    assert schema["required"] == ["a", "b"]
    assert [tool.name for tool in await server.tools()] == names
    assert (await server.call("srv__odd_name_with_dots", {})).text == "odd"


@pytest.mark.proves("mcp.effect")
async def test_only_settings_make_a_tool_read_only_and_hints_tighten(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    listed = start(good(read_only=("add", "wipe")))
    effects = {tool.name: tool.effect for tool in await listed.tools()}
    assert effects["srv__add"] is ToolEffect.READ_ONLY
    assert effects["srv__wipe"] is ToolEffect.SIDE_EFFECT
    assert "wipe is in read_only, but the server says" in listed.notes[0]
    assert "wipe is in read_only" in caplog.text

    unlisted = start(good())
    assert {tool.effect for tool in await unlisted.tools()} == {ToolEffect.SIDE_EFFECT}
    assert unlisted.notes == ()


@pytest.mark.proves("mcp.results")
async def test_a_call_gives_text_and_structure_and_keeps_what_is_an_error(start: Start) -> None:
    server = start(good())

    added = await server.call("srv__add", {"a": 20, "b": 3})
    wrong = await server.call("srv__add", {"a": "x"})
    failing = await server.call("srv__fail", {"reason": "because"})
    unknown = await server.call("srv__nothing", {})

    assert (added.text, added.is_error, added.error_code) == ("23", False, None)
    assert added.structured is not None
    assert json.loads(bytes(added.structured)) == {"result": 23}
    assert (wrong.is_error, wrong.error_code) == (True, "tool_error")
    assert (failing.is_error, failing.error_code) == (True, "tool_error")
    assert (unknown.is_error, unknown.error_code) == (True, "unknown_tool")


@pytest.mark.proves("mcp.bounds")
async def test_long_output_is_cut_and_says_so(start: Start) -> None:
    server = start(good(max_output_chars=1000))

    result = await server.call("srv__shout", {"size": 50_000})

    assert len(result.text) == 1000
    assert result.text.endswith("[cut: 50000 characters in all]")
    assert result.cut_chars == 50_000 - result.text.split("\n")[0].count("a")
    assert result.structured is None


@pytest.mark.proves("mcp.timeout")
async def test_a_hanging_tool_is_cut_off_told_and_leaves_the_server_usable(
    start: Start, tmp_path: Path
) -> None:
    server = start(good(call_timeout_s=0.5))
    assert await server.tools()
    told = tmp_path / "told"

    late = await server.call("srv__hang", {"path": str(told)})
    pid = server.pid

    assert (late.is_error, late.error_code) == (True, "timeout")
    assert "srv__hang" in late.text
    await until(lambda: told.read_text(encoding="utf-8") == "cancelled")
    assert (await server.call("srv__add", {"a": 1, "b": 1})).text == "2"
    assert server.pid == pid


@pytest.mark.proves("mcp.cancel")
async def test_a_cancelled_call_is_cancelled_at_the_server_too(
    start: Start, tmp_path: Path
) -> None:
    server = start(good())
    told = tmp_path / "told"
    call = asyncio.create_task(server.call("srv__hang", {"path": str(told)}))
    await until(lambda: told.exists() and told.read_text(encoding="utf-8") == "hanging")

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await until(lambda: told.read_text(encoding="utf-8") == "cancelled")
    assert (await server.call("srv__add", {"a": 1, "b": 1})).text == "2"


@pytest.mark.proves("mcp.crash")
async def test_a_server_that_dies_in_a_call_gives_results_and_is_started_again(
    start: Start, tmp_path: Path
) -> None:
    server = start(good())
    told = tmp_path / "told"
    pending = asyncio.create_task(server.call("srv__hang", {"path": str(told)}))
    await until(told.exists)
    first = server.pid

    died = await server.call("srv__die", {"code": 4})
    also = await pending
    again = await server.call("srv__add", {"a": 1, "b": 1})

    assert (died.is_error, died.error_code) == (True, "unavailable")
    assert also.error_code == "unavailable"
    assert again.text == "2"
    assert server.pid != first
    assert first is not None
    assert not is_running(first)


@pytest.mark.proves("mcp.crash")
async def test_a_call_just_after_a_death_is_answered_or_unavailable(
    start: Start, clock: Time
) -> None:
    server = start(odd("plain"))
    for turn in range(12):
        clock.s += 61.0  # it is not left alone
        assert not (await server.call("srv__poke", {})).is_error
        assert server.pid is not None

        os.kill(server.pid, signal.SIGKILL)
        await asyncio.sleep(0.001 * turn)  # into every stage of noticing it
        result = await server.call("srv__poke", {})

        assert result.error_code in {None, "unavailable"}, result


@pytest.mark.proves("mcp.secrets")
async def test_why_it_died_is_for_the_user_and_without_secrets(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(good(env=("GOOD_TOKEN",)))

    died = await server.call("srv__die", {"code": 4})

    assert server.last_failure is not None
    assert "exit code 4" in server.last_failure
    assert "last words: api_key=***" in server.last_failure
    assert "exit code 4" in caplog.text
    assert "last words" not in died.text
    for secret in ("sk-abcdefghijklmnop", "gt-123456789"):
        assert secret not in caplog.text + server.last_failure + repr(server) + died.text


@pytest.mark.proves("mcp.environment")
async def test_a_server_sees_named_variables_only_and_a_home_of_its_own(
    start: Start, tmp_path: Path
) -> None:
    server = start(good(env=("GOOD_TOKEN", "NOT_SET")))

    seen = json.loads((await server.call("srv__environment", {})).text)

    assert seen["GOOD_TOKEN"] == "gt-123456789"
    assert seen["HOME"] == str(tmp_path / "mcp" / "home" / "srv")
    assert "GROQ_API_KEY" not in seen
    assert set(seen) - {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"} == {"GOOD_TOKEN", "HOME", "PATH"}


@pytest.mark.proves("mcp.group")
async def test_a_server_leads_a_process_group_of_its_own(start: Start) -> None:
    server = start(good())

    result = await server.call("srv__identity", {})

    assert result.structured is not None
    assert json.loads(bytes(result.structured)) == {"result": [server.pid, server.pid]}


@pytest.mark.proves("mcp.context")
async def test_context_is_what_bears_on_the_question_with_its_provenance(start: Start) -> None:
    server = start(good())

    (invoice,) = await server.context("How much does the bakery owe in its invoice?")
    (holiday,) = await server.context("When is Ada away?")

    assert invoice.source == "mcp:srv:notes://invoices/march"
    assert invoice.trust is Trust.RETRIEVED
    assert "Invoice 7781" in invoice.text
    assert holiday.source == "mcp:srv:notes://holidays"
    assert "second week of June" in holiday.text
    assert holiday.cut_chars > 0
    assert await server.context("the of and") == ()
    assert await server.context("volcano") == ()


@pytest.mark.proves("mcp.context")
async def test_resources_and_prompts_can_be_listed_and_read(start: Start) -> None:
    server = start(good())

    assert {one.uri for one in await server.resources()} == {
        "notes://holidays",
        "notes://invoices/march",
        "notes://logo",
    }
    assert (await server.read_resource("notes://logo")).startswith("[resource notes://logo")
    (prompt,) = await server.prompts()
    assert (prompt.name, prompt.arguments) == ("summarise", ("topic*",))
    assert await server.prompt("summarise", {"topic": "tea"}) == "Summarise tea in a sentence."
    assert await server.instructions() == "Ask for anything."
    with pytest.raises(MachineError, match="cannot be used"):
        await server.read_resource("notes://nowhere")


@pytest.mark.proves("mcp.context")
async def test_a_server_that_is_down_has_no_context(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert await start(odd("crashing")).context("anything") == ()
    assert await start(odd("junk")).context("anything") == ()
    assert "no context from MCP server srv" in caplog.text


@pytest.mark.proves("mcp.idle")
async def test_an_idle_server_is_ended_and_started_at_its_next_use(start: Start) -> None:
    server = start(odd("plain", unload_after_s=0.05))
    assert (await server.call("srv__poke", {})).text == "poked"
    first = server.pid
    assert first is not None

    await until(lambda: not is_running(first))

    assert (await server.call("srv__poke", {})).text == "poked"
    assert server.last_failure is None


@pytest.mark.proves("mcp.idle")
async def test_a_busy_server_is_not_idle(start: Start, tmp_path: Path) -> None:
    server = start(good(unload_after_s=0.2, call_timeout_s=1.0))

    result = await server.call("srv__hang", {"path": str(tmp_path / "told")})

    assert result.error_code == "timeout"


@pytest.mark.proves("mcp.backoff")
async def test_a_server_that_ends_again_and_again_is_left_alone_for_a_while(
    start: Start, clock: Time
) -> None:
    server = start(odd("crashing"))
    starts: list[float] = []
    for _ in range(190):
        if not await _left_alone(server):
            starts.append(clock.s)
        clock.s += 1.0

    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses == [1, 1, 2, 4, 8, 16, 32, 60, 60]
    clock.s -= 1.0  # the last try is fresh
    assert await _left_alone(server)
    assert (await server.call("srv__poke", {})).error_code == "unavailable"


@pytest.mark.proves("mcp.backoff")
async def test_a_server_that_never_answers_is_not_waited_for_by_each_caller(
    start: Start, clock: Time
) -> None:
    server = start(odd("mute", start_timeout_s=0.2))
    assert not await _left_alone(server)
    assert not await _left_alone(server)  # once more: a first start may have to download things
    clock.s += 59.0
    assert await _left_alone(server)
    clock.s += 1.0
    assert not await _left_alone(server)


async def _left_alone(server: McpServer) -> bool:
    with pytest.raises(MachineError) as caught:
        await server.tools()
    return "in a row" in str(caught.value)


@pytest.mark.proves("mcp.loops")
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_one_server_serves_one_event_loop_after_another(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    server = McpServer(odd("plain"), environ=ENVIRON, state_dir=tmp_path / "mcp")
    pids: list[int] = []

    async def poke() -> None:
        assert (await server.call("srv__poke", {})).text == "poked"
        assert server.pid is not None
        pids.append(server.pid)

    for _ in range(2):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(poke())  # nobody closes it: the loop's end does
        assert not is_running(pids[-1])
    asyncio.run(server.close())
    assert len(set(pids)) == 2


@pytest.mark.proves("mcp.loops")
def test_a_server_of_a_loop_that_no_longer_runs_is_replaced(tmp_path: Path) -> None:
    server = McpServer(odd("plain"), environ=ENVIRON, state_dir=tmp_path / "mcp")
    with asyncio.Runner() as stopped, asyncio.Runner() as running:
        assert stopped.run(server.call("srv__poke", {})).text == "poked"
        first = server.pid
        assert first is not None

        assert running.run(server.call("srv__poke", {})).text == "poked"

        assert server.pid != first
        running.run(until(lambda: not is_running(first)))
        assert running.run(server.call("srv__poke", {})).text == "poked"
        running.run(server.close())


@pytest.mark.proves("mcp.era")
async def test_an_older_server_is_asked_for_the_newer_protocol_once(
    start: Start, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    server = start(odd("telling", str(told)))

    await server.call("srv__poke", {})
    await server.close()
    first = told.read_text(encoding="utf-8").split()
    await server.call("srv__poke", {})
    second = told.read_text(encoding="utf-8").split()[len(first) :]

    assert first[:2] == ["server/discover", "initialize"]
    assert second[0] == "initialize"
    assert "server/discover" not in second


@pytest.mark.proves("mcp.close")
async def test_a_closed_server_may_be_used_again(start: Start) -> None:
    server = start(odd("plain"))
    await server.tools()
    first = server.pid
    assert first is not None
    await server.close()

    assert not is_running(first)
    assert (await server.call("srv__poke", {})).text == "poked"


async def test_many_callers_share_one_start(start: Start) -> None:
    server = start(good())

    results = await asyncio.gather(*(server.call("srv__add", {"a": n, "b": 1}) for n in range(20)))

    assert [result.text for result in results] == [str(n + 1) for n in range(20)]
    assert server.junk_lines == 0


async def test_a_caller_that_gives_up_does_not_end_the_start_for_the_others(start: Start) -> None:
    server = start(good())
    impatient = asyncio.create_task(server.tools())
    patient = asyncio.create_task(server.call("srv__add", {"a": 1, "b": 1}))
    await asyncio.sleep(0)

    impatient.cancel()

    assert (await patient).text == "2"


@pytest.mark.proves("mcp.tools")
async def test_tools_that_come_later_are_listed_once_the_list_is_old(
    start: Start, clock: Time
) -> None:
    server = start(good())
    assert (await server.call("srv__grow", {})).text == "ok"
    clock.s += 301.0
    assert "srv__grown" in {tool.name for tool in await server.tools()}
