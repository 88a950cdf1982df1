"""The call path with everything armed: health, keys, quotas, closed providers."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from tests.support.armed import HELLO, USAGE, armed, refuses, says
from tests.support.engine import ask, model
from tests.support.routing import task
from tests.support.standing import per_day, per_minute
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import (
    Finish,
    FinishReason,
    LimitsSeen,
    TextDelta,
    UsageReport,
)
from ymera.core.errors import MachineError, NoRoute, ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.core.quota import LimitSeen, QuotaMetric, QuotaWindow
from ymera.core.route import ExclusionReason
from ymera.core.usage import Usage
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider

DEAR = [
    TextDelta("Hello there"),
    Finish(FinishReason.STOP),
    UsageReport(USAGE, cost_usd=Decimal("0.0042")),
]
BUSY = ProviderError("busy", kind=Kind.UPSTREAM_BUSY, status=503, retry_after_s=5)
HICCUP = ProviderError("reset", kind=Kind.TRANSIENT)
REQUESTS, TOKENS = QuotaMetric.REQUESTS, QuotaMetric.TOKENS


# --- counters ----------------------------------------------------------------------------------


@pytest.mark.proves("engine.quota-exact")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_counts_once_with_the_tokens_the_vendor_reports(stream: bool) -> None:
    stage, off = armed({"a": says(HELLO)})
    assert await stage.answer(ask(stream=stream)) == "Hello there"
    assert off.used("a") == {REQUESTS: 1, TOKENS: 12}


@pytest.mark.proves("engine.quota-exact")
@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_call_counts_where_the_vendor_counts_it(counts: bool, stream: bool) -> None:
    stage, off = armed({"a": refuses(BUSY), "b": says(HELLO)}, counting_failed=counts)
    assert await stage.answer(ask(stream=stream)) == "Hello there"
    assert off.used("a")[REQUESTS] == counts
    assert off.used("b") == {REQUESTS: 1, TOKENS: 12}


@pytest.mark.proves("engine.quota-exact")
async def test_a_call_that_was_never_made_counts_nothing() -> None:
    def broken(_request: object, _model: object) -> str:
        raise MachineError("no package")

    stage, off = armed({"a": ScriptedProvider(answers=broken), "b": says(HELLO)})
    await stage.answer()
    assert off.used("a") == {REQUESTS: 0, TOKENS: 0}


@pytest.mark.proves("engine.quota-exact")
async def test_a_caller_that_leaves_before_the_answer_leaves_one_call_counted() -> None:
    reached = asyncio.Event()

    async def hang(_number: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    stage, off = armed({"a": ScriptedProvider(delay=hang)})
    asking = asyncio.create_task(stage.gateway().handle(ask(), LOCAL_OWNER))
    await asyncio.wait_for(reached.wait(), 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert off.used("a")[REQUESTS] == 1
    assert off.health.rows(stage.time.clock().now()) == (), "the model did nothing wrong"


@pytest.mark.proves("engine.quota-exact")
async def test_a_caller_that_leaves_mid_stream_leaves_one_call_counted() -> None:
    stage, off = armed({"a": says(HELLO)})
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    events = reply.events()
    await anext(events)
    await events.aclose()
    assert off.used("a")[REQUESTS] == 1
    assert off.health.rows(stage.time.clock().now()) == ()


@pytest.mark.proves("engine.cut-answers-count")
@pytest.mark.parametrize("error", [GeneratorExit(), ProviderError("cut", kind=Kind.TRANSIENT)])
@pytest.mark.parametrize(
    ("told", "read_chars", "tokens"),
    [
        (None, 3_000, 400 + 1_000),
        (None, 0, 400),
        (Usage(input_tokens=350, output_tokens=1), 3_000, 350 + 1_000),
        (Usage(input_tokens=350, output_tokens=1_200), 3_000, 350 + 1_200),
        (None, None, 400 + 2_000),
    ],
)
def test_an_answer_that_was_cut_counts_what_was_read_of_it_at_least(
    error: BaseException, told: Usage | None, read_chars: int | None, tokens: int
) -> None:
    _, off = armed({"a": says()})
    profile = task(est_input_tokens=400, est_output_tokens=2_000)
    lease = off.standing().lease(model("a"), None, profile)
    assert off.used("a") == {REQUESTS: 1, TOKENS: 2_400}
    lease.end(error, usage=told, read_chars=read_chars)
    assert off.used("a") == {REQUESTS: 1, TOKENS: tokens}


@pytest.mark.proves("engine.quota-exact")
async def test_calls_that_wait_in_line_do_not_overshoot_a_limit() -> None:
    reached, go = asyncio.Event(), asyncio.Event()

    async def hold(_number: int) -> None:
        reached.set()
        await go.wait()

    a = ScriptedProvider(delay=hold)
    stage, off = armed({"a": a}, limits={"a": [per_minute(2)]})
    stage.max_concurrent = 1
    gateway = stage.gateway()
    tasks = [asyncio.create_task(gateway.handle(ask(), LOCAL_OWNER)) for _ in range(6)]
    await asyncio.wait_for(reached.wait(), 10)
    go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [each for each in results if isinstance(each, NoRoute)]
    assert (len(a.requests), len(refused)) == (2, 4)
    assert off.used("a")[REQUESTS] == 2
    assert all(each.retry_after_s is not None for each in refused)


@pytest.mark.proves("engine.limits-learned")
@pytest.mark.parametrize("stream", [False, True])
async def test_what_an_answers_headers_say_of_limits_holds_for_the_next_call(stream: bool) -> None:
    none_left = LimitSeen(
        metric=REQUESTS, window=QuotaWindow.MINUTE, limit=30, remaining=0, reset_s=40
    )
    events = [LimitsSeen((none_left,)), TextDelta("Hi"), Finish(FinishReason.STOP)]
    a, b = says(events), says(HELLO, HELLO)
    stage, _ = armed({"a": a, "b": b})
    assert await stage.answer(ask(stream=stream)) == "Hi"
    assert await stage.answer(ask(stream=stream)) == "Hello there"
    assert len(a.requests) == 1
    excluded = stage.records.seen[1].plan
    assert excluded is not None
    (exclusion,) = excluded.exclusions
    assert (exclusion.model_id, exclusion.reason) == ("a/m", ExclusionReason.QUOTA)


@pytest.mark.proves("engine.limits-learned")
async def test_a_refusal_without_numbers_closes_its_pool_for_a_while() -> None:
    a = refuses(ProviderError("429", kind=Kind.QUOTA_MINUTE, status=429))
    stage, off = armed({"a": a, "b": says(HELLO, HELLO)})
    await stage.answer()
    await stage.answer()
    assert len(a.requests) == 1
    assert off.used("a")[REQUESTS] == 0


# --- health ------------------------------------------------------------------------------------


@pytest.mark.proves("engine.health", "engine.passed-over")
async def test_a_candidate_that_cools_down_is_passed_over_with_the_reason() -> None:
    a = refuses(BUSY)
    stage, _ = armed({"a": a, "b": says(HELLO, HELLO)})
    await stage.answer()
    await stage.answer()
    assert len(a.requests) == 1
    record = stage.records.seen[1]
    assert [each.model_id for each in record.attempts] == ["b/m"]
    assert record.plan is not None
    (exclusion,) = record.plan.exclusions
    assert (exclusion.reason, exclusion.retry_after_s) == (ExclusionReason.HEALTH, 5)
    assert "12:00:05 UTC" in exclusion.detail


@pytest.mark.proves("engine.health")
async def test_once_its_time_has_come_it_is_tried_again_and_back_in_use() -> None:
    a = says(BUSY, HELLO, HELLO)
    stage, off = armed({"a": a, "b": says(HELLO)})
    await stage.answer()
    stage.time.seconds += 5
    await stage.answer()
    await stage.answer()
    assert len(a.requests) == 3
    assert off.health.rows(stage.time.clock().now()) == ()


@pytest.mark.proves("health.half-open")
async def test_of_many_requests_at_once_one_tries_what_is_half_open() -> None:
    a = says(BUSY)
    stage, _ = armed({"a": a, "b": ScriptedProvider()})
    await stage.answer()
    stage.time.seconds += 5
    reached, go = asyncio.Event(), asyncio.Event()

    async def hold(_number: int) -> None:
        reached.set()
        await go.wait()

    stage.providers = {"a": (probe := ScriptedProvider(delay=hold)), "b": ScriptedProvider()}
    gateway = stage.gateway()
    first = asyncio.create_task(gateway.handle(ask(), LOCAL_OWNER))
    await asyncio.wait_for(reached.wait(), 10)
    others = [await gateway.handle(ask(), LOCAL_OWNER) for _ in range(5)]
    go.set()
    await first
    assert len(probe.requests) == 1
    assert {each.trace.model.id for each in others if each.trace.model} == {"b/m"}


@pytest.mark.proves("engine.no-route-wait")
async def test_when_all_cool_down_the_shortest_wait_is_told() -> None:
    slow = ProviderError("429", kind=Kind.QUOTA_MINUTE, status=429, retry_after_s=50)
    stage, _ = armed({"a": refuses(slow), "b": refuses(BUSY)}, limits={})
    with pytest.raises(NoRoute):
        await stage.answer()
    with pytest.raises(NoRoute) as caught:
        await stage.answer()
    assert caught.value.retry_after_s == 5
    assert {each.model_id for each in caught.value.exclusions} == {"a/m", "b/m"}


@pytest.mark.proves("engine.broken-stream")
async def test_a_stream_that_breaks_is_an_error_a_failed_attempt_and_counted() -> None:
    half = ScriptedAnswer(answer=HELLO, error=HICCUP, deltas_before_error=1)
    stage, off = armed({"a": says(half, half, HELLO), "b": says(HELLO)})
    for _ in range(2):
        reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
        with pytest.raises(ProviderError, match="reset"):
            await reply.answer()
        await asyncio.sleep(0)
    for record in stage.records.seen:
        assert [(a.model_id, a.error_code) for a in record.attempts] == [("a/m", "transient")]
        assert record.error_code == "provider_error"
    assert off.used("a")[REQUESTS] == 2
    assert await stage.answer(ask(stream=True)) == "Hello there"
    assert stage.records.seen[2].model_id == "b/m", "twice in a row keeps it away"


@pytest.mark.proves("engine.broken-stream")
async def test_a_stream_that_just_stops_is_no_success_of_its_model() -> None:
    stage, off = armed({"a": says([TextDelta("Half an ans")])})
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    with pytest.raises(ProviderError, match="cut"):
        await reply.answer()
    await asyncio.sleep(0)
    (row,) = off.health.rows(stage.time.clock().now())
    assert (row.failures, row.kind) == (1, Kind.TRANSIENT)
    assert stage.records.seen[0].attempts[0].error_code == "transient"


# --- keys --------------------------------------------------------------------------------------


@pytest.mark.proves("keys.rotation")
async def test_keys_that_are_about_alike_take_turns() -> None:
    stage, _ = armed({"a": ScriptedProvider()}, keys={"a": ("K", "K_2", "K_3")})
    for _ in range(6):
        await stage.answer()
    assert stage.keys_used == ["K", "K_2", "K_3", "K", "K_2", "K_3"]
    assert [record.attempts[0].key_id for record in stage.records.seen] == stage.keys_used


@pytest.mark.proves("keys.rotation")
async def test_the_key_with_most_left_is_used_first() -> None:
    limits = {"K": [per_day(10)], "K_2": [per_day(100)]}
    stage, off = armed(
        {"a": ScriptedProvider()}, keys={"a": ("K", "K_2")}, limits=limits, own_pools=True
    )
    for _ in range(66):
        await stage.answer()
    assert off.used("a", "K")[REQUESTS] == pytest.approx(6, abs=1)
    assert off.used("a", "K_2")[REQUESTS] == pytest.approx(60, abs=1)


@pytest.mark.proves("keys.next-on-failure", "health.key-benched")
@pytest.mark.parametrize(
    "error",
    [
        ProviderError("401", kind=Kind.AUTH, scope=Scope.KEY, status=401),
        ProviderError("day", kind=Kind.QUOTA_DAY, scope=Scope.KEY, status=429),
    ],
    ids=["refused", "used up"],
)
async def test_when_a_key_is_to_blame_the_same_model_is_asked_with_the_next(
    error: ProviderError,
) -> None:
    a, b = says(error, HELLO, HELLO), says()
    stage, off = armed({"a": a, "b": b}, keys={"a": ("K", "K_2")}, limits={})
    await stage.answer()
    await stage.answer()
    assert stage.keys_used == ["K", "K_2", "K_2"]
    assert b.requests == []
    benched = [facts for event, facts in off.reports if event == "health.benched"]
    assert [each["key"] for each in benched] == (["K"] if error.kind is Kind.AUTH else [])


@pytest.mark.proves("keys.next-on-failure")
async def test_keys_of_one_account_are_not_tried_against_a_quota_they_share() -> None:
    a = refuses(ProviderError("429", kind=Kind.QUOTA_DAY, scope=Scope.KEY, status=429))
    stage, _ = armed({"a": a, "b": says(HELLO)}, keys={"a": ("K", "K_2", "K_3")})
    await stage.answer()
    assert len(a.requests) == 1


@pytest.mark.proves("keys.next-on-failure")
async def test_when_every_key_was_refused_the_last_refusal_is_the_error() -> None:
    error = ProviderError("401", kind=Kind.AUTH, scope=Scope.KEY, status=401)
    stage, _ = armed({"a": refuses(error)}, keys={"a": ("K", "K_2")})
    with pytest.raises(ProviderError) as caught:
        await stage.answer()
    assert caught.value.kind is Kind.AUTH
    assert stage.keys_used == ["K", "K_2"]


async def test_a_failure_that_is_not_the_keys_does_not_cost_the_next_key() -> None:
    stage, _ = armed({"a": refuses(BUSY), "b": says(HELLO)}, keys={"a": ("K", "K_2")})
    await stage.answer()
    assert stage.keys_used == ["K", None]


# --- money -------------------------------------------------------------------------------------


@pytest.mark.proves("money.reported-cost")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_free_model_that_reports_a_cost_closes_its_provider(stream: bool) -> None:
    a, b = says(DEAR), says(HELLO)
    stage, off = armed({"a": a, "b": b})
    assert await stage.answer(ask(stream=stream)) == "Hello there"
    assert stage.records.seen[0].cost_usd == Decimal("0.0042")
    assert "$0.0042" in off.closures.closed["a"]
    assert await stage.answer(ask(stream=stream)) == "Hello there"
    assert len(a.requests) == 1
    plan = stage.records.seen[1].plan
    assert plan is not None
    assert [each.reason for each in plan.exclusions] == [ExclusionReason.CLOSED]
    assert [event for event, _ in off.reports] == ["provider.closed"]


@pytest.mark.proves("money.out-of-credit")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_asks_for_credit_is_closed(stream: bool) -> None:
    error = ProviderError("402", kind=Kind.QUOTA_MONTH, scope=Scope.KEY, status=402)
    a = refuses(error)
    stage, off = armed({"a": a, "b": says(HELLO, HELLO)}, keys={"a": ("K", "K_2")})
    await stage.answer(ask(stream=stream))
    await stage.answer(ask(stream=stream))
    assert len(a.requests) == 1, "no other key of it is tried either"
    assert "credit" in off.closures.closed["a"]


@pytest.mark.proves("money.reported-cost")
async def test_a_cost_of_zero_and_a_paid_model_under_a_budget_close_nothing() -> None:
    free_of_charge = [*DEAR[:2], UsageReport(USAGE, cost_usd=Decimal(0))]
    stage, off = armed({"a": says(free_of_charge)})
    await stage.answer()
    paid, off_paid = armed({"a": says(DEAR)})
    paid.free = False
    await paid.answer()
    assert (off.closures.closed, off_paid.closures.closed) == ({}, {})
    assert stage.records.seen[0].cost_usd == Decimal(0)
    assert paid.records.seen[0].cost_usd == Decimal("0.0042"), "what it says, not the list price"


@pytest.mark.proves("money.reported-cost")
async def test_a_cost_reported_by_a_stream_that_breaks_counts_too() -> None:
    events = [TextDelta("Hel"), UsageReport(USAGE, cost_usd=Decimal("0.01"))]
    stage, off = armed({"a": says(events)})
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    with pytest.raises(ProviderError):
        await reply.answer()
    assert "a" in off.closures.closed
