"""Equal questions at the same time: one upstream call, and nobody is worse off for it."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest

from tests.support.engine import Stage, ask
from ymera.core.access import LOCAL_OWNER, Principal, PrincipalKind
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, RequestHints, Sampling, ToolSpec
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.engine.coalesce import Coalescer
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider


def greedy(text: str = "Say hello", *, stream: bool = False, **hints: object) -> ChatRequest:
    request = ask(text, stream=stream, hints=RequestHints(**hints))  # type: ignore[arg-type]
    return msgspec.structs.replace(request, sampling=Sampling(temperature=0))


class Held:
    """A provider that answers when told to, and a gateway that shares."""

    def __init__(self, **script: object) -> None:
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.provider = ScriptedProvider(delay=self._hold, **script)  # type: ignore[arg-type]
        self.stage = Stage({"a": self.provider}, coalescer=Coalescer())
        self.gateway = self.stage.gateway()

    async def _hold(self, _number: int) -> None:
        self.reached.set()
        await self.go.wait()

    def ask(self, request: ChatRequest, principal: Principal = LOCAL_OWNER) -> asyncio.Task[str]:
        async def one() -> str:
            return (await (await self.gateway.handle(request, principal)).answer()).text

        return asyncio.create_task(one())

    async def all_of(self, *tasks: asyncio.Task[str]) -> list[str]:
        await asyncio.wait_for(self.reached.wait(), 10)
        for _ in range(5):
            await asyncio.sleep(0)
        self.go.set()
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 10)
        await asyncio.sleep(0)
        return list(answers)


@pytest.mark.proves("engine.coalesced")
async def test_equal_requests_at_the_same_time_are_asked_once_and_paid_once() -> None:
    held = Held()
    answers = await held.all_of(*(held.ask(greedy()) for _ in range(20)))
    assert set(answers) == {"You asked: Say hello"}
    assert len(held.provider.requests) == 1
    records = held.stage.records.seen
    assert [record.cached for record in records].count(False) == 1
    assert {record.model_id for record in records} == {"a/m"}
    assert {record.cost_usd for record in records} == {Decimal(0)}
    tokens = [record.usage.total_tokens for record in records if record.usage]
    assert sorted(tokens)[:19] == [0] * 19
    assert len({record.id for record in records}) == 20


@pytest.mark.proves("engine.coalesced")
@pytest.mark.parametrize(
    "other",
    [
        greedy("Say bye"),
        greedy(stream=True),
        greedy(private=True),
        greedy(fresh=True),
        ask("Say hello"),
        msgspec.structs.replace(greedy(), sampling=Sampling(temperature=0.7, seed=1)),
        msgspec.structs.replace(greedy(), tools=(ToolSpec(name="t"),)),
    ],
    ids=["other text", "streamed", "private", "fresh", "temperature unsaid", "warm", "with tools"],
)
async def test_whatever_may_differ_is_asked_by_itself(other: ChatRequest) -> None:
    held = Held()
    await held.all_of(held.ask(greedy()), held.ask(other), held.ask(other))
    assert len(held.provider.requests) == (2 if other == greedy("Say bye") else 3)


@pytest.mark.proves("engine.coalesced")
async def test_callers_never_share_with_each_other() -> None:
    held = Held()
    someone = Principal(kind=PrincipalKind.USER, id="someone")
    await held.all_of(held.ask(greedy()), held.ask(greedy(), someone))
    assert len(held.provider.requests) == 2


@pytest.mark.proves("engine.coalesced")
async def test_the_next_equal_request_is_asked_anew() -> None:
    held = Held()
    await held.all_of(held.ask(greedy()))
    await held.all_of(held.ask(greedy()))
    assert len(held.provider.requests) == 2


@pytest.mark.proves("engine.coalesced")
async def test_when_the_one_who_asked_leaves_another_takes_over() -> None:
    held = Held()
    first, second, third = (held.ask(greedy()) for _ in range(3))
    await asyncio.wait_for(held.reached.wait(), 10)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await held.all_of(second, third) == ["You asked: Say hello"] * 2
    assert len(held.provider.requests) == 2


@pytest.mark.proves("engine.coalesced")
async def test_one_who_only_waited_may_leave_without_harm() -> None:
    held = Held()
    first, second = held.ask(greedy()), held.ask(greedy())
    await asyncio.wait_for(held.reached.wait(), 10)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await held.all_of(first) == ["You asked: Say hello"]


@pytest.mark.proves("engine.coalesced")
async def test_when_the_call_fails_the_others_ask_by_themselves() -> None:
    failure = ProviderError("busy", kind=ProviderErrorKind.UPSTREAM_BUSY)
    half = ScriptedAnswer(
        answer=ChatAnswer(text="Hello there", finish_reason=FinishReason.STOP),
        error=failure,
        deltas_before_error=1,
    )
    held = Held(answers=[half])
    tasks = [held.ask(greedy()) for _ in range(3)]
    await asyncio.wait_for(held.reached.wait(), 10)
    held.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] is failure
    assert results[1:] == ["You asked: Say hello"] * 2
