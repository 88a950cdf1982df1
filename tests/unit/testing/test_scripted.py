from __future__ import annotations

import asyncio
import json
from importlib.metadata import EntryPoint

import msgspec
import pytest

from tests.support.chat import make_model, make_request
from ymera.core.answer import (
    AnswerBuilder,
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from ymera.core.chat import (
    ChatRequest,
    ResponseFormat,
    ToolCall,
)
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Dialect, Model, Provider, ProviderKind
from ymera.core.ports import ChatProvider, Deadlines
from ymera.core.usage import Usage
from ymera.testing import ScriptedAnswer, ScriptedProvider

FAILURE = ProviderError("It broke.", kind=ProviderErrorKind.TRANSIENT)
USAGE = Usage(input_tokens=2, output_tokens=2)


async def ask(
    provider: ChatProvider, request: ChatRequest | None = None, model: Model | None = None
) -> list[ChatEvent]:
    stream = provider.stream(request or make_request(), model or make_model(), Deadlines())
    return [event async for batch in stream for event in batch]


async def failing(provider: ScriptedProvider) -> list[ChatEvent]:
    said: list[ChatEvent] = []

    async def listen() -> None:
        async for batch in provider.stream(make_request(), make_model(), Deadlines()):
            said.extend(batch)

    with pytest.raises(ProviderError, match="It broke"):
        await listen()
    return said


async def text_of(provider: ScriptedProvider, model: Model | None = None) -> str:
    builder = AnswerBuilder()
    for event in await ask(provider, model=model):
        builder.add(event)
    return builder.build().text


@pytest.mark.proves("testing.scripted")
async def test_scripted_answers_are_used_up_in_order_and_then_it_echoes() -> None:
    provider = ScriptedProvider(answers=["first", "second"])

    assert [await text_of(provider) for _ in range(3)] == [
        "first",
        "second",
        "You asked: say hello",
    ]


@pytest.mark.proves("testing.scripted")
async def test_it_remembers_what_it_was_asked() -> None:
    provider = ScriptedProvider()
    await ask(provider)
    await provider.close()

    assert (provider.requests, provider.models) == ([make_request()], [make_model()])
    assert provider.closed


async def test_each_model_may_have_answers_of_its_own() -> None:
    provider = ScriptedProvider(answers={"sim/a": ["from a"], "sim/b": ["from b"]})

    assert await text_of(provider, make_model("b")) == "from b"
    assert await text_of(provider, make_model("a")) == "from a"
    assert await text_of(provider, make_model("a")) == "You asked: say hello"


async def test_a_function_may_decide_what_is_said() -> None:
    provider = ScriptedProvider(answers=lambda request, model: f"{model.name}/{request.model}")

    assert await text_of(provider) == "sim-small/auto"


@pytest.mark.proves("providers.contract")
@pytest.mark.parametrize("stream", [True, False])
async def test_a_whole_answer_comes_in_pieces_only_when_streamed(stream: bool) -> None:
    answer = ChatAnswer(
        text="a b",
        finish_reason=FinishReason.TOOL_CALLS,
        reasoning="hm",
        tool_calls=(ToolCall(id="c", name="f", arguments='{"x": 1}'),),
        usage=USAGE,
    )
    provider = ScriptedProvider(answers=[answer])

    events = await ask(provider, make_request(stream=stream))

    text: list[ChatEvent] = [TextDelta("a"), TextDelta(" b")] if stream else [TextDelta("a b")]
    call: list[ChatEvent] = [ToolCallDelta(index=0, id="c", name="f", arguments='{"x": 1}')]
    if stream:
        call = [
            ToolCallDelta(index=0, id="c", name="f", arguments='{"x":'),
            ToolCallDelta(index=0, arguments=" 1}"),
        ]
    end: list[ChatEvent] = [Finish(FinishReason.TOOL_CALLS), UsageReport(USAGE)]
    assert events == [ReasoningDelta("hm"), *text, *call, *end]


async def test_the_very_events_may_be_given() -> None:
    events: list[ChatEvent] = [TextDelta("a"), Finish(FinishReason.LENGTH)]

    assert await ask(ScriptedProvider(answers=[events])) == events


@pytest.mark.proves("testing.scripted", "providers.contract")
@pytest.mark.parametrize("deltas", [0, 2])
async def test_it_fails_before_or_after_its_first_delta(deltas: int) -> None:
    answer = ChatAnswer(text="a b c", finish_reason=FinishReason.STOP)
    broken = ScriptedAnswer(answer=answer, error=FAILURE, deltas_before_error=deltas)

    said = await failing(ScriptedProvider(answers=[broken]))

    assert said == [TextDelta("a"), TextDelta(" b")][:deltas]


async def test_a_scripted_answer_without_an_error_is_a_whole_answer() -> None:
    answer = ChatAnswer(text="a", finish_reason=FinishReason.STOP)

    assert await text_of(ScriptedProvider(answers=[ScriptedAnswer(answer=answer)])) == "a"


async def test_a_failure_may_be_all_there_is() -> None:
    assert await failing(ScriptedProvider(answers=[FAILURE])) == []


@pytest.mark.proves("providers.contract")
async def test_a_delay_holds_each_event_back_and_can_be_cancelled() -> None:
    numbers: list[int] = []
    third = asyncio.Event()

    async def delay(number: int) -> None:
        numbers.append(number)
        if number == 2:
            third.set()
            await asyncio.Event().wait()

    asking = asyncio.ensure_future(ask(ScriptedProvider(answers=["a b c"], delay=delay)))
    async with asyncio.timeout(5):
        await third.wait()
    asking.cancel()
    (outcome,) = await asyncio.gather(asking, return_exceptions=True)

    assert numbers == [0, 1, 2]
    assert isinstance(outcome, asyncio.CancelledError)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [("Create a Python function", "def hello_world"), ("Why?", "You asked: Why?")],
)
async def test_without_a_script_the_answer_fits_the_prompt(prompt: str, said: str) -> None:
    events = await ask(ScriptedProvider(), make_request(prompt, stream=False))

    assert isinstance(events[0], TextDelta)
    assert said in events[0].text


async def test_without_a_script_a_request_for_json_gets_json() -> None:
    request = msgspec.structs.replace(
        make_request("x", stream=False), response_format=ResponseFormat()
    )

    events = await ask(ScriptedProvider(), request)

    assert isinstance(events[0], TextDelta)
    assert json.loads(events[0].text) == {"answer": "x"}


def test_the_entry_point_makes_it_from_a_row() -> None:
    row = Provider(
        id="stage", name="Stage", kind=ProviderKind.SCRIPTED, dialects=(Dialect.OPENAI_CHAT,)
    )
    entry = EntryPoint("scripted", "ymera.testing.scripted:ScriptedProvider", "ymera.providers")

    assert entry.load()(row).provider is row


async def test_what_was_asked_is_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ymera.testing.scripted._MOST_KEPT", 4)
    provider = ScriptedProvider()
    asked = [make_request(f"number {number}") for number in range(9)]
    for request in asked:
        await ask(provider, request)
    assert provider.requests == asked[-3:]
    assert len(provider.models) == 3
