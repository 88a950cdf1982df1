"""Every fault, in every dialect, as our own clients meet it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.support.chat import make_request
from tests.support.simulated import client_of, model_of
from ymera.core.answer import AnswerBuilder, ChatAnswer, ChatEvent, FinishReason
from ymera.core.chat import ResponseFormat, ToolSpec
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.model import Dialect
from ymera.core.ports import Deadlines
from ymera.engine.structured import fitted
from ymera.providers.transport import HttpTransport
from ymera.testing import Fault, FaultPlan, FaultRule, ProviderSimulator

HOSTS = {
    Dialect.OPENAI_CHAT: "groq/openai/gpt-oss-20b",
    Dialect.ANTHROPIC: "anthropic/claude-haiku-5-5",
    Dialect.GEMINI: "google/gemini-3.5-flash-lite",
    Dialect.OLLAMA: "ollama-cloud/gpt-oss:20b",
}
REFUSED = {
    Fault.BAD_REQUEST: {Kind.CAPABILITY},
    Fault.UNAUTHORIZED: {Kind.AUTH},
    Fault.NO_CREDIT: {Kind.QUOTA_MONTH},
    Fault.FORBIDDEN: {Kind.CAPABILITY},
    Fault.GONE: {Kind.MODEL_GONE},
    Fault.TIMEOUT: {Kind.TRANSIENT},
    Fault.RETIRED: {Kind.MODEL_GONE},
    Fault.TOO_LARGE: {Kind.TOO_LARGE},
    Fault.UNPROCESSABLE: {Kind.CAPABILITY},
    Fault.MINUTE: {Kind.QUOTA_MINUTE},
    Fault.MINUTE_MS: {Kind.QUOTA_MINUTE},
    Fault.MINUTE_DATE: {Kind.QUOTA_MINUTE},
    Fault.DAY: {Kind.QUOTA_DAY},
    Fault.MONTH: {Kind.QUOTA_MONTH},
    Fault.BUSY_UPSTREAM: {Kind.UPSTREAM_BUSY},
    Fault.BROKEN: {Kind.TRANSIENT},
    Fault.BAD_GATEWAY: {Kind.TRANSIENT},
    Fault.OVERLOADED: {Kind.UPSTREAM_BUSY},
    Fault.VENDOR_OVERLOADED: {Kind.UPSTREAM_BUSY},
    Fault.BARE_ERROR: {Kind.CAPABILITY},
    Fault.HTML_OK: {Kind.BAD_ANSWER},
    Fault.HTML_BAD_GATEWAY: {Kind.TRANSIENT},
    Fault.NOT_JSON: {Kind.BAD_ANSWER},
    Fault.SLOW_FIRST_BYTE: {Kind.TRANSIENT},
    Fault.STALL: {Kind.TRANSIENT},
    Fault.CUT_BEFORE_HEAD: {Kind.TRANSIENT},
    Fault.CUT_MID_HEAD: {Kind.TRANSIENT, Kind.BAD_ANSWER},
    Fault.CUT_MID_STREAM: {Kind.TRANSIENT},
    Fault.ERROR_EVENT: {Kind.TRANSIENT, Kind.UPSTREAM_BUSY},
    Fault.BAD_CHUNK: {Kind.BAD_ANSWER},
    Fault.NO_FINISH: {Kind.TRANSIENT, Kind.BAD_ANSWER},
}
ANSWERED = {
    Fault.DUPLICATE_FINISH,
    Fault.MISSING_USAGE,
    Fault.WRONG_USAGE,
    Fault.EMPTY,
    Fault.BAD_ARGUMENTS,
    Fault.BROKEN_JSON,
    Fault.WRONG_JSON,
    Fault.COSTS,
}
PERSON = ResponseFormat(
    schema=msgspec.Raw(
        b'{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer",'
        b'"minimum":18}},"required":["name","age"],"additionalProperties":false}'
    )
)
SOON = Deadlines(connect_s=1, first_byte_s=0.3, idle_s=0.3, total_s=2)


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport()
    yield made
    await made.close()


async def answer_with(
    fault: Fault,
    dialect: Dialect,
    transport: HttpTransport,
    *,
    stream: bool,
    tools: bool = False,
    schema: bool = False,
) -> tuple[ChatAnswer, list[ChatEvent]]:
    model = model_of(HOSTS[dialect])
    plan = FaultPlan([FaultRule(fault=fault)])
    request = make_request(stream=stream)
    request = msgspec.structs.replace(request, include_usage=True)
    if tools:
        request = msgspec.structs.replace(request, tools=(ToolSpec(name="add"),))
    if schema:
        request = msgspec.structs.replace(request, response_format=PERSON)
    async with ProviderSimulator(providers=(model.provider,), faults=plan) as simulator:
        client = client_of(simulator, model.provider, dialect, transport)
        events = [event async for batch in client.stream(request, model, SOON) for event in batch]
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build(), events


def test_the_two_tables_name_every_fault_once() -> None:
    assert REFUSED.keys() | ANSWERED == set(Fault)
    assert not REFUSED.keys() & ANSWERED


@pytest.mark.proves("simulator.faults", "simulator.dialects")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", HOSTS)
@pytest.mark.parametrize("fault", REFUSED)
async def test_a_fault_is_an_error_of_its_kind(
    transport: HttpTransport, fault: Fault, dialect: Dialect, stream: bool
) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(ProviderError) as caught:
            await answer_with(fault, dialect, transport, stream=stream)

    assert caught.value.kind in REFUSED[fault]


@pytest.mark.proves("simulator.faults", "simulator.dialects")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", HOSTS)
@pytest.mark.parametrize("fault", sorted(ANSWERED - {Fault.EMPTY, Fault.BAD_ARGUMENTS}))
async def test_a_fault_that_spoils_no_text_leaves_the_text(
    transport: HttpTransport, fault: Fault, dialect: Dialect, stream: bool
) -> None:
    answer, _ = await answer_with(fault, dialect, transport, stream=stream)

    assert answer.text == "You asked: say hello"
    assert answer.finish_reason is FinishReason.STOP
    if fault in {Fault.MISSING_USAGE, Fault.WRONG_USAGE} and dialect is Dialect.OPENAI_CHAT:
        assert answer.usage is None
    if fault is Fault.COSTS and dialect is Dialect.OPENAI_CHAT:
        assert answer.cost_usd is not None
        assert answer.cost_usd > 0


@pytest.mark.proves("simulator.faults", "simulator.dialects")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", HOSTS)
async def test_an_empty_answer_says_that_it_ran_out_of_length(
    transport: HttpTransport, dialect: Dialect, stream: bool
) -> None:
    answer, _ = await answer_with(Fault.EMPTY, dialect, transport, stream=stream)

    assert (answer.text, answer.finish_reason) == ("", FinishReason.LENGTH)


@pytest.mark.proves("simulator.faults", "simulator.dialects")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", HOSTS)
async def test_arguments_that_are_no_json_arrive_as_the_model_wrote_them(
    transport: HttpTransport, dialect: Dialect, stream: bool
) -> None:
    answer, _ = await answer_with(
        Fault.BAD_ARGUMENTS, dialect, transport, stream=stream, tools=True
    )

    (call,) = answer.tool_calls
    with pytest.raises(json.JSONDecodeError):
        json.loads(call.arguments)


@pytest.mark.proves("simulator.structured", "simulator.dialects")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", HOSTS)
@pytest.mark.parametrize("fault", [Fault.COSTS, Fault.BROKEN_JSON])
async def test_structured_output_fits_once_what_is_only_broken_is_mended(
    transport: HttpTransport, fault: Fault, dialect: Dialect, stream: bool
) -> None:
    answer, _ = await answer_with(fault, dialect, transport, stream=stream, schema=True)

    text, repaired = fitted(answer.text, PERSON)
    assert repaired is (fault is Fault.BROKEN_JSON)
    assert json.loads(text) == {"name": "sample", "age": 18}


@pytest.mark.proves("simulator.structured", "simulator.dialects")
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", HOSTS)
async def test_structured_output_of_another_shape_cannot_be_mended(
    transport: HttpTransport, dialect: Dialect, stream: bool
) -> None:
    answer, _ = await answer_with(Fault.WRONG_JSON, dialect, transport, stream=stream, schema=True)

    with pytest.raises(ProviderError, match="does not fit its schema"):
        fitted(answer.text, PERSON)
