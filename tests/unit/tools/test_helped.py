"""What a server leaves unsaid is said for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from ymera.core.tool import ContextItem, Tool, ToolResult
from ymera.tools.helped import HelpedSource
from ymera.tools.schemas import properties, with_defaults

pytestmark = pytest.mark.proves("tools.helped")

PATH = {"type": "string", "title": "Repo Path"}


class Server:
    def __init__(self, *tools: Tool) -> None:
        self._tools = tools
        self.closed = False

    async def tools(self) -> Sequence[Tool]:
        return self._tools

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolResult:
        return ToolResult(text=f"{name} {sorted(arguments)}")

    async def context(self, query: str) -> Sequence[ContextItem]:
        return [ContextItem(text=query, source="mcp:git:x")]

    async def close(self) -> None:
        self.closed = True


def tool(name: str, **arguments: object) -> Tool:
    schema = {"type": "object", "properties": arguments, "required": list(arguments)}
    return Tool(
        name=name, description="As is.", parameters=msgspec.Raw(msgspec.json.encode(schema))
    )


async def test_the_one_place_a_server_works_in_need_not_be_named() -> None:
    source = HelpedSource(Server(tool("x__any", repo_path=PATH, path=PATH)), place="/srv/repo")
    (helped,) = await source.tools()

    assert with_defaults(helped, {"path": "a"}) == {"path": "a", "repo_path": "/srv/repo"}


async def test_tools_many_people_use_are_explained() -> None:
    log, branch = await HelpedSource(
        Server(tool("git__git_log", repo_path=PATH), tool("g__git_branch", branch_type=PATH))
    ).tools()

    assert "newest first" in log.description
    assert log.description.endswith("As is.")
    assert properties(branch)["branch_type"]["enum"] == ["local", "remote", "all"]


async def test_other_tools_stay_as_they_are_and_calls_pass_through() -> None:
    plain, server = tool("x__other", a={"type": "integer"}), Server(tool("x__other"))
    source = HelpedSource(Server(plain))

    assert await source.tools() == [plain]
    assert (await source.call("x__other", {"a": 1})).text == "x__other ['a']"
    assert (await source.context("q"))[0].text == "q"
    await HelpedSource(server).close()
    assert server.closed
