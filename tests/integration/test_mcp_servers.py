"""The servers people really use: listed, called, timed out, killed, restarted, and none left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.mcp_servers.running import is_running, until
from tests.support.requires import require_or_skip
from ymera.core.tool import ToolEffect
from ymera.tools.mcp_client import McpServer
from ymera.tools.mcp_spec import McpServerSpec

NODE = Path(__file__).parents[1] / "support" / "node" / "node_modules" / ".bin"
PYTHON = Path(sys.executable).parent
Start = Callable[..., McpServer]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Make servers; at the end each is closed, and no process of theirs is left."""
    servers: list[McpServer] = []
    pids: set[int] = set()

    def make(name: str, command: Path, *args: str, **bounds: object) -> McpServer:
        spec = McpServerSpec(name=name, command=str(command), args=args, **bounds)  # type: ignore[arg-type]
        server = McpServer(spec, environ=os.environ, state_dir=tmp_path / "mcp")
        servers.append(server)
        return server

    yield make
    for server in servers:
        if server.pid is not None:
            pids |= _tree(server.pid)
        await server.close()
    await until(lambda: not any(map(is_running, pids)))
    assert list((tmp_path / "mcp").glob("*.json")) == []


def _tree(pid: int) -> set[int]:
    """Return a process and all below it."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, check=True, text=True)
    pairs = (line.split() for line in listed.stdout.splitlines())
    parents = {int(child): int(parent) for child, parent in pairs}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a git repository of one commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.txt").write_text("first\n", encoding="utf-8")
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for args in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "The zebra commit"]):
        subprocess.run(["git", *args], cwd=folder, check=True, capture_output=True)
    return folder


# --- from PyPI


@pytest.mark.proves("mcp.real-servers")
async def test_the_time_server_tells_the_time(start: Start) -> None:
    server = start("time", PYTHON / "mcp-server-time", "--local-timezone", "UTC")

    names = [tool.name for tool in await server.tools()]
    result = await server.call("time__get_current_time", {"timezone": "UTC"})

    assert names == ["time__convert_time", "time__get_current_time"]
    told = datetime.fromisoformat(json.loads(result.text)["datetime"])
    assert abs((datetime.now(UTC) - told).total_seconds()) < 60
    wrong = await server.call("time__get_current_time", {"timezone": "Mars/Olympus"})
    assert (wrong.is_error, wrong.error_code) == (True, "tool_error")


@pytest.mark.proves("mcp.real-servers")
async def test_the_git_server_reads_a_log(start: Start, repository: Path) -> None:
    server = start("git", PYTHON / "mcp-server-git", "-r", str(repository), read_only=("git_log",))

    effects = {tool.name: tool.effect for tool in await server.tools()}
    log = await server.call("git__git_log", {"repo_path": str(repository)})

    assert effects["git__git_log"] is ToolEffect.READ_ONLY
    assert effects["git__git_commit"] is ToolEffect.SIDE_EFFECT
    assert "The zebra commit" in log.text
    outside = await server.call("git__git_log", {"repo_path": str(repository.parent)})
    assert outside.is_error


@pytest.mark.proves("mcp.real-servers", "mcp.crash")
async def test_a_killed_time_server_is_started_again(start: Start) -> None:
    server = start("time", PYTHON / "mcp-server-time", "--local-timezone", "UTC")
    await server.tools()
    first = server.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    await until(lambda: not is_running(first))
    after = [await server.call("time__get_current_time", {"timezone": "UTC"}) for _ in range(2)]

    assert not after[-1].is_error
    assert after[0].error_code in {None, "unavailable"}
    assert server.pid != first


# --- from npm


@pytest.fixture
def npm_server() -> Callable[[str], Path]:
    """Return where a server of tests/support/node lies."""
    require_or_skip("node")
    return lambda name: NODE / name


@pytest.mark.proves("mcp.real-servers")
async def test_the_everything_server_lists_calls_and_describes_what_is_no_text(
    start: Start, npm_server: Callable[[str], Path]
) -> None:
    server = start("all", npm_server("mcp-server-everything"), "stdio")

    names = {tool.name for tool in await server.tools()}
    echoed = await server.call("all__echo", {"message": "a nonce: 5521"})
    image = await server.call("all__get-tiny-image", {})

    assert {"all__echo", "all__get-sum", "all__get-tiny-image"} <= names
    assert "a nonce: 5521" in echoed.text
    assert "[image image/png, " in image.text
    assert await server.resources()
    assert await server.prompts()
    assert server.junk_lines == 0


@pytest.mark.proves("mcp.real-servers", "mcp.timeout")
async def test_a_long_operation_of_the_everything_server_is_cut_off(
    start: Start, npm_server: Callable[[str], Path]
) -> None:
    server = start("all", npm_server("mcp-server-everything"), "stdio", call_timeout_s=0.5)
    await server.tools()

    late = await server.call("all__trigger-long-running-operation", {"duration": 30, "steps": 3})
    pid = server.pid

    assert late.error_code == "timeout"
    assert "3" in (await server.call("all__get-sum", {"a": 1, "b": 2})).text
    assert server.pid == pid


@pytest.mark.proves("mcp.real-servers", "mcp.crash")
async def test_killing_the_everything_server_in_a_call_gives_a_result_and_a_restart(
    start: Start, npm_server: Callable[[str], Path]
) -> None:
    server = start("all", npm_server("mcp-server-everything"), "stdio")
    await server.tools()
    first = server.pid
    assert first is not None
    arguments = {"duration": 30, "steps": 3}
    pending = asyncio.create_task(server.call("all__trigger-long-running-operation", arguments))
    await server.call("all__echo", {"message": "the other call is under way"})

    os.killpg(first, signal.SIGKILL)

    assert (await pending).error_code == "unavailable"
    assert "SIGKILL" in (server.last_failure or "")
    assert "again" in (await server.call("all__echo", {"message": "again"})).text
    assert server.pid != first


@pytest.mark.proves("mcp.real-servers", "mcp.environment")
async def test_the_everything_server_sees_no_key_of_ours(
    start: Start, npm_server: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-0123456789")
    server = start("all", npm_server("mcp-server-everything"), "stdio")

    seen = await server.call("all__get-env", {})

    assert '"PATH"' in seen.text
    assert "gsk-0123456789" not in seen.text


@pytest.mark.proves("mcp.real-servers")
async def test_the_filesystem_server_reads_below_its_root_and_nowhere_else(
    start: Start, npm_server: Callable[[str], Path], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "note.txt").write_text("the word is marzipan\n", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("outside\n", encoding="utf-8")
    command = npm_server("mcp-server-filesystem")
    server = start("files", command, str(root), read_only=("*",), max_output_chars=500)

    effects = {tool.name: tool.effect for tool in await server.tools()}
    note = await server.call("files__read_text_file", {"path": str(root / "note.txt")})
    outside = await server.call("files__read_text_file", {"path": str(tmp_path / "secret.txt")})

    assert "the word is marzipan" in note.text
    assert outside.is_error
    assert effects["files__read_text_file"] is ToolEffect.READ_ONLY
    assert effects["files__write_file"] is ToolEffect.SIDE_EFFECT  # it says so itself


@pytest.mark.proves("mcp.real-servers", "mcp.environment")
async def test_the_memory_server_keeps_what_it_is_told_past_a_restart(
    start: Start,
    npm_server: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEMORY_FILE_PATH", str(tmp_path / "memory.jsonl"))
    server = start("memory", npm_server("mcp-server-memory"), env=("MEMORY_FILE_PATH",))
    ada = {"name": "Ada", "entityType": "person", "observations": ["likes marzipan"]}

    made = await server.call("memory__create_entities", {"entities": [ada]})
    await server.close()
    found = await server.call("memory__search_nodes", {"query": "marzipan"})

    assert not made.is_error
    assert "Ada" in found.text


@pytest.mark.proves("mcp.real-servers")
async def test_servers_start_side_by_side_and_close_in_any_order(
    start: Start, npm_server: Callable[[str], Path], tmp_path: Path
) -> None:
    servers = [
        start("all", npm_server("mcp-server-everything"), "stdio"),
        start("files", npm_server("mcp-server-filesystem"), str(tmp_path)),
        start("time", PYTHON / "mcp-server-time", "--local-timezone", "UTC"),
    ]

    listed = await asyncio.gather(*(server.tools() for server in servers))
    pids = [server.pid for server in servers]
    for server in servers:
        await asyncio.create_task(server.close())

    assert all(listed)
    assert not any(is_running(pid) for pid in pids if pid is not None)
