"""Providers that are slow on purpose, and stages that hedge."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.support.armed import HELLO, armed
from tests.support.engine import FakeTime, Stage, ask
from tests.support.standing import Offstage
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.core.quota import QuotaMetric
from ymera.core.usage import Usage
from ymera.engine.gateway import Gateway
from ymera.engine.hedging import Hedge
from ymera.testing.scripted import ScriptedProvider

REQUESTS, TOKENS = QuotaMetric.REQUESTS, QuotaMetric.TOKENS
RESERVED = {REQUESTS: 1, TOKENS: 110}
"""What is counted of a call that was given up before it had answered: what it was expected to."""

HICCUP = ProviderError("reset", kind=Kind.TRANSIENT)
BUSY = ProviderError("busy", kind=Kind.UPSTREAM_BUSY, status=503)
MODERATED = ProviderError("no", kind=Kind.MODERATION, scope=Scope.REQUEST, status=400)
REFUSED_KEY = ProviderError("401", kind=Kind.AUTH, scope=Scope.KEY, status=401)


def saying(text: str) -> ChatAnswer:
    """Return an answer of 12 tokens."""
    usage = Usage(input_tokens=7, output_tokens=5)
    return ChatAnswer(text=text, finish_reason=FinishReason.STOP, usage=usage)


class Held(ScriptedProvider):
    """A provider that says nothing before it is let go."""

    def __init__(self, *answers: object) -> None:
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.running = self.peak = 0
        super().__init__(answers=list(answers), delay=self._wait)  # type: ignore[arg-type]

    async def _wait(self, number: int) -> None:
        if number == 0:
            self.reached.set()
            self.running += 1
            self.peak = max(self.peak, self.running)
            try:
                await self.go.wait()
            finally:
                self.running -= 1


class Failing(ScriptedProvider):
    """A provider that fails with `error` once it is let go, and answers from then on."""

    def __init__(self, error: ProviderError) -> None:
        self.reached, self.go, self.error = asyncio.Event(), asyncio.Event(), error
        self.failed = False
        super().__init__(answers=lambda _request, _model: HELLO, delay=self._wait)

    async def _wait(self, number: int) -> None:
        if number == 0 and not self.failed:
            self.reached.set()
            await self.go.wait()
            self.failed = True
            raise self.error


@dataclass
class Timer:
    """Time that passes when a test lets it, or at once."""

    time: FakeTime
    over: asyncio.Event = field(default_factory=asyncio.Event)
    pauses: list[float] = field(default_factory=list)

    """What was asked for."""

    async def pause(self, seconds: float) -> None:
        """Wait until the test says so; then the seconds have passed."""
        self.pauses.append(seconds)
        await self.over.wait()
        self.time.seconds += seconds

    def hedge(self) -> Hedge:
        """Return a hedge after three seconds."""
        return Hedge(after_s=3.0, pause=self.pause)


def hedged(
    providers: dict[str, ScriptedProvider], *, at_once: bool = True, **facts: object
) -> tuple[Stage, Offstage, Timer]:
    """Return a stage that hedges; unless told otherwise the delay has passed at once."""
    stage, off = armed(providers, **facts)  # type: ignore[arg-type]
    timer = Timer(stage.time)
    stage.hedge = timer.hedge()
    if at_once:
        timer.over.set()
    return stage, off, timer


async def text_of(gateway: Gateway, *, stream: bool = False) -> str:
    """Return the text of one answer."""
    reply = await gateway.handle(ask(stream=stream), LOCAL_OWNER)
    return (await reply.answer()).text


async def soon(asking: asyncio.Task[str]) -> str:
    """Wait for what has to come by itself."""
    return await asyncio.wait_for(asking, 10)


async def reached(*providers: Held | Failing) -> None:
    """Wait until these are being asked."""
    for each in providers:
        await asyncio.wait_for(each.reached.wait(), 10)


def attempts_of(stage: Stage) -> list[tuple[str, str | None]]:
    """Return model and error code of each attempt of the only record."""
    (record,) = stage.records.seen
    return [(each.model_id, each.error_code) for each in record.attempts]


async def turns() -> None:
    """Let whatever can run, run."""
    for _ in range(50):
        await asyncio.sleep(0)


async def slots_of(gateway: Gateway, stage: Stage) -> int:
    """Return how many calls the gateway lets run at once: as many as it says, if none was lost."""
    probe = Held()
    stage.providers = dict.fromkeys(stage.providers, probe)
    asking = [
        asyncio.create_task(gateway.handle(ask(f"Question {number}"), LOCAL_OWNER))
        for number in range(stage.max_concurrent + 3)
    ]
    await reached(probe)
    await turns()
    peak = probe.running
    for each in asking:
        each.cancel()
    await asyncio.wait(asking)
    return peak
