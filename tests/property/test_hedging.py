"""Whatever two lanes of calls do, and whenever: one answer, nobody asked twice, all given back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.armed import HELLO
from tests.support.hedging import BUSY, REQUESTS, hedged, slots_of, text_of, turns
from ymera.core.errors import NoRoute
from ymera.testing.scripted import ScriptedProvider


@dataclass(frozen=True)
class Behaviour:
    """What one candidate does, after how many turns of the event loop."""

    answers: bool
    after: int


behaviours = st.lists(
    st.builds(Behaviour, answers=st.booleans(), after=st.integers(0, 12)), min_size=2, max_size=4
)


class Running:
    """Counts the calls under way."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def provider(self, behaviour: Behaviour) -> ScriptedProvider:
        async def perform(number: int) -> None:
            if number:
                return
            self.now += 1
            self.peak = max(self.peak, self.now)
            try:
                for _ in range(behaviour.after):
                    await asyncio.sleep(0)
                if not behaviour.answers:
                    raise BUSY
            finally:
                self.now -= 1

        return ScriptedProvider(answers=lambda _request, _model: HELLO, delay=perform)


async def one_request(
    plan: list[Behaviour], slots: int, leaves_after: int | None, *, stream: bool
) -> None:
    running = Running()
    providers = {name: running.provider(each) for name, each in zip("abcd", plan, strict=False)}
    stage, off, _ = hedged(providers, counting_failed=True)
    stage.max_concurrent = slots
    gateway = stage.gateway()
    asking = asyncio.create_task(text_of(gateway, stream=stream))
    if leaves_after is not None:
        for _ in range(leaves_after):
            await asyncio.sleep(0)
        asking.cancel()
    ended, _ = await asyncio.wait([asking], timeout=10)
    assert ended
    (outcome,) = await asyncio.gather(asking, return_exceptions=True)
    await turns()

    if not isinstance(outcome, asyncio.CancelledError):
        if any(each.answers for each in plan):
            assert outcome == "Hello there"
        else:
            assert isinstance(outcome, NoRoute)
            assert len(outcome.failures) == len(plan)
    assert running.now == 0
    assert running.peak <= min(2, slots)
    calls = {name: len(provider.requests) for name, provider in providers.items()}
    assert max(calls.values()) <= 1
    assert calls == {name: off.used(name)[REQUESTS] for name in calls}
    codes = [each.error_code for record in stage.records.seen for each in record.attempts]
    assert len(codes) == sum(calls.values())
    assert None not in codes[:-1], "the call that answers is the last of the record"
    if outcome == "Hello there":
        (record,) = stage.records.seen
        assert (record.attempts[-1].model_id, codes[-1]) == (record.model_id, None)
    assert await slots_of(gateway, stage) == slots


@pytest.mark.proves("engine.hedging")
@settings(max_examples=300, deadline=None)
@given(
    plan=behaviours,
    slots=st.integers(1, 3),
    leaves_after=st.none() | st.integers(0, 40),
    stream=st.booleans(),
)
def test_one_answer_nobody_asked_twice_and_everything_given_back(
    plan: list[Behaviour], slots: int, leaves_after: int | None, stream: bool
) -> None:
    asyncio.run(one_request(plan, slots, leaves_after, stream=stream))
