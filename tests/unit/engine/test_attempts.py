"""The fallback loop: who is asked next, and when nobody is."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.engine import Stage, ask
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import (
    ChatAnswer,
    Finish,
    FinishReason,
    TextDelta,
)
from ymera.core.errors import (
    ConfigError,
    MachineError,
    NoRoute,
    ProviderError,
    ProviderErrorKind,
    YmeraError,
)
from ymera.engine.gate import CallGate
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider

HELLO = ChatAnswer(text="Hello there", finish_reason=FinishReason.STOP)
EMPTY = ChatAnswer(text="", finish_reason=FinishReason.STOP)


def fails(kind: ProviderErrorKind = ProviderErrorKind.UPSTREAM_BUSY) -> ScriptedProvider:
    return ScriptedProvider(answers=lambda _request, _model: ProviderError(f"{kind}", kind=kind))


def says(*answers: object) -> ScriptedProvider:
    return ScriptedProvider(answers=list(answers))  # type: ignore[arg-type]


@pytest.mark.proves("engine.fallback")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "kind", [kind for kind in ProviderErrorKind if kind is not ProviderErrorKind.MODERATION]
)
@pytest.mark.proves("document.select-fallback")
async def test_a_failure_before_the_first_delta_goes_on_to_the_next(
    kind: ProviderErrorKind, stream: bool
) -> None:
    stage = Stage({"a": fails(kind), "b": says(HELLO)})
    assert await stage.answer(ask(stream=stream)) == "Hello there"
    (record,) = stage.records.seen
    assert [(each.model_id, each.error_code) for each in record.attempts] == [
        ("a/m", kind.value),
        ("b/m", None),
    ]
    assert record.model_id == "b/m"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "broken",
    [
        EMPTY,
        [],
        [TextDelta("")],
        ScriptedAnswer(
            answer=HELLO,
            error=ProviderError("x", kind=ProviderErrorKind.TRANSIENT),
            deltas_before_error=0,
        ),
    ],
    ids=["empty", "cut at once", "cut after nothing", "error at once"],
)
@pytest.mark.proves("engine.fallback")
async def test_an_empty_or_cut_answer_is_a_failure(broken: object, stream: bool) -> None:
    stage = Stage({"a": says(broken), "b": says(HELLO)})
    assert await stage.answer(ask(stream=stream)) == "Hello there"


@pytest.mark.proves("engine.fallback")
async def test_a_plain_answer_that_breaks_half_way_is_replaced_whole() -> None:
    half = ScriptedAnswer(
        answer=HELLO,
        error=ProviderError("cut", kind=ProviderErrorKind.TRANSIENT),
        deltas_before_error=1,
    )
    cut = [TextDelta("Half an ans")]
    stage = Stage({"a": says(half), "b": says(cut), "c": says(HELLO)})
    assert await stage.answer() == "Hello there"
    assert [each.error_code for each in stage.records.seen[0].attempts] == [
        "transient",
        "transient",
        None,
    ]


@pytest.mark.proves("engine.fallback")
@pytest.mark.parametrize("error", [MachineError("no package"), ConfigError("bad address")])
async def test_a_candidate_that_cannot_be_asked_at_all_is_passed_over(error: YmeraError) -> None:
    def broken(_request: object, _model: object) -> str:
        raise error

    stage = Stage({"a": ScriptedProvider(answers=broken), "b": says(HELLO)})
    assert await stage.answer() == "Hello there"
    assert stage.records.seen[0].attempts[0].error_code == error.code


async def test_refused_keys_everywhere_keep_the_exit_code_of_refused_credentials() -> None:
    stage = Stage({"a": fails(ProviderErrorKind.AUTH), "b": fails(ProviderErrorKind.AUTH)})
    with pytest.raises(NoRoute) as caught:
        await stage.answer()
    assert caught.value.exit_code == 4
    mixed = Stage({"a": fails(ProviderErrorKind.AUTH), "b": fails()})
    with pytest.raises(NoRoute) as caught:
        await mixed.answer()
    assert caught.value.exit_code == 5


async def test_the_shortest_wait_of_all_failures_is_passed_on() -> None:
    def busy(wait_s: float) -> ScriptedProvider:
        error = ProviderError("x", kind=ProviderErrorKind.QUOTA_MINUTE, retry_after_s=wait_s)
        return says(error)

    with pytest.raises(NoRoute) as caught:
        await Stage({"a": busy(30), "b": busy(7)}).answer()
    assert caught.value.retry_after_s == 7


async def test_a_call_the_caller_left_is_no_success_of_its_model() -> None:
    reached = asyncio.Event()

    async def hang(_number: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    stage = Stage({"a": ScriptedProvider(delay=hang)})
    asking = asyncio.create_task(stage.gateway().handle(ask(), LOCAL_OWNER))
    await asyncio.wait_for(reached.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0)
    (record,) = stage.records.seen
    assert (record.error_code, record.attempts[0].error_code) == ("cancelled", "cancelled")


async def test_a_moderated_request_is_not_tried_elsewhere() -> None:
    spare = says(HELLO)
    stage = Stage({"a": fails(ProviderErrorKind.MODERATION), "b": spare})
    with pytest.raises(ProviderError) as caught:
        await stage.answer()
    assert caught.value.kind is ProviderErrorKind.MODERATION
    assert spare.requests == []


async def test_the_only_candidates_failure_is_raised_as_it_is() -> None:
    with pytest.raises(ProviderError) as caught:
        await Stage({"a": fails(ProviderErrorKind.AUTH)}).answer()
    assert (caught.value.kind, caught.value.exit_code) == (ProviderErrorKind.AUTH, 4)


async def test_when_all_fail_the_error_keeps_every_failure() -> None:
    stage = Stage({"a": fails(ProviderErrorKind.QUOTA_DAY), "b": fails()})
    with pytest.raises(NoRoute) as caught:
        await stage.answer()
    failures = [each for each in caught.value.failures if isinstance(each, ProviderError)]
    assert [each.kind for each in failures] == [
        ProviderErrorKind.QUOTA_DAY,
        ProviderErrorKind.UPSTREAM_BUSY,
    ]
    assert "a/m, b/m" in caught.value.message


async def test_a_stream_that_just_stops_is_an_error_and_no_end() -> None:
    stage = Stage({"a": says([TextDelta("Half an ans")])})
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    with pytest.raises(ProviderError, match="cut"):
        await reply.answer()
    await asyncio.sleep(0)
    assert stage.records.seen[0].error_code == "provider_error"


async def test_an_answer_cut_by_its_length_with_no_text_is_no_answer() -> None:
    stage = Stage({"a": says([Finish(FinishReason.LENGTH)]), "b": says(HELLO)})
    assert await stage.answer() == "Hello there"


@pytest.mark.proves("engine.concurrency")
async def test_calls_over_the_limit_wait_their_turn() -> None:
    running, peak = 0, 0
    full, go = asyncio.Event(), asyncio.Event()

    async def hold(number: int) -> None:
        nonlocal running, peak
        if number == 0:
            running += 1
            peak = max(peak, running)
            if running == 3:
                full.set()
            await go.wait()
            running -= 1

    gateway = Stage({"a": ScriptedProvider(delay=hold)}, max_concurrent=3).gateway()

    async def one() -> str:
        return (await (await gateway.handle(ask(), LOCAL_OWNER)).answer()).text

    tasks = [asyncio.create_task(one()) for _ in range(200)]
    await asyncio.wait_for(full.wait(), 10)
    go.set()
    answers = await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert len(answers) == 200
    assert peak == 3


@pytest.mark.proves("engine.concurrency")
async def test_the_line_is_bounded_and_a_slot_is_given_back_after_a_failure() -> None:
    reached, go = asyncio.Event(), asyncio.Event()

    async def hold(_number: int) -> None:
        reached.set()
        await go.wait()

    gateway = Stage({"a": ScriptedProvider(delay=hold)}, max_concurrent=1, max_waiting=2).gateway()
    tasks = [asyncio.create_task(gateway.handle(ask(), LOCAL_OWNER)) for _ in range(3)]
    await asyncio.wait_for(reached.wait(), 10)
    with pytest.raises(NoRoute, match="waiting"):
        await gateway.handle(ask(), LOCAL_OWNER)
    tasks[1].cancel()
    go.set()
    assert (await (await tasks[0]).answer()).text
    assert (await (await tasks[2]).answer()).text
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]


@pytest.mark.proves("engine.concurrency")
async def test_whoever_leaves_the_line_leaves_a_place_in_it_and_takes_no_slot_along() -> None:
    gate = CallGate(1, max_waiting=2)
    await gate.enter()
    for _ in range(3):
        gone = [asyncio.create_task(gate.enter()) for _ in range(2)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
    leaver, stayer = (asyncio.create_task(gate.enter()) for _ in range(2))
    await asyncio.sleep(0)
    leaver.cancel()
    gate.leave()  # before the leaver has had its turn to go
    assert await asyncio.wait_for(stayer, 10)
    assert leaver.cancelled()
    assert gate.is_full()
    gate.leave()
    assert not gate.is_full()


def test_two_event_loops_at_once_do_not_take_each_others_slots() -> None:
    gate = CallGate(1)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        first.run_until_complete(gate.__aenter__())
        second.run_until_complete(asyncio.wait_for(gate.__aenter__(), 10))
        first.run_until_complete(gate.__aexit__(None, None, None))
        first.run_until_complete(asyncio.wait_for(gate.__aenter__(), 10))
    finally:
        first.close()
        second.close()


def test_a_new_event_loop_starts_with_all_slots_free() -> None:
    gateway = Stage({"a": ScriptedProvider()}, max_concurrent=1).gateway()

    async def leave_one_open() -> None:
        await gateway.handle(ask(stream=True), LOCAL_OWNER)

    async def answer() -> str:
        return (await (await gateway.handle(ask(), LOCAL_OWNER)).answer()).text

    asyncio.run(leave_one_open())
    assert asyncio.run(asyncio.wait_for(answer(), 10))
