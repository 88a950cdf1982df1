"""Sessions in the request shapes Codex sends, replayed against the server; answers byte for byte.

The snapshots are what Codex reads. `YMERA_TEST_SNAPSHOTS=write` writes them anew.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.support.asgi import Client
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import Role, ToolCall
from ymera.core.usage import Usage
from ymera.server import chat_route
from ymera.server.asgi import Server
from ymera.testing.scripted import ScriptedProvider
from ymera.wire.sse import SSEParser

pytestmark = pytest.mark.proves("server.codex-shapes")

SNAPSHOTS = Path(__file__).parent / "snapshots"
PATCH = "*** Begin Patch\n*** Update File: a.py\n@@\n-x = 1\n+x = 2\n*** End Patch\n"
GRAMMAR = 'start: begin hunk+ end\nbegin: "*** Begin Patch" LF\nend: "*** End Patch" LF?\n'

EXEC = {
    "type": "function",
    "name": "exec_command",
    "description": "Runs a command in a terminal and returns its output.",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"cmd": {"type": "string"}, "workdir": {"type": "string"}},
        "required": ["cmd"],
        "additionalProperties": False,
    },
}
PLAN = {
    "type": "function",
    "name": "update_plan",
    "description": "Updates the plan of the task.",
    "strict": False,
    "parameters": {"type": "object", "properties": {"plan": {"type": "array"}}},
}
APPLY_PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files. This is freeform: do not wrap the patch in JSON.",
    "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR},
}
DOCS = {
    "type": "namespace",
    "name": "mcp__docs__",
    "description": "Tools of the server docs.",
    "tools": [
        {
            "type": "function",
            "name": "read_page",
            "description": "Reads a page.",
            "strict": False,
            "parameters": {"type": "object", "properties": {"page": {"type": "string"}}},
        }
    ],
}
OPENING = [
    {
        "type": "message",
        "role": "developer",
        "content": [{"type": "input_text", "text": "Commands run in a sandbox."}],
    },
    {
        "type": "message",
        "role": "user",
        "content": [
            {
                "type": "input_text",
                "text": "<environment_context>\n  <cwd>/repo</cwd>\n</environment_context>",
            }
        ],
    },
    {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Set x to 2 in a.py."}],
    },
]

LOOK = ChatAnswer(
    text="I look at the file first.",
    reasoning="The file has to be read.",
    finish_reason=FinishReason.TOOL_CALLS,
    tool_calls=(
        ToolCall(id="call_look", name="exec_command", arguments='{"cmd": "cat a.py"}'),
        ToolCall(id="call_docs", name="mcp__docs__read_page", arguments='{"page": "style"}'),
    ),
    usage=Usage(input_tokens=900, output_tokens=40, cached_tokens=512, reasoning_tokens=12),
)
EDIT = ChatAnswer(
    text="",
    finish_reason=FinishReason.TOOL_CALLS,
    tool_calls=(
        ToolCall(
            id="call_edit",
            name="apply_patch",
            arguments=msgspec.json.encode({"input": PATCH}).decode(),
        ),
    ),
    usage=Usage(input_tokens=960, output_tokens=60),
)
DONE = ChatAnswer(
    text="`x` is 2 now.",
    finish_reason=FinishReason.STOP,
    usage=Usage(input_tokens=1020, output_tokens=8),
)
SHELL = ChatAnswer(
    text="",
    finish_reason=FinishReason.TOOL_CALLS,
    tool_calls=(
        ToolCall(
            id="call_ls",
            name="local_shell",
            arguments='{"command": ["ls", "-a"], "workdir": "/repo"}',
        ),
    ),
    usage=Usage(input_tokens=100, output_tokens=9),
)


def body(turns: Sequence[object], tools: Sequence[object]) -> bytes:
    """Return a request as Codex writes it."""
    return msgspec.json.encode(
        {
            "model": "auto",
            "instructions": "You are a coding agent in a terminal.",
            "input": turns,
            "tools": tools,
            "tool_choice": "auto",
            "parallel_tool_calls": True,
            "reasoning": {"effort": "medium", "summary": "auto"},
            "store": False,
            "stream": True,
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "0199a213-81c0-7800-8aa1-bbab2a035a53",
            "text": {"verbosity": "medium"},
            "client_metadata": {"x-codex-installation-id": "0"},
        }
    )


Open = Callable[[Sequence[ChatAnswer]], "_Codex"]


@pytest.fixture
async def codex(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    for name, value in {**SCRIPTED, "YMERA_PROVIDERS__STAGE__TOOLS": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(chat_route, "new_request_id", lambda: "req_c0dec0dec0dec0de")
    monkeypatch.setattr(chat_route, "time", SimpleNamespace(time=lambda: 1_760_000_000.0))
    apps: list[App] = []

    def opened(answers: Sequence[ChatAnswer]) -> _Codex:
        provider = ScriptedProvider(answers=answers)
        apps.append(App.create(providers={"stage": provider}))
        return _Codex(apps[-1], provider)

    yield opened
    for app in apps:
        await app.close()


class _Codex:
    """Sends turns and keeps what it would keep: the items that were done."""

    def __init__(self, app: App, provider: ScriptedProvider) -> None:
        self.app = app
        self.provider = provider

    async def turn(self, turns: list[Any], tools: Sequence[object], snapshot: str) -> list[Any]:
        """Return the finished items of the answer, which must be the snapshot's, byte for byte."""
        headers = {
            "host": "127.0.0.1:8080",
            "content-type": "application/json",
            "accept": "text/event-stream",
            "originator": "codex_cli_rs",
            "session_id": "0199a213-81c0-7800-8aa1-bbab2a035a53",
        }
        client = Client(Server(self.app))
        answer = await client.send("POST", "/v1/responses", body(turns, tools), headers)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"].startswith("text/event-stream")
        _compare(answer.body, SNAPSHOTS / f"{snapshot}.sse")
        events = [msgspec.json.decode(each) for each in SSEParser().feed(answer.body)]
        assert events[-1]["type"] == "response.completed"
        return [e["item"] for e in events if e["type"] == "response.output_item.done"]


def _compare(data: bytes, path: Path) -> None:
    if os.environ.get("YMERA_TEST_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    assert data == path.read_bytes()


async def test_a_session_of_three_turns_edits_a_file(codex: Open) -> None:
    session = codex([LOOK, EDIT, DONE])
    tools = [EXEC, PLAN, APPLY_PATCH, DOCS]
    turns: list[Any] = list(OPENING)

    looked = await session.turn(turns, tools, "codex_1_look")
    assert [item["type"] for item in looked] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert looked[3]["namespace"] == "mcp__docs__"
    turns += looked
    turns += [
        {"type": "function_call_output", "call_id": "call_look", "output": "x = 1\n"},
        {
            "type": "function_call_output",
            "call_id": "call_docs",
            "output": [{"type": "input_text", "text": "Be tidy."}],
        },
    ]

    edited = await session.turn(turns, tools, "codex_2_edit")
    assert [(item["type"], item["input"]) for item in edited] == [("custom_tool_call", PATCH)]
    turns += edited
    turns.append({"type": "custom_tool_call_output", "call_id": "call_edit", "output": "Done!"})

    said = await session.turn(turns, tools, "codex_3_done")
    assert [item["content"][0]["text"] for item in said] == ["`x` is 2 now."]

    # What the model was told: one history in which every call is followed by its result.
    last = session.provider.requests[-1]
    assert [tool.name for tool in last.tools] == [
        "exec_command",
        "update_plan",
        "apply_patch",
        "mcp__docs__read_page",
    ]
    assert [message.role for message in last.messages] == [
        Role.SYSTEM,
        Role.SYSTEM,
        Role.USER,
        Role.USER,
        Role.ASSISTANT,
        Role.TOOL,
        Role.TOOL,
        Role.ASSISTANT,
        Role.TOOL,
    ]
    assert last.messages[7].tool_calls == EDIT.tool_calls
    assert last.messages[8].text == "Done!"
    assert last.sampling.reasoning_effort == "medium"


async def test_the_local_shell_is_called_and_answered(codex: Open) -> None:
    session = codex([SHELL, DONE])
    tools = [{"type": "local_shell"}, APPLY_PATCH]
    called = await session.turn(list(OPENING), tools, "codex_local_shell")
    assert called[0]["type"] == "local_shell_call"
    assert called[0]["action"]["command"] == ["ls", "-a"]
    turns = [*OPENING, *called]
    turns.append({"type": "function_call_output", "call_id": "call_ls", "output": "a.py\n"})
    await session.turn(turns, tools, "codex_local_shell_done")
    asked = session.provider.requests[-1].messages
    assert (asked[-1].name, asked[-1].text) == ("local_shell", "a.py\n")


async def test_hosted_web_search_is_refused_with_the_way_out(codex: Open) -> None:
    tools = [EXEC, {"type": "web_search", "external_web_access": False}]
    client = Client(Server(codex([]).app))
    answer = await client.send("POST", "/v1/responses", body(OPENING, tools))
    assert answer.status == 400
    assert answer.error["param"] == "tools[1].type"
    assert 'web_search = "disabled"' in answer.error["message"]
