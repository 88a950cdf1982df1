"""The request pipeline: what is refused, what is recorded, what leaves."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.support.engine import START, FakeTime, Stage, ask, model
from ymera.core.access import LOCAL_OWNER, Principal, PrincipalKind
from ymera.core.answer import (
    ChatAnswer,
    Finish,
    FinishReason,
    TextDelta,
    UsageReport,
)
from ymera.core.chat import RequestHints
from ymera.core.errors import (
    InvalidRequest,
    NoRoute,
    ProviderError,
    ProviderErrorKind,
    RateLimited,
    TooLong,
    Unsupported,
    YmeraError,
)
from ymera.core.record import Attempt, RequestRecord
from ymera.core.route import Exclusion, ExclusionReason
from ymera.core.usage import Usage
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider

HELLO = ChatAnswer(
    text="Hello there",
    finish_reason=FinishReason.STOP,
    usage=Usage(input_tokens=3, output_tokens=2),
)
ANN = Principal(id="ann", kind=PrincipalKind.USER)


def says(*answers: ChatAnswer | ScriptedAnswer | ProviderError) -> ScriptedProvider:
    return ScriptedProvider(answers=list(answers))


@pytest.mark.proves("engine.records", "engine.private-by-default")
async def test_a_plain_answer_leaves_one_record_without_text() -> None:
    stage = Stage({"a": says(HELLO)})
    assert await stage.answer() == "Hello there"
    (record,) = stage.records.seen
    assert record == RequestRecord(
        id=record.id,
        at=START,
        principal=LOCAL_OWNER,
        requested_model="auto",
        stream=False,
        plan=stage.plan(),
        attempts=(Attempt(model_id="a/m", provider="a", started_at=START, latency_s=0.0),),
        model_id="a/m",
        provider="a",
        usage=HELLO.usage,
        cost_usd=Decimal(0),
        prompt_chars=9,
        answer_chars=11,
    )
    assert record.id.startswith("req_")


class Jam:
    """A throttle that is crowded until it is cleared."""

    def __init__(self) -> None:
        self.cleared = asyncio.Event()

    def crowded(self) -> bool:
        return not self.cleared.is_set()

    async def thinned(self) -> None:
        await self.cleared.wait()


@pytest.mark.proves("storage.slows-before-losing")
async def test_a_request_begins_when_the_records_of_earlier_ones_are_written() -> None:
    stage, jam = Stage({"a": says(HELLO)}), Jam()
    stage.throttle = jam
    asked = asyncio.create_task(stage.answer())
    await asyncio.sleep(0)
    assert stage.providers["a"].requests == []
    jam.cleared.set()
    assert await asked == "Hello there"


@pytest.mark.proves("storage.slows-before-losing", "engine.records")
async def test_a_caller_who_leaves_while_waiting_is_recorded() -> None:
    stage = Stage({"a": says(HELLO)})
    stage.throttle = Jam()
    asked = asyncio.create_task(stage.answer())
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.sleep(0)
    assert [each.error_code for each in stage.records.seen] == ["cancelled"]


async def test_a_streamed_answer_leaves_the_same_record_with_its_time_to_first_token() -> None:
    time = FakeTime()

    async def tick(_number: int) -> None:
        time.seconds += 0.5

    stage = Stage({"a": ScriptedProvider(answers=[HELLO], delay=tick)}, time=time)
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    events = [event async for event in reply.events()]
    await asyncio.sleep(0)
    assert events == [
        TextDelta("Hello"),
        TextDelta(" there"),
        Finish(FinishReason.STOP),
        UsageReport(Usage(input_tokens=3, output_tokens=2)),
    ]
    (record,) = stage.records.seen
    assert (record.ttft_s, record.latency_s) == (0.5, 2.0)
    assert (record.usage, record.answer_chars, record.answer) == (HELLO.usage, 11, None)


async def test_text_is_stored_when_switched_on_and_nobody_objects() -> None:
    stage = Stage({"a": says(HELLO, HELLO, HELLO)}, store_text=True)
    await stage.answer()
    await stage.answer(ask(hints=RequestHints(private=True)))
    await stage.answer(ask(hints=RequestHints(no_store=True)))
    assert [(each.prompt, each.answer) for each in stage.records.seen] == [
        ("Say hello", "Hello there"),
        (None, None),
        (None, None),
    ]


@pytest.mark.proves("core.unknown-cost")
async def test_a_cost_nobody_knows_is_recorded_as_unknown() -> None:
    stage = Stage({"a": says(HELLO)}, free=False)
    await stage.answer()
    assert stage.records.seen[0].cost_usd is None
    assert model("a", free=False).cost_usd(None) is None


@pytest.mark.proves("engine.rate-limit")
async def test_a_named_user_is_limited_and_the_local_owner_is_not() -> None:
    provider = ScriptedProvider()
    stage = Stage({"a": provider}, rate_limit=2)
    gateway = stage.gateway()
    for _ in range(5):
        await (await gateway.handle(ask(), LOCAL_OWNER)).answer()
    for _ in range(2):
        await (await gateway.handle(ask(), ANN)).answer()
    with pytest.raises(RateLimited) as caught:
        await gateway.handle(ask(), ANN)
    assert 0 < caught.value.retry_after_s <= 3600
    assert len(provider.requests) == 7
    await asyncio.sleep(0)
    assert stage.records.seen[-1].error_code == "rate_limit_exceeded"
    assert stage.records.seen[-1].id == caught.value.request_id


@pytest.mark.proves("engine.size-limit")
async def test_oversize_and_empty_prompts_never_reach_a_model() -> None:
    provider = ScriptedProvider()
    stage = Stage({"a": provider}, max_input_length=10)
    with pytest.raises(TooLong):
        await stage.answer(ask("x" * 11))
    with pytest.raises(InvalidRequest):
        await stage.answer(ask(" \n"))
    assert provider.requests == []
    assert [each.error_code for each in stage.records.seen] == [
        "context_length_exceeded",
        "invalid_request",
    ]


@pytest.mark.proves("routing.nothing-left")
async def test_without_a_candidate_the_error_carries_every_exclusion_and_a_way_out() -> None:
    excluded = Exclusion(
        model_id="local/smollm2-135m", reason=ExclusionReason.NOT_PULLED, detail="Not here."
    )
    stage = Stage({}, exclusions=(excluded,))
    with pytest.raises(NoRoute) as caught:
        await stage.answer()
    assert caught.value.exclusions == (excluded,)
    assert caught.value.exit_code == 5
    assert "models pull" in (caught.value.hint or "")


@pytest.mark.proves("routing.nothing-left")
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (ExclusionReason.CONTEXT, TooLong),
        (ExclusionReason.LIMIT_MINUTE, TooLong),
        (ExclusionReason.NO_VISION, Unsupported),
        (ExclusionReason.NO_KEY, NoRoute),
    ],
)
async def test_what_waiting_cannot_mend_is_the_requests_error(
    reason: ExclusionReason, kind: type[YmeraError]
) -> None:
    stage = Stage({}, exclusions=(Exclusion(model_id="a/m", reason=reason, detail="Why."),))
    with pytest.raises(kind) as caught:
        await stage.answer()
    assert type(caught.value) is kind
    assert caught.value.route == stage.plan()
    assert caught.value.hint


async def test_a_caller_that_stops_reading_cancels_the_upstream() -> None:
    closed = asyncio.Event()

    class Watched(ScriptedProvider):
        async def stream(self, request, model, deadlines):  # type: ignore[no-untyped-def]
            try:
                async for batch in super().stream(request, model, deadlines):
                    yield batch
            finally:
                closed.set()

    stage = Stage({"a": Watched(answers=[HELLO])})
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    events = reply.events()
    assert await anext(events) == TextDelta("Hello")
    await events.aclose()
    await asyncio.sleep(0)
    assert closed.is_set()
    assert stage.records.seen[0].error_code == "cancelled"


async def test_a_bug_is_recorded_as_one_and_raised() -> None:
    def broken(_request: object, _model: object) -> str:
        raise ZeroDivisionError

    stage = Stage({"a": ScriptedProvider(answers=broken)})
    with pytest.raises(ZeroDivisionError):
        await stage.answer()
    assert stage.records.seen[0].error_code == "internal_error"


@pytest.mark.proves("engine.no-switch")
async def test_a_stream_that_breaks_after_its_first_delta_ends_with_the_error() -> None:
    lost = ProviderError("lost", kind=ProviderErrorKind.TRANSIENT)
    spare = ScriptedProvider()
    stage = Stage(
        {"a": says(ScriptedAnswer(answer=HELLO, error=lost, deltas_before_error=1)), "b": spare}
    )
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    events = reply.events()
    assert await anext(events) == TextDelta("Hello")
    with pytest.raises(ProviderError, match="lost"):
        await anext(events)
    await asyncio.sleep(0)
    assert spare.requests == []
    assert stage.records.seen[0].error_code == "provider_error"
