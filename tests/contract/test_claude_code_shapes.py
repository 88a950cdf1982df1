"""A session in the request shapes Claude Code sends, replayed against the server.

The snapshots are what Claude Code reads, byte for byte. `YMERA_TEST_SNAPSHOTS=write` writes them
anew.
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
from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.chat import ReasoningPart, Role
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.server import chat_route
from ymera.server.asgi import Server
from ymera.testing.scripted import ScriptedProvider
from ymera.wire.anthropic import UPSTREAM
from ymera.wire.openai_chat import UPSTREAM as OPENAI_UPSTREAM
from ymera.wire.signatures import read_signature
from ymera.wire.sse import SSEParser

pytestmark = pytest.mark.proves("server.claude-code-shapes")

SNAPSHOTS = Path(__file__).parent / "snapshots"
SESSION = '{"device_id":"d0","account_uuid":"","session_id":"5e55104e-0000-4000-8000-000000000001"}'
CACHE = {"type": "ephemeral"}
LONG = "\n".join(
    f"{n}. Read a file before you change it, and keep changes small." for n in range(90)
)


def tool(name: str, what: str, *required: str) -> dict[str, object]:
    """Return a tool as Claude Code describes it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {field: {"type": "string", "description": field} for field in required},
        "required": list(required),
        "additionalProperties": False,
    }
    return {"name": name, "description": f"{what}\n\n{LONG[:600]}", "input_schema": schema}


TOOLS = [
    tool("Task", "Starts an agent for a part of the work.", "description", "prompt"),
    tool("Bash", "Runs a command in a shell that stays open.", "command", "description"),
    tool("Glob", "Finds files by pattern.", "pattern"),
    tool("Grep", "Searches in files.", "pattern", "path"),
    tool("Read", "Reads a file.", "file_path"),
    tool("Edit", "Replaces text in a file.", "file_path", "old_string", "new_string"),
    tool("Write", "Writes a file.", "file_path", "content"),
    tool("NotebookEdit", "Replaces a cell.", "notebook_path", "new_source"),
    tool("WebFetch", "Reads a page.", "url", "prompt"),
    tool("TodoWrite", "Keeps the list of what is to do.", "todos"),
    tool("ExitPlanMode", "Ends planning.", "plan"),
    tool("mcp__docs__search", "Searches the documentation.", "query"),
]

LOOK: list[ChatEvent] = [
    ReasoningDelta("The file has "),
    ReasoningDelta("to be read."),
    ReasoningDelta("", signature="c2lnbmVk"),
    TextDelta("I look at "),
    TextDelta("the file first."),
    ToolCallDelta(index=0, id="toolu_look", name="Read", arguments=""),
    ToolCallDelta(index=0, arguments='{"file_path": '),
    ToolCallDelta(index=0, arguments='"/repo/a.py"}'),
    ToolCallDelta(index=1, id="functions.Grep:1", name="Grep"),
    ToolCallDelta(index=1, arguments='{"pattern": "x =", "path": "/repo"}'),
    Finish(FinishReason.TOOL_CALLS),
    UsageReport(
        Usage(input_tokens=9000, output_tokens=80, cached_tokens=8192, reasoning_tokens=12)
    ),
]
EDIT: list[ChatEvent] = [
    ReasoningDelta("", signature="aGlkZGVu", redacted=True),
    ToolCallDelta(index=0, id="toolu_edit", name="Edit"),
    ToolCallDelta(
        index=0, arguments='{"file_path":"/repo/a.py","old_string":"1","new_string":"2"}'
    ),
    Finish(FinishReason.TOOL_CALLS),
    UsageReport(Usage(input_tokens=9100, output_tokens=40, cached_tokens=9000)),
]
DONE: list[ChatEvent] = [
    TextDelta("`x` is 2 now."),
    Finish(FinishReason.STOP),
    UsageReport(Usage(input_tokens=9200, output_tokens=8, cached_tokens=9100)),
]
TITLE = ChatAnswer(
    text='{"title":"Set x"}',
    finish_reason=FinishReason.STOP,
    usage=Usage(input_tokens=60, output_tokens=7),
)
HEADERS = {
    "host": "127.0.0.1:8080",
    "content-type": "application/json",
    "accept": "application/json",
    "authorization": "Bearer unused",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,effort-2025-11-24",
    "anthropic-dangerous-direct-browser-access": "true",
    "user-agent": "claude-cli/2.1.69 (external, cli)",
    "x-app": "cli",
    "x-stainless-lang": "js",
    "x-stainless-timeout": "600",
}


def system(number: int) -> list[dict[str, object]]:
    """Return the system blocks of one request: the first is another one each time."""
    return [
        {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1.69; cch={number};"},
        {"type": "text", "text": "You are a coding agent.", "cache_control": CACHE},
        {"type": "text", "text": f"\n{LONG}", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]


def request(number: int, turns: Sequence[Any]) -> bytes:
    """Return a request of the session; the last block of the last turn carries a cache mark."""
    *before, last = turns
    *blocks, end = last["content"]
    marked = {**last, "content": [*blocks, {**end, "cache_control": CACHE}]}
    return msgspec.json.encode(
        {
            "model": "auto",
            "messages": [*before, marked],
            "system": system(number),
            "tools": TOOLS,
            "metadata": {"user_id": SESSION},
            "max_tokens": 32000,
            "thinking": {"type": "adaptive"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            "output_config": {"effort": "medium"},
            "stream": True,
        }
    )


Open = Callable[..., "_Session"]


@pytest.fixture
async def claude_code(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    able = {"YMERA_PROVIDERS__STAGE__TOOLS": "true", "YMERA_PROVIDERS__STAGE__JSON_SCHEMA": "true"}
    for name, value in {**SCRIPTED, **able}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(chat_route, "new_request_id", lambda: "req_c0dec0dec0dec0de")
    monkeypatch.setattr(chat_route, "time", SimpleNamespace(time=lambda: 1_760_000_000.0))
    apps: list[App] = []

    def opened(*answers: Any) -> _Session:
        provider = ScriptedProvider(answers=answers)
        apps.append(App.create(providers={"stage": provider}))
        return _Session(apps[-1], provider)

    yield opened
    for app in apps:
        await app.close()


class _Session:
    """Sends requests and puts the answer's blocks together, as Claude Code keeps them."""

    def __init__(self, app: App, provider: ScriptedProvider) -> None:
        self.app = app
        self.provider = provider

    async def send(self, body: bytes) -> bytes:
        client = Client(Server(self.app))
        answer = await client.send("POST", "/v1/messages?beta=true", body, HEADERS)
        assert answer.status == 200, answer.body
        assert answer.headers["request-id"] == "req_c0dec0dec0dec0de"
        return answer.body

    async def turn(self, number: int, turns: Sequence[Any], snapshot: str) -> dict[str, Any]:
        """Return the assistant's turn; the stream must be the snapshot's, byte for byte."""
        sent = await self.send(request(number, turns))
        _compare(sent, SNAPSHOTS / f"{snapshot}.sse")
        blocks: list[Any] = []
        events = [msgspec.json.decode(data) for data in SSEParser().feed(sent)]
        for event in events:
            if event["type"] == "content_block_start":
                blocks.append({**event["content_block"], "json": ""})
            elif event["type"] == "content_block_delta":
                _grow(blocks[event["index"]], event["delta"])
        for block in blocks:
            if written := block.pop("json"):
                block["input"] = msgspec.json.decode(written)
        assert events[-1]["type"] == "message_stop"
        return {"role": "assistant", "content": blocks}


def _grow(block: dict[str, Any], delta: dict[str, str]) -> None:
    match delta:
        case {"type": "signature_delta", "signature": signature}:
            block["signature"] = signature
        case {"text": piece}:
            block["text"] += piece
        case {"thinking": piece}:
            block["thinking"] += piece
        case {"partial_json": piece}:
            block["json"] += piece


def _compare(data: bytes, path: Path) -> None:
    if os.environ.get("YMERA_TEST_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    assert data == path.read_bytes()


def _opening() -> list[Any]:
    reminder = "<system-reminder>\nAnswer in the user's language.\n</system-reminder>"
    texts = [reminder, "Set x to 2 in a.py."]
    return [{"role": "user", "content": [{"type": "text", "text": each} for each in texts]}]


async def test_a_session_of_three_turns_edits_a_file(claude_code: Open) -> None:
    session = claude_code(LOOK, EDIT, DONE)
    turns = _opening()

    looked = await session.turn(1, turns, "claude_code_1_look")
    kinds = [block["type"] for block in looked["content"]]
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]
    thought, _, first, second = looked["content"]
    assert thought["thinking"] == "The file has to be read."
    assert read_signature(thought["signature"]) == ("c2lnbmVk", "stage")
    assert first["input"] == {"file_path": "/repo/a.py"}
    turns += [
        looked,
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": first["id"], "content": "     1\tx = 1\n"},
                {
                    "type": "tool_result",
                    "tool_use_id": second["id"],
                    "content": [{"type": "text", "text": "rg: no such directory"}],
                    "is_error": True,
                },
                {"type": "text", "text": "<system-reminder>\nBe brief.\n</system-reminder>"},
            ],
        },
    ]

    edited = await session.turn(2, turns, "claude_code_2_edit")
    hidden, change = edited["content"]
    assert hidden["type"] == "redacted_thinking"
    assert read_signature(hidden["data"]) == ("aGlkZGVu", "stage")
    assert change["input"]["new_string"] == "2"
    done = {"type": "tool_result", "tool_use_id": change["id"], "content": "The file was updated."}
    turns += [edited, {"role": "user", "content": [done]}]

    said = await session.turn(3, turns, "claude_code_3_done")
    assert [block["text"] for block in said["content"]] == ["`x` is 2 now."]

    # What the model was told: one history in which every call is followed by its result.
    last = session.provider.requests[-1]
    assert [each.role for each in last.messages] == [
        Role.SYSTEM,
        Role.USER,
        Role.ASSISTANT,
        Role.TOOL,
        Role.TOOL,
        Role.USER,
        Role.ASSISTANT,
        Role.TOOL,
    ]
    assert [each.name for each in last.tools] == [each["name"] for each in TOOLS]
    assert last.messages[4].is_error
    for calls, results in (
        (last.messages[2], last.messages[3:5]),
        (last.messages[6], last.messages[7:]),
    ):
        assert [call.id for call in calls.tool_calls] == [each.tool_call_id for each in results]
    assert last.sampling.reasoning_effort == "medium"
    assert last.sampling.max_tokens == 32000


async def test_the_conversation_begins_alike_in_every_request(claude_code: Open) -> None:
    session = claude_code(DONE, DONE)
    for number in (1, 2):
        await session.send(request(number, _opening()))
    first, second = session.provider.requests
    assert first.messages == second.messages, "the vendor's header in disguise reached the model"
    assert "billing" not in first.messages[0].text


@pytest.mark.proves("wire.anthropic-verbatim")
async def test_its_own_vendor_gets_every_field_as_it_was_written(claude_code: Open) -> None:
    session = claude_code(DONE)
    body = request(1, _opening())
    await session.send(body)
    encoded = UPSTREAM.encode_request(session.provider.requests[0], "claude", frozenset())
    written, sent = msgspec.json.decode(body), msgspec.json.decode(encoded.body)
    beta = written.pop("context_management")
    assert beta
    assert sent == {**written, "model": "claude"}
    assert encoded.losses == (
        "context_management was left out: the vendor takes it from beta clients only.",
    )


@pytest.mark.proves("wire.anthropic-signatures")
async def test_reasoning_comes_back_to_its_vendor_alone(claude_code: Open) -> None:
    session = claude_code(LOOK, DONE)
    turns = _opening()
    turns.append(await session.turn(1, turns, "claude_code_1_look"))
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}
        for block in turns[-1]["content"]
        if block["type"] == "tool_use"
    ]
    turns.append({"role": "user", "content": results})
    await session.send(request(2, turns))
    asked = session.provider.requests[-1]
    kept = [
        part for each in asked.messages for part in each.content if isinstance(part, ReasoningPart)
    ]
    assert kept == [
        ReasoningPart(
            text="The file has to be read.",
            signature="c2lnbmVk",
            dialect=Dialect.ANTHROPIC,
            signer="stage",
        )
    ]
    elsewhere = OPENAI_UPSTREAM.encode_request(asked, "other", frozenset())
    assert b"The file has to be read." not in elsewhere.body
    assert any("easoning" in loss for loss in elsewhere.losses)


async def test_the_side_request_for_a_title_is_answered_whole(claude_code: Open) -> None:
    session = claude_code(TITLE)
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    body = {
        "model": "auto",
        "max_tokens": 512,
        "system": [{"type": "text", "text": "Name the conversation."}],
        "messages": [{"role": "user", "content": "Set x to 2 in a.py."}],
        "metadata": {"user_id": SESSION},
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "tools": [],
    }
    answer = await session.send(msgspec.json.encode(body))
    _compare(answer, SNAPSHOTS / "claude_code_title.json")
    assert msgspec.json.decode(answer)["content"] == [{"type": "text", "text": TITLE.text}]
