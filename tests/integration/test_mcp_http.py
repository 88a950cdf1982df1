"""Servers over streamable HTTP, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.mcp_servers.running import Time, good_over_http, until
from ymera.core.errors import MachineError
from ymera.tools.mcp_client import McpServer
from ymera.tools.mcp_spec import McpServerSpec

ENVIRON = {"GOOD_TOKEN": "gt-123456789", "EMPTY": " ", "ODD": "a\nb"}
Start = Callable[[McpServerSpec], McpServer]


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def start(tmp_path: Path, clock: Time) -> AsyncIterator[Start]:
    servers: list[McpServer] = []

    def make(spec: McpServerSpec) -> McpServer:
        state_dir = tmp_path / "mcp"
        servers.append(McpServer(spec, environ=ENVIRON, state_dir=state_dir, monotonic=clock))
        return servers[-1]

    yield make
    for server in servers:
        await server.close()


@pytest.mark.proves("mcp.http")
async def test_a_server_over_http_lists_calls_and_gives_context(start: Start) -> None:
    with good_over_http() as (url, _):
        server = start(McpServerSpec(name="web", url=url, bearer_env="GOOD_TOKEN"))

        assert "web__add" in {tool.name for tool in await server.tools()}
        sums = await asyncio.gather(*(server.call("web__add", {"a": n, "b": n}) for n in range(10)))
        (invoice,) = await server.context("the bakery's invoice")

        assert [result.text for result in sums] == [str(2 * n) for n in range(10)]
        assert invoice.source == "mcp:web:notes://invoices/march"
        assert server.pid is None


@pytest.mark.proves("mcp.http", "mcp.timeout")
async def test_a_hanging_tool_over_http_is_cut_off_and_cancelled(
    start: Start, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    with good_over_http() as (url, _):
        server = start(McpServerSpec(name="web", url=url, call_timeout_s=0.5))
        await server.tools()

        late = await server.call("web__hang", {"path": str(told)})

        assert late.error_code == "timeout"
        await until(lambda: told.read_text(encoding="utf-8") == "cancelled")
        assert (await server.call("web__add", {"a": 1, "b": 1})).text == "2"


@pytest.mark.proves("mcp.http", "mcp.crash")
@pytest.mark.parametrize("legacy", [False, True])
async def test_an_http_server_that_dies_in_a_call_is_reached_again_once_it_is_back(
    start: Start, clock: Time, tmp_path: Path, legacy: bool
) -> None:
    told = tmp_path / "told"
    with good_over_http() as (url, process):
        server = start(McpServerSpec(name="web", url=url))
        server._legacy = legacy
        await server.tools()
        pending = asyncio.create_task(server.call("web__hang", {"path": str(told)}))
        await until(told.exists)
        before = asyncio.get_running_loop().time()

        process.kill()
        died = await pending

        assert died.error_code == "unavailable", died
        assert asyncio.get_running_loop().time() - before < 5
        assert asyncio.current_task() is not None
        assert (await server.call("web__add", {"a": 1, "b": 1})).error_code == "unavailable"
    with good_over_http(urlsplit(url).port or 0):
        clock.s += 60.0
        assert (await server.call("web__add", {"a": 1, "b": 1})).text == "2"


@pytest.mark.proves("mcp.http", "mcp.crash")
@pytest.mark.parametrize("legacy", [False, True])
async def test_an_http_server_that_was_restarted_in_between_is_reached_again(
    start: Start, legacy: bool
) -> None:
    with good_over_http() as (url, _):
        server = start(McpServerSpec(name="web", url=url))
        server._legacy = legacy
        assert (await server.call("web__add", {"a": 1, "b": 1})).text == "2"
    with good_over_http(urlsplit(url).port or 0):
        first = await server.call("web__add", {"a": 1, "b": 1})
        second = await server.call("web__add", {"a": 1, "b": 1})

    assert first.error_code in {None, "unavailable"}, first
    assert second.text == "2"


@pytest.mark.proves("mcp.http", "mcp.bounds")
@pytest.mark.parametrize("legacy", [False, True])
async def test_an_endless_answer_over_http_is_no_result(
    start: Start, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ymera.tools.mcp_http.MAX_MESSAGE_BYTES", 1_000_000)
    with good_over_http() as (url, _):
        server = start(McpServerSpec(name="web", url=url))
        server._legacy = legacy

        fits = await server.call("web__shout", {"size": 200_000})
        long = await server.call("web__shout", {"size": 2_000_000})
        after = await server.call("web__add", {"a": 1, "b": 1})

    assert (fits.is_error, fits.cut_chars > 0) == (False, True)
    assert long.error_code in {"unavailable", "tool_error"}
    assert len(long.text) < 1000
    assert after.text == "2"


@pytest.mark.proves("mcp.http", "mcp.dead")
async def test_an_address_where_nobody_listens_is_an_error_with_a_hint(start: Start) -> None:
    server = start(McpServerSpec(name="web", url="http://127.0.0.1:1/mcp"))

    with pytest.raises(MachineError, match="'web' did not start: ConnectError") as caught:
        await server.tools()

    assert "mcp.servers.web.url" in (caught.value.hint or "")
    assert (await server.call("web__add", {})).error_code == "unavailable"


@pytest.mark.proves("mcp.http", "mcp.secrets")
@pytest.mark.parametrize(
    ("url", "variable", "reason"),
    [
        ("http://127.0.0.1:1/mcp", "UNSET", "UNSET is not set"),
        ("http://127.0.0.1:1/mcp", "EMPTY", "EMPTY is not set"),
        ("http://127.0.0.1:1/mcp", "ODD", "no HTTP header may"),
        ("http://mcp.example.org/mcp", "GOOD_TOKEN", "unencrypted"),
    ],
)
async def test_a_token_that_cannot_be_sent_safely_is_not_sent(
    start: Start, url: str, variable: str, reason: str
) -> None:
    with pytest.raises(MachineError, match=reason) as caught:
        await start(McpServerSpec(name="web", url=url, bearer_env=variable)).tools()
    assert "gt-123456789" not in str(caught.value)
