"""Servers that misbehave: survived with a reason, and nothing of them left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.mcp_servers.running import HERE, is_running, odd, until
from ymera.core.errors import MachineError
from ymera.tools import mcp_pids
from ymera.tools.mcp_client import McpServer
from ymera.tools.mcp_spec import McpServerSpec

Start = Callable[[McpServerSpec], McpServer]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    servers: list[McpServer] = []

    def make(spec: McpServerSpec) -> McpServer:
        server = McpServer(spec, environ=os.environ, state_dir=tmp_path / "mcp")
        servers.append(server)
        return server

    yield make
    for server in servers:
        await server.close()


@pytest.mark.proves("mcp.junk")
@pytest.mark.parametrize("kind", ["junk", "slow-junk"])
async def test_junk_on_standard_output_is_counted_and_passed_over(start: Start, kind: str) -> None:
    server = start(odd(kind))

    assert (await server.call("srv__poke", {})).text == "poked"
    assert server.junk_lines >= 6


@pytest.mark.proves("mcp.dead")
async def test_a_mute_server_is_given_up_after_our_own_deadline(start: Start) -> None:
    server = start(odd("mute", start_timeout_s=0.5))
    before = asyncio.get_running_loop().time()

    with pytest.raises(MachineError, match=r"'srv' did not answer within 0\.5 seconds") as caught:
        await server.tools()

    assert asyncio.get_running_loop().time() - before < 8
    assert "start_timeout_seconds" in (caught.value.hint or "")
    assert server.pid is None


@pytest.mark.proves("mcp.dead", "mcp.secrets")
async def test_a_server_that_ends_at_once_says_why_without_its_secrets(start: Start) -> None:
    server = start(odd("crashing", env=("UNSET_NAME",)))

    with pytest.raises(MachineError, match="exit code 3; no database") as caught:
        await server.tools()

    assert "super-secret-value" not in str(caught.value)
    assert caught.value.hint == "Not set, though named in its env: UNSET_NAME."
    assert (await server.call("srv__poke", {})).error_code == "unavailable"


@pytest.mark.proves("mcp.dead")
@pytest.mark.parametrize(
    "spec",
    [
        McpServerSpec(name="srv", command="no-such-program-anywhere"),
        McpServerSpec(name="srv", command="/no/such/program"),
        McpServerSpec(name="srv", command=sys.executable, args=("a\0b",)),
        McpServerSpec(name="srv", command=sys.executable, cwd=Path("/no/such/folder")),
        McpServerSpec(name="srv", command=str(HERE)),
    ],
)
async def test_what_cannot_be_started_is_an_error_with_a_hint(
    start: Start, spec: McpServerSpec
) -> None:
    with pytest.raises(MachineError, match="'srv' cannot be started") as caught:
        await start(spec).tools()
    assert "mcp.servers.srv" in (caught.value.hint or "")


@pytest.mark.proves("mcp.results")
async def test_an_answer_outside_the_protocol_is_a_failed_result(start: Start) -> None:
    server = start(odd("sloppy"))

    result = await server.call("srv__poke", {})

    assert (result.is_error, result.error_code) == (True, "tool_error")
    assert "outside the protocol" in result.text


@pytest.mark.proves("mcp.bounds")
async def test_an_endless_message_ends_the_server_not_our_memory(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ymera.tools.mcp_process.MAX_MESSAGE_BYTES", 1_000_000)
    monkeypatch.setattr("ymera.tools.mcp_process._EOF_WITHIN_S", 0.1)
    server = start(odd("flood"))

    result = await server.call("srv__poke", {})

    assert result.error_code == "unavailable"
    assert "more than 1,000,000 bytes" in (server.last_failure or "")


@pytest.mark.proves("mcp.elicitation")
async def test_a_server_that_asks_the_user_is_declined(start: Start) -> None:
    result = await start(odd("asking")).call("srv__poke", {})

    assert result.text == '{"action": "decline"}'


@pytest.mark.proves("mcp.close")
async def test_a_server_that_ignores_its_end_is_killed_with_all_it_started(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ymera.tools.mcp_process._EOF_WITHIN_S", 0.1)
    monkeypatch.setattr("ymera.tools.mcp_process._TERM_WITHIN_S", 0.1)
    told = tmp_path / "grandchild"
    server = start(odd("deaf-tree", str(told)))
    assert (await server.call("srv__poke", {})).text == "poked"
    child, grandchild = server.pid, int(told.read_text(encoding="utf-8"))
    assert child is not None
    assert is_running(grandchild)

    await server.close()

    assert not is_running(child)
    await until(lambda: not is_running(grandchild))


@pytest.mark.chaos
@pytest.mark.proves("mcp.orphans")
async def test_what_outlives_our_own_kill_is_ended_at_the_next_start(
    start: Start, tmp_path: Path
) -> None:
    polite, deaf = await asyncio.to_thread(_leave_orphans, tmp_path)
    try:
        await until(lambda: not is_running(polite))
        assert is_running(deaf)

        await start(odd("plain")).tools()

        await until(lambda: not is_running(deaf))
    finally:
        mcp_pids.end_group(deaf, signal.SIGKILL)


def _leave_orphans(tmp_path: Path) -> tuple[int, int]:
    """Kill a process that uses two servers; return their ids."""
    program = tmp_path / "victim.py"
    program.write_text(
        textwrap.dedent(f"""
        import asyncio, os
        from pathlib import Path
        from ymera.tools.mcp_client import McpServer
        from ymera.tools.mcp_spec import McpServerSpec

        async def main():
            for kind in ("plain", "deaf"):
                spec = McpServerSpec(
                    name=kind, command={sys.executable!r}, args=({str(HERE / "odd.py")!r}, kind)
                )
                server = McpServer(
                    spec, environ=os.environ, state_dir=Path({str(tmp_path / "mcp")!r})
                )
                await server.tools()
                print(server.pid, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
        """),
        encoding="utf-8",
    )
    victim = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE)
    with victim:
        assert victim.stdout is not None
        polite, deaf = (int(victim.stdout.readline()) for _ in range(2))
        victim.send_signal(signal.SIGKILL)
    return polite, deaf


@pytest.mark.proves("mcp.orphans")
def test_a_process_that_got_the_number_of_a_dead_child_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        path = mcp_pids.note(tmp_path, "srv", stranger.pid)
        assert path is not None
        owner_gone = path.read_text(encoding="utf-8").replace(
            f'"owner_pid":{os.getpid()}', '"owner_pid":999999999'
        )
        other_start = owner_gone.replace('"started":"', '"started":"earlier ', 1)
        path.write_text(other_start, encoding="utf-8")

        assert mcp_pids.reap(tmp_path) == ()
        assert is_running(stranger.pid)
        assert not path.exists()

        kept = mcp_pids.note(tmp_path, "srv", stranger.pid)
        assert kept is not None
        assert mcp_pids.reap(tmp_path) == ()  # we, its owner, live
        assert kept.exists()
        (tmp_path / "torn.json").write_text('{"pid": 1', encoding="utf-8")
        assert mcp_pids.reap(tmp_path) == ()
        assert not (tmp_path / "torn.json").exists()
        stranger.communicate(b"\n")
