"""Hedging: a slow call gets company, the first to answer wins, the other is settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec
import pytest

from tests.support.armed import HELLO, says
from tests.support.engine import Stage, ask
from tests.support.hedging import (
    BUSY,
    HICCUP,
    MODERATED,
    REQUESTS,
    RESERVED,
    TOKENS,
    Failing,
    Held,
    attempts_of,
    hedged,
    reached,
    saying,
    slots_of,
    soon,
    text_of,
    turns,
)
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import ChatEvent
from ymera.core.chat import ChatRequest
from ymera.core.errors import NoRoute, ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.model import Model
from ymera.core.ports import Deadlines
from ymera.core.route import RoutePlan
from ymera.core.usage import Usage
from ymera.testing.scripted import ScriptedAnswer

streamed_and_plain = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


class Admitted(Stage):
    """A stage whose plans were looked at, the moment they were made, for who can be asked."""

    def plan(self) -> RoutePlan:
        return msgspec.structs.replace(super().plan(), admitted=True)


class Clinging(Held):
    """A provider that takes some turns to end a call."""

    def __init__(self, *answers: object) -> None:
        self.leaving = asyncio.Event()
        super().__init__(*answers)

    async def stream(
        self, request: ChatRequest, model: Model, deadlines: Deadlines
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        async with aclosing(super().stream(request, model, deadlines)) as batches:
            try:
                async for batch in batches:
                    yield batch
            finally:
                self.leaving.set()
                for _ in range(3):
                    await asyncio.sleep(0)


# --- who answers -------------------------------------------------------------------------------


@pytest.mark.proves("engine.hedging")
@streamed_and_plain
async def test_a_slow_call_is_overtaken_by_the_next_candidate(stream: bool) -> None:
    a = Held(saying("from a"))
    stage, off, timer = hedged({"a": a, "b": says(saying("from b"))})
    assert await soon(asyncio.create_task(text_of(stage.gateway(), stream=stream))) == "from b"
    await turns()
    assert attempts_of(stage) == [("a/m", "cancelled"), ("b/m", None)]
    (record,) = stage.records.seen
    assert (record.model_id, record.error_code, record.overhead_s) == ("b/m", None, 0.0)
    assert record.usage == Usage(input_tokens=7, output_tokens=5)
    assert timer.pauses == [3.0]
    assert a.running == 0
    assert off.used("a") == RESERVED, "its vendor most likely counts it"
    assert off.used("b") == {REQUESTS: 1, TOKENS: 12}
    assert off.health.rows(stage.time.clock().now()) == (), "being given up is no failure"


@pytest.mark.proves("engine.hedging")
@streamed_and_plain
async def test_the_first_call_may_win_after_all(stream: bool) -> None:
    a, b = Held(saying("from a")), Held(saying("from b"))
    stage, off, _ = hedged({"a": a, "b": b})
    asking = asyncio.create_task(text_of(stage.gateway(), stream=stream))
    await reached(a, b)
    a.go.set()
    assert await soon(asking) == "from a"
    await turns()
    assert attempts_of(stage) == [("b/m", "cancelled"), ("a/m", None)]
    assert stage.records.seen[0].model_id == "a/m"
    assert (off.used("a"), off.used("b")) == ({REQUESTS: 1, TOKENS: 12}, RESERVED)
    assert (a.running, b.running) == (0, 0)


@pytest.mark.proves("engine.hedging")
@streamed_and_plain
async def test_of_two_that_answer_in_the_same_turn_the_earlier_candidate_wins(stream: bool) -> None:
    a, b = Held(saying("from a")), Held(saying("from b"))
    stage, off, _ = hedged({"a": a, "b": b})
    gateway = stage.gateway()
    asking = asyncio.create_task(text_of(gateway, stream=stream))
    await reached(a, b)
    b.go.set()
    a.go.set()
    assert await soon(asking) == "from a"
    await turns()
    assert attempts_of(stage) == [("b/m", "cancelled"), ("a/m", None)]
    assert off.used("a") == {REQUESTS: 1, TOKENS: 12}
    # Plain, it was whole and said what it took; streamed, one word had come.
    assert off.used("b") == {REQUESTS: 1, TOKENS: 10 + 2 if stream else 12}
    assert off.health.rows(stage.time.clock().now()) == ()
    assert await slots_of(gateway, stage) == stage.max_concurrent


@pytest.mark.proves("engine.hedging")
@streamed_and_plain
async def test_a_quick_answer_is_one_call(stream: bool) -> None:
    b = says(HELLO)
    stage, off, _ = hedged({"a": says(HELLO), "b": b}, at_once=False)
    assert await stage.answer(ask(stream=stream)) == "Hello there"
    assert (len(b.requests), attempts_of(stage)) == (0, [("a/m", None)])
    assert off.used("b") == {REQUESTS: 0, TOKENS: 0}


@pytest.mark.proves("engine.hedging")
@streamed_and_plain
async def test_without_the_setting_a_slow_call_is_the_only_one(stream: bool) -> None:
    a, b = Held(HELLO), says(HELLO)
    stage, _, _ = hedged({"a": a, "b": b})
    stage.hedge = None
    asking = asyncio.create_task(text_of(stage.gateway(), stream=stream))
    await reached(a)
    await turns()
    a.go.set()
    assert await soon(asking) == "Hello there"
    await turns()
    assert (len(a.requests), len(b.requests)) == (1, 0)


@pytest.mark.proves("engine.hedging")
async def test_a_stream_that_breaks_is_the_failure_of_the_call_that_answered() -> None:
    half = ScriptedAnswer(answer=HELLO, error=HICCUP, deltas_before_error=1)
    stage, off, _ = hedged({"a": Held(HELLO), "b": says(half)})
    reply = await asyncio.wait_for(stage.gateway().handle(ask(stream=True), LOCAL_OWNER), 10)
    with pytest.raises(ProviderError, match="reset"):
        await reply.answer()
    await turns()
    assert attempts_of(stage) == [("a/m", "cancelled"), ("b/m", "transient")]
    assert [row.model_id for row in off.health.rows(stage.time.clock().now())] == ["b/m"]


@pytest.mark.proves("engine.hedging")
async def test_where_texts_are_kept_the_record_holds_the_answer_that_left() -> None:
    stage, _, _ = hedged({"a": Held(HELLO), "b": says(saying("from b"))})
    stage.store_text = True
    reply = await asyncio.wait_for(stage.gateway().handle(ask(stream=True), LOCAL_OWNER), 10)
    assert [event async for event in reply.events()]
    await turns()
    assert stage.records.seen[0].answer == "from b"


# --- failures ----------------------------------------------------------------------------------


@pytest.mark.proves("engine.hedging")
@streamed_and_plain
async def test_when_one_fails_the_other_goes_on(stream: bool) -> None:
    a, b = Failing(BUSY), Held(saying("from b"))
    stage, _, _ = hedged({"a": a, "b": b})
    asking = asyncio.create_task(text_of(stage.gateway(), stream=stream))
    await reached(a, b)
    a.go.set()
    await turns()
    b.go.set()
    assert await soon(asking) == "from b"
    await turns()
    assert attempts_of(stage) == [("a/m", "upstream_busy"), ("b/m", None)]


@pytest.mark.proves("engine.hedging")
@streamed_and_plain
async def test_a_second_call_that_fails_is_followed_by_the_next_candidate(stream: bool) -> None:
    a, c = Held(HELLO), says(saying("from c"))
    stage, _, _ = hedged({"a": a, "b": says(BUSY), "c": c})
    assert await soon(asyncio.create_task(text_of(stage.gateway(), stream=stream))) == "from c"
    await turns()
    assert attempts_of(stage) == [
        ("a/m", "cancelled"),
        ("b/m", "upstream_busy"),
        ("c/m", None),
    ]


@pytest.mark.proves("engine.hedging")
@pytest.mark.parametrize("first_to_fail", ["a", "b"])
async def test_when_both_fail_the_error_is_as_without_hedging(first_to_fail: str) -> None:
    a, b = Failing(BUSY), Failing(HICCUP)
    stage, _, _ = hedged({"a": a, "b": b})
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(a, b)
    one, other = (a, b) if first_to_fail == "a" else (b, a)
    one.go.set()
    await turns()
    other.go.set()
    with pytest.raises(NoRoute, match="Every model that could be asked failed: a/m, b/m") as caught:
        await soon(asking)
    assert caught.value.failures == (one.error, other.error)
    await turns()
    assert {code for _, code in attempts_of(stage)} == {"upstream_busy", "transient"}


@pytest.mark.proves("engine.hedging")
async def test_a_final_refusal_of_the_second_waits_for_the_first() -> None:
    a, b, c = Held(saying("from a")), says(MODERATED), says(HELLO)
    stage, _, _ = hedged({"a": a, "b": b, "c": c})
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(a)
    await turns()
    assert (len(b.requests), asking.done()) == (1, False)
    a.go.set()
    assert await soon(asking) == "from a"
    assert c.requests == []


@pytest.mark.proves("engine.hedging")
async def test_a_final_refusal_of_the_second_stands_when_the_first_fails() -> None:
    a, b, c = Failing(BUSY), says(MODERATED), says(HELLO)
    stage, _, _ = hedged({"a": a, "b": b, "c": c})
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(a)
    await turns()
    a.go.set()
    with pytest.raises(ProviderError) as caught:
        await soon(asking)
    assert (caught.value.kind, c.requests) == (Kind.MODERATION, [])


@pytest.mark.proves("engine.hedging")
async def test_a_final_refusal_of_the_first_ends_both() -> None:
    a, b = Failing(MODERATED), Held(HELLO)
    stage, off, _ = hedged({"a": a, "b": b})
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(a, b)
    a.go.set()
    with pytest.raises(ProviderError) as caught:
        await soon(asking)
    assert (caught.value.kind, b.running, off.used("b")) == (Kind.MODERATION, 0, RESERVED)
    await turns()
    assert attempts_of(stage) == [("a/m", "moderation"), ("b/m", "cancelled")]


@pytest.mark.proves("engine.hedging")
async def test_a_candidate_that_cannot_be_asked_any_more_is_passed_over() -> None:
    stage, off, _ = hedged({"a": Held(HELLO), "b": says(HELLO), "c": says(saying("from c"))})
    off.closures.close("b", "It billed.")
    assert await soon(asyncio.create_task(text_of(stage.gateway()))) == "from c"
    await turns()
    assert attempts_of(stage) == [("a/m", "cancelled"), ("c/m", None)]
    plan = stage.records.seen[0].plan
    assert plan is not None
    assert [each.model_id for each in plan.exclusions] == ["b/m"]


@pytest.mark.proves("engine.hedging")
async def test_what_is_closed_meanwhile_is_passed_over_though_the_plan_had_admitted_it() -> None:
    a = Held(HELLO)
    providers = {"a": a, "b": says(HELLO), "c": says(saying("from c"))}
    stage, off, timer = hedged(providers, at_once=False)
    asking = asyncio.create_task(text_of(Admitted(**vars(stage)).gateway()))
    await reached(a)
    off.closures.close("b", "It billed.")
    timer.over.set()
    assert await soon(asking) == "from c"


@pytest.mark.proves("engine.hedging")
async def test_when_all_fail_at_once_the_error_does_not_wait_for_the_delay() -> None:
    stage, _, timer = hedged({"a": says(BUSY), "b": says(HICCUP)}, at_once=False)
    with pytest.raises(NoRoute):
        await soon(asyncio.create_task(text_of(stage.gateway())))
    assert not timer.over.is_set()


@pytest.mark.proves("engine.hedging")
async def test_a_cancellation_that_comes_back_as_a_failure_asks_nobody_else() -> None:
    class Stubborn(Held):
        async def _wait(self, number: int) -> None:
            try:
                await super()._wait(number)
            except asyncio.CancelledError:
                raise BUSY from None

    c = says(HELLO)
    stage, _, _ = hedged({"a": Stubborn(HELLO), "b": says(saying("from b")), "c": c})
    assert await soon(asyncio.create_task(text_of(stage.gateway()))) == "from b"
    await turns()
    assert c.requests == []


# --- when --------------------------------------------------------------------------------------


@pytest.mark.proves("engine.hedging")
async def test_the_delay_counts_from_the_call_at_hand() -> None:
    a, b = Failing(BUSY), Held(saying("from b"))
    stage, _, timer = hedged({"a": a, "b": b, "c": says(saying("from c"))}, at_once=False)
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(a)
    stage.time.seconds = 2.0
    a.go.set()
    await reached(b)
    stage.time.seconds = 0.0  # the first pause brings it to 3.0, one second into the second call
    timer.over.set()
    assert await soon(asking) == "from c"
    assert timer.pauses == [3.0, 2.0]


@pytest.mark.proves("engine.hedging")
async def test_a_caller_that_leaves_ends_both() -> None:
    a, b = Held(HELLO), Held(HELLO)
    stage, off, _ = hedged({"a": a, "b": b})
    gateway = stage.gateway()
    asking = asyncio.create_task(text_of(gateway))
    await reached(a, b)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await turns()
    assert attempts_of(stage) == [("a/m", "cancelled"), ("b/m", "cancelled")]
    assert stage.records.seen[0].error_code == "cancelled"
    assert (a.running, b.running) == (0, 0)
    assert (off.used("a"), off.used("b")) == (RESERVED, RESERVED)
    assert off.health.rows(stage.time.clock().now()) == ()
    assert await slots_of(gateway, stage) == stage.max_concurrent


@pytest.mark.proves("engine.hedging")
async def test_a_caller_that_leaves_while_the_loser_is_ended_leaves_nothing_behind() -> None:
    a, b = Clinging(HELLO), says(HELLO)
    stage, off, _ = hedged({"a": a, "b": b})
    gateway = stage.gateway()
    asking = asyncio.create_task(gateway.handle(ask(stream=True), LOCAL_OWNER))
    await asyncio.wait_for(a.leaving.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await turns()
    assert attempts_of(stage) == [("a/m", "cancelled"), ("b/m", "cancelled")]
    assert off.used("b")[REQUESTS] == 1
    assert await slots_of(gateway, stage) == stage.max_concurrent


@pytest.mark.proves("engine.hedging")
async def test_a_second_answer_is_given_back_once_though_the_caller_leaves_meanwhile() -> None:
    a, b = Held(HELLO), Clinging(HELLO)
    stage, off, _ = hedged({"a": a, "b": b})
    gateway = stage.gateway()
    asking = asyncio.create_task(gateway.handle(ask(stream=True), LOCAL_OWNER))
    await reached(a, b)
    a.go.set()
    b.go.set()
    await asyncio.wait_for(b.leaving.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await turns()
    assert (off.used("a")[REQUESTS], off.used("b")[REQUESTS]) == (1, 1)
    assert await slots_of(gateway, stage) == stage.max_concurrent
