"""The official Anthropic SDK takes our server for Anthropic's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from anthropic.types import (
    InputJSONDelta,
    RawContentBlockDeltaEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
)

from tests.support.live_server import live_server
from tests.support.server import SCRIPTED
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, Role, ToolCall
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Model
from ymera.core.usage import Usage
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider, useful_echo

pytestmark = pytest.mark.proves("server.anthropic-sdk")

USAGE = Usage(input_tokens=9, output_tokens=5, cached_tokens=4, reasoning_tokens=2)
ADD: Any = {
    "name": "add",
    "description": "Adds two numbers.",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
ADAPTIVE: Any = {"type": "adaptive"}
CALLS = (
    ToolCall(id="toolu_1", name="add", arguments='{"a": 1, "b": 2}'),
    ToolCall(id="functions.add:1", name="add", arguments='{"a": 3, "b": 4}'),
)


def script(request: ChatRequest, model: Model) -> ChatAnswer | ScriptedAnswer | ProviderError:
    del model
    last = request.messages[-1]
    if last.role is Role.TOOL:
        return ChatAnswer(text=f"It is {last.text}.", finish_reason=FinishReason.STOP, usage=USAGE)
    if request.tools:
        return ChatAnswer(
            text="I add.",
            reasoning="Two sums are wanted.",
            finish_reason=FinishReason.TOOL_CALLS,
            tool_calls=CALLS,
            usage=USAGE,
        )
    match last.text:
        case "break off":
            broken = ProviderError("The upstream died.", kind=ProviderErrorKind.TRANSIENT)
            return ScriptedAnswer(answer=useful_echo(request), error=broken, deltas_before_error=2)
        case "too many":
            return ProviderError(
                "Slow down.", kind=ProviderErrorKind.QUOTA_MINUTE, retry_after_s=7.0
            )
        case "be busy":
            return ProviderError("Try later.", kind=ProviderErrorKind.UPSTREAM_BUSY)
        case "be cut":
            return ChatAnswer(text="Half an ans", finish_reason=FinishReason.LENGTH, usage=USAGE)
        case "say nothing of usage":
            return ChatAnswer(text="Fine.", finish_reason=FinishReason.STOP)
    return useful_echo(request)


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[anthropic.AsyncAnthropic]:
    able = ("TOOLS", "JSON_SCHEMA")
    named = {f"YMERA_PROVIDERS__STAGE__{name}": "true" for name in able}
    for name, value in {**SCRIPTED, **named}.items():
        monkeypatch.setenv(name, value)
    async with (
        live_server({"stage": ScriptedProvider(answers=script)}) as url,
        anthropic.AsyncAnthropic(base_url=url, api_key="unused", max_retries=0) as client,
    ):
        yield client


def asked(text: str, **more: Any) -> dict[str, Any]:
    """Return the arguments of a small request."""
    messages = [{"role": "user", "content": text}]
    return {"model": "auto", "max_tokens": 100, "messages": messages, **more}


async def test_it_answers(client: anthropic.AsyncAnthropic) -> None:
    message = await client.messages.create(**asked("Say hello", system="Be brief."))
    (block,) = message.content
    assert isinstance(block, TextBlock)
    assert block.text == "You asked: Say hello"
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert (message.model, message.role, message.type) == ("stage/actor", "assistant", "message")
    assert message.id.startswith("msg_")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens == 4
    assert (message._request_id or "").removeprefix("req_") == message.id.removeprefix("msg_")
    type(message).model_validate(message.model_dump(), strict=False)  # every field it requires


async def test_a_beta_client_is_served_like_any_other(client: anthropic.AsyncAnthropic) -> None:
    message = await client.beta.messages.create(
        **asked("Say hello"), betas=["claude-code-20250219"]
    )  # the SDK asks for /v1/messages?beta=true
    assert [block.type for block in message.content] == ["text"]


async def test_a_bound_that_was_reached_is_told(client: anthropic.AsyncAnthropic) -> None:
    message = await client.messages.create(**asked("be cut"))
    assert message.stop_reason == "max_tokens"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (5, 4)
    assert message.usage.output_tokens_details is not None
    assert message.usage.output_tokens_details.thinking_tokens == 2


@pytest.mark.proves("wire.anthropic-unknown-usage")
async def test_unknown_usage_is_told_as_unknown_and_breaks_no_reader(
    client: anthropic.AsyncAnthropic,
) -> None:
    message = await client.messages.create(**asked("say nothing of usage"))
    unknown = {"input_tokens": None, "output_tokens": None}
    assert message.usage.model_dump(exclude_none=False, include=set(unknown)) == unknown
    async with client.messages.stream(**asked("say nothing of usage")) as stream:
        final = await stream.get_final_message()
    assert final.usage.model_dump()["output_tokens"] is None
    assert final.stop_reason == "end_turn"


async def test_it_streams_piece_by_piece_and_tells_the_usage(
    client: anthropic.AsyncAnthropic,
) -> None:
    async with client.messages.stream(**asked("Say good day")) as stream:
        pieces = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    plain = await client.messages.create(**asked("Say good day", system=[]))
    assert "".join(pieces) == "You asked: Say good day"
    assert len(pieces) > 1
    assert [block.model_dump() for block in plain.content] == [
        block.model_dump(exclude={"parsed_output"}) for block in final.content
    ]
    assert final.usage.model_dump() == plain.usage.model_dump()
    assert final.stop_reason == "end_turn"


@pytest.mark.proves("wire.anthropic-events")
async def test_events_come_in_the_vendors_order(client: anthropic.AsyncAnthropic) -> None:
    events = [
        event
        async for event in await client.messages.create(
            **asked("Add.", tools=[ADD], thinking=ADAPTIVE, stream=True)
        )
    ]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    order = [event.type for event in events]
    squeezed = [
        kind
        for at, kind in enumerate(order)
        if kind != "content_block_delta" or order[at - 1] != kind
    ]
    assert squeezed == ["message_start", *block * 4, "message_delta", "message_stop"]
    indexes = [event.index for event in events if isinstance(event, RawContentBlockDeltaEvent)]
    assert sorted(set(indexes)) == [0, 1, 2, 3]
    assert indexes == sorted(indexes)
    start, end = events[0], events[-2]
    assert isinstance(start, RawMessageStartEvent)
    assert start.message.usage.input_tokens > 0
    assert isinstance(end, RawMessageDeltaEvent)
    assert end.delta.stop_reason == "tool_use"
    assert (end.usage.input_tokens, end.usage.cache_read_input_tokens) == (5, 4)
    assert end.usage.output_tokens == 5
    written = [
        event.delta.partial_json
        for event in events
        if isinstance(event, RawContentBlockDeltaEvent) and isinstance(event.delta, InputJSONDelta)
    ]
    assert "".join(written) == '{"a": 1, "b": 2}{"a": 3, "b": 4}'


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_go_round(client: anthropic.AsyncAnthropic, streamed: bool) -> None:
    turns: list[Any] = [{"role": "user", "content": "Add."}]
    more: Any = {"model": "auto", "max_tokens": 100, "tools": [ADD], "tool_choice": {"type": "any"}}
    more["thinking"] = ADAPTIVE
    if streamed:
        async with client.messages.stream(messages=turns, **more) as stream:
            message = await stream.get_final_message()
    else:
        message = await client.messages.create(messages=turns, **more)
    thought, said, first, second = message.content
    assert isinstance(thought, ThinkingBlock)
    assert thought.thinking == "Two sums are wanted."
    assert isinstance(said, TextBlock)
    assert isinstance(first, ToolUseBlock)
    assert isinstance(second, ToolUseBlock)
    assert (first.id, first.name, first.input) == ("toolu_1", "add", {"a": 1, "b": 2})
    assert second.input == {"a": 3, "b": 4}
    assert second.id.startswith("toolu_"), "an id this dialect refuses was not rewritten"
    assert message.stop_reason == "tool_use"

    turns.append({"role": "assistant", "content": message.content})
    results = [
        {"type": "tool_result", "tool_use_id": first.id, "content": "3"},
        {
            "type": "tool_result",
            "tool_use_id": second.id,
            "content": [{"type": "text", "text": "7"}],
        },
    ]
    turns.append({"role": "user", "content": results})
    done = await client.messages.create(messages=turns, **{**more, "tool_choice": {"type": "auto"}})
    assert [block.text for block in done.content if isinstance(block, TextBlock)] == ["It is 7."]


@pytest.mark.parametrize("thinking", [{}, {"thinking": {"type": "disabled"}}])
async def test_text_comes_first_for_who_asked_for_no_thinking(
    client: anthropic.AsyncAnthropic, thinking: dict[str, Any]
) -> None:
    message = await client.messages.create(**asked("Add.", tools=[ADD], **thinking))
    async with client.messages.stream(**asked("Add.", tools=[ADD], **thinking)) as stream:
        streamed = await stream.get_final_message()
    for content in (message.content, streamed.content):
        assert [block.type for block in content] == ["text", "tool_use", "tool_use"]


async def test_an_image_is_never_shown_to_a_model_that_cannot_see(
    client: anthropic.AsyncAnthropic,
) -> None:
    source: Any = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content: Any = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
    with pytest.raises(anthropic.BadRequestError, match="blind to images"):
        await client.messages.create(**asked("", messages=[{"role": "user", "content": content}]))


async def test_structured_output_fits_its_schema(client: anthropic.AsyncAnthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    config: Any = {"format": {"type": "json_schema", "schema": schema}}
    message = await client.messages.create(**asked("Which?", output_config=config))
    assert [block.text for block in message.content if isinstance(block, TextBlock)] == [
        '{"answer":"Which?"}'
    ]


@pytest.mark.proves("server.messages-errors")
async def test_its_errors_are_the_sdks_own(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        await client.messages.create(**asked("hi", model="no-such-model"))
    assert unknown.value.type == "not_found_error"
    assert unknown.value.error_code == "model_not_found"
    assert (unknown.value.request_id or "").startswith("req_")
    with pytest.raises(anthropic.BadRequestError, match="empty") as empty:
        await client.messages.create(**asked("  "))
    assert empty.value.type == "invalid_request_error"
    with pytest.raises(anthropic.RateLimitError) as limited:
        await client.messages.create(**asked("too many"))
    assert limited.value.type == "rate_limit_error"
    assert limited.value.response.headers["retry-after"] == "7"
    with pytest.raises(anthropic.ServiceUnavailableError) as busy:
        await client.messages.create(**asked("be busy"))
    assert busy.value.type == "overloaded_error"
    document = {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\].content\[0\].type"):
        await client.messages.create(
            **asked("", messages=[{"role": "user", "content": [document]}])
        )
    with pytest.raises(anthropic.NotFoundError) as gone:
        await client.models.retrieve("no-such-model")
    assert gone.value.type == "not_found_error"


@pytest.mark.proves("server.messages-errors", "wire.broken-stream")
async def test_a_stream_that_breaks_raises_and_never_ends_cleanly(
    client: anthropic.AsyncAnthropic,
) -> None:
    kinds: list[str] = []

    async def read() -> None:
        async with client.messages.stream(**asked("break off")) as stream:
            async for event in stream:
                kinds.append(event.type)  # noqa: PERF401 - it breaks off, and what came is kept

    with pytest.raises(anthropic.APIStatusError) as broken:
        await read()
    assert broken.value.type == "api_error"
    assert "The upstream died." in str(broken.value)
    assert "content_block_delta" in kinds
    assert not {"message_delta", "message_stop"} & set(kinds)


@pytest.mark.proves("server.messages-models")
async def test_it_pages_through_the_models(client: anthropic.AsyncAnthropic) -> None:
    every = [model.id async for model in client.models.list(limit=7)]
    assert every[:5] == ["auto", "free", "fast", "best", "cheapest"]
    assert "stage/actor" in every
    assert len(every) == len(set(every))
    one = await client.models.retrieve("stage/actor")
    assert (one.id, one.type, one.lifecycle) == ("stage/actor", "model", "active")
    page = await client.models.list(limit=1000)
    assert [model.id for model in page.data] == every
    assert not page.has_more


@pytest.mark.proves("server.count-tokens")
async def test_it_counts_tokens(client: anthropic.AsyncAnthropic) -> None:
    few = await client.messages.count_tokens(
        model="auto", messages=[{"role": "user", "content": "hi"}]
    )
    many = await client.messages.count_tokens(
        model="auto",
        system="Be brief. " * 100,
        messages=[{"role": "user", "content": "hi"}],
        tools=[ADD],
    )
    assert 0 < few.input_tokens < 20
    assert many.input_tokens > few.input_tokens + 200
