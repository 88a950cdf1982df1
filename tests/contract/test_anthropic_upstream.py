"""The Messages dialect over real sockets in both roles: SDK, a server of ours, another as its host.

The far server plays an Anthropic host; what it was sent shows what the near one made of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import RedactedThinkingBlock, TextBlock, ThinkingBlock, ToolUseBlock

from tests.support.live_server import live_server
from tests.support.server import SCRIPTED
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
from ymera.core.chat import ChatRequest, ReasoningPart, Role, ToolCall
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Dialect, Model
from ymera.core.usage import Usage
from ymera.testing.scripted import Reply, ScriptedAnswer, ScriptedProvider, useful_echo
from ymera.wire.signatures import read_signature

pytestmark = pytest.mark.proves("wire.anthropic-upstream", "wire.anthropic-answer")

USAGE = Usage(input_tokens=100, output_tokens=9, cached_tokens=70, reasoning_tokens=4)
CALLING: list[ChatEvent] = [
    ReasoningDelta("Two numbers."),
    ReasoningDelta("", signature="c2ln"),
    ReasoningDelta("", signature="aGlkZGVu", redacted=True),
    TextDelta("I add."),
    ToolCallDelta(index=0, id="toolu_1", name="add", arguments='{"a":'),
    ToolCallDelta(index=0, arguments="1}"),
    UsageReport(USAGE),
    Finish(FinishReason.TOOL_CALLS),
]
ADD: Any = {
    "name": "add",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
    "cache_control": {"type": "ephemeral"},
}


def script(request: ChatRequest, model: Model) -> Reply:
    del model
    last = request.messages[-1]
    if last.role is Role.TOOL:
        return ChatAnswer(text=f"It is {last.text}.", finish_reason=FinishReason.STOP, usage=USAGE)
    if last.text == "break off":
        broken = ProviderError("The far end died.", kind=ProviderErrorKind.TRANSIENT)
        return ScriptedAnswer(answer=useful_echo(request), error=broken, deltas_before_error=2)
    return CALLING if request.tools else useful_echo(request)


@dataclass
class Chain:
    """The near server's address, and what the far one's model was asked."""

    url: str
    far: ScriptedProvider


@pytest.fixture
async def chain(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chain]:
    far = ScriptedProvider(answers=script)
    with monkeypatch.context() as there:
        for name, value in {**SCRIPTED, "YMERA_PROVIDERS__STAGE__TOOLS": "true"}.items():
            there.setenv(name, value)
        upstream = live_server({"stage": far})
        address = await upstream.__aenter__()
    host = {
        "BASE_URL": address,
        "DIALECT": "anthropic",
        "MODELS": '["stage/actor"]',
        "FREE": "true",
        "KEYLESS": "true",
        "TOOLS": "true",
    }
    monkeypatch.setenv("YMERA_LOCAL__ENABLED", "false")
    for name, value in host.items():
        monkeypatch.setenv(f"YMERA_PROVIDERS__FAR__{name}", value)
    try:
        async with live_server({}) as url:
            yield Chain(url, far)
    finally:
        await upstream.__aexit__(None, None, None)


@pytest.fixture
async def claude(chain: Chain) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=chain.url, api_key="k", max_retries=0) as client:
        yield client


def asked(text: str, **more: Any) -> dict[str, Any]:
    """Return the arguments of a small request."""
    messages = [{"role": "user", "content": text}]
    return {"model": "auto", "max_tokens": 2000, "messages": messages, **more}


@pytest.mark.proves("wire.usage-once", "wire.anthropic-usage")
async def test_streamed_and_plain_arrive_alike(claude: anthropic.AsyncAnthropic) -> None:
    plain = await claude.messages.create(**asked("Say good day"))
    async with claude.messages.stream(**asked("Say good day", system="Now.")) as stream:
        pieces = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert isinstance(plain.content[0], TextBlock)
    assert "".join(pieces) == plain.content[0].text == "You asked: Say good day"
    assert len(pieces) > 1
    assert plain.model == "far/stage/actor"
    assert final.usage.output_tokens == plain.usage.output_tokens
    assert final.stop_reason == plain.stop_reason == "end_turn"


@pytest.mark.proves("wire.anthropic-signatures", "wire.anthropic-verbatim")
@pytest.mark.parametrize("streamed", [False, True])
async def test_thinking_and_tools_go_round(
    claude: anthropic.AsyncAnthropic, chain: Chain, streamed: bool
) -> None:
    turns: list[Any] = [{"role": "user", "content": "Add."}]
    more: Any = {"model": "auto", "max_tokens": 2000, "tools": [ADD]}
    more["thinking"] = {"type": "adaptive"}
    more["extra_body"] = {"top_k": 5}  # newer versions of the SDK have no name for it
    if streamed:
        async with claude.messages.stream(messages=turns, **more) as stream:
            message = await stream.get_final_message()
        thought, hidden, said, call = message.content
        assert isinstance(thought, ThinkingBlock)
        assert thought.thinking == "Two numbers."
        assert read_signature(thought.signature)[1] == "far"
        assert isinstance(hidden, RedactedThinkingBlock)
        assert read_signature(hidden.data)[1] == "far"
    else:
        message = await claude.messages.create(messages=turns, **more)
        *_, said, call = message.content
    assert isinstance(said, TextBlock)
    assert isinstance(call, ToolUseBlock)
    assert (said.text, call.id, call.input) == ("I add.", "toolu_1", {"a": 1})
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (30, 70)

    turns.append({"role": "assistant", "content": message.content})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "1", "is_error": False}
    turns.append({"role": "user", "content": [result]})
    done = await claude.messages.create(messages=turns, **more)
    assert [block.text for block in done.content if isinstance(block, TextBlock)] == ["It is 1."]

    there = chain.far.requests[-1]
    assert there.sampling.top_k == 5
    assert there.messages[1].tool_calls == (
        ToolCall(id="toolu_1", name="add", arguments='{"a":1}'),
    )
    assert there.verbatim is not None
    assert b'"cache_control"' in bytes(there.verbatim.fields["tools"])
    if streamed:
        assert there.messages[1].content[0] == ReasoningPart(
            text="Two numbers.", signature="c2ln", dialect=Dialect.ANTHROPIC, signer="stage"
        )


async def test_a_stream_that_breaks_far_away_breaks_here(claude: anthropic.AsyncAnthropic) -> None:
    kinds: list[str] = []

    async def read() -> None:
        async with claude.messages.stream(**asked("break off")) as stream:
            async for event in stream:
                kinds.append(event.type)  # noqa: PERF401 - it breaks off, and what came is kept

    with pytest.raises(anthropic.APIStatusError, match="The far end died"):
        await read()
    assert "content_block_delta" in kinds
    assert "message_stop" not in kinds


@pytest.mark.proves("wire.across")
async def test_a_caller_of_another_dialect_is_served_too(chain: Chain) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "add", "parameters": ADD["input_schema"]},
    }
    async with openai.AsyncOpenAI(base_url=f"{chain.url}/v1", api_key="k", max_retries=0) as client:
        answer = await client.chat.completions.create(
            model="auto",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Add."},
            ],
            tools=[tool],
            parallel_tool_calls=False,
            seed=1,
        )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert [call.model_dump() for call in calls] == [
        {
            "id": "toolu_1",
            "type": "function",
            "function": {"name": "add", "arguments": '{"a":1}'},
        }
    ]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 100
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 70
    there = chain.far.requests[-1]
    assert [message.text for message in there.messages] == ["Be brief.", "Add."]
    assert there.parallel_tools is False
