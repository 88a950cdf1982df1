"""What hedging never does: spend money, wait for a slot, take one and keep it, ask a third."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec
import pytest

from tests.support.armed import HELLO, says
from tests.support.engine import FakeTime, Stage, ask
from tests.support.hedging import (
    BUSY,
    REFUSED_KEY,
    Failing,
    Held,
    Timer,
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
from ymera.core.model import FreeTerms, HubFile, LocalWeights, Model
from ymera.core.route import Candidate, RoutePlan
from ymera.testing.scripted import ScriptedProvider

streamed_and_plain = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


# --- slots -------------------------------------------------------------------------------------


@pytest.mark.proves("engine.hedging")
@streamed_and_plain
async def test_without_a_free_slot_there_is_no_second_call(stream: bool) -> None:
    a, b = Held(saying("from a")), says(HELLO)
    stage, _, timer = hedged({"a": a, "b": b})
    stage.max_concurrent = 1
    asking = asyncio.create_task(text_of(stage.gateway(), stream=stream))
    await reached(a)
    await turns()
    assert timer.pauses == [3.0], "the delay has passed"
    a.go.set()
    assert await soon(asking) == "from a"
    await turns()
    assert (b.requests, attempts_of(stage)) == ([], [("a/m", None)])


@pytest.mark.proves("engine.hedging")
async def test_without_a_free_slot_the_candidate_keeps_its_turn() -> None:
    a, b = Failing(BUSY), says(saying("from b"))
    stage, _, _ = hedged({"a": a, "b": b, "c": says(HELLO)})
    stage.max_concurrent = 1
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(a)
    await turns()
    a.go.set()
    assert await soon(asking) == "from b"


@pytest.mark.proves("engine.hedging")
@streamed_and_plain
async def test_every_slot_comes_back(stream: bool) -> None:
    stage, _, _ = hedged({"a": Held(HELLO), "b": ScriptedProvider()})
    stage.max_concurrent = 2
    gateway = stage.gateway()
    for number in range(5):
        asked = gateway.handle(ask(f"Question {number}", stream=stream), LOCAL_OWNER)
        reply = await asyncio.wait_for(asked, 10)
        assert (await reply.answer()).text == f"You asked: Question {number}"
    assert await slots_of(gateway, stage) == 2


@pytest.mark.proves("engine.hedging")
async def test_a_second_call_does_not_wait_for_a_slot_with_its_next_key() -> None:
    a, b = Failing(BUSY), Failing(REFUSED_KEY)
    stage, _, _ = hedged({"a": a, "b": b}, keys={"b": ("K", "K_2")})
    stage.max_concurrent = 2
    gateway = stage.gateway()
    asking = asyncio.create_task(text_of(gateway))
    await reached(a, b)
    in_line = asyncio.create_task(text_of(gateway))
    await turns()
    b.go.set()  # refused; its slot is the next one's in line
    await turns()
    assert stage.keys_used == [None, "K", None]
    a.go.set()
    assert await soon(asking) == "Hello there"
    assert await soon(in_line) == "Hello there"
    assert "K_2" in stage.keys_used, "it was asked with its other key, in its turn"


@pytest.mark.proves("engine.hedging")
async def test_whoever_is_alone_again_waits_in_line_as_usual() -> None:
    a, b = Failing(BUSY), says(saying("from b"))
    stage, _, _ = hedged({"a": a, "b": b})
    stage.max_concurrent = 1
    gateway = stage.gateway()
    asking = asyncio.create_task(text_of(gateway))
    await reached(a)
    await turns()  # the delay has passed, but there is no slot
    in_line = asyncio.create_task(text_of(gateway))
    await turns()
    a.go.set()  # its slot is the next one's in line
    assert await soon(in_line) == "Hello there"
    assert await soon(asking) == "from b"


# --- never -------------------------------------------------------------------------------------


@dataclass
class Mixed(Stage):
    """A stage some of whose models cost money, or run on this machine."""

    paid: frozenset[str] = frozenset()
    embedded: frozenset[str] = frozenset()

    def plan(self) -> RoutePlan:
        plan = super().plan()
        return msgspec.structs.replace(plan, candidates=tuple(map(self._as_it_is, plan.candidates)))

    def _as_it_is(self, candidate: Candidate) -> Candidate:
        model = candidate.model
        if model.provider in self.paid:
            paid = FreeTerms(free_now=False, may_auto_route=False, reason="test")
            model = msgspec.structs.replace(model, free=paid)
        if model.provider in self.embedded:
            model = msgspec.structs.replace(model, weights=_weights(model))
        return msgspec.structs.replace(candidate, model=model)


def _weights(model: Model) -> LocalWeights:
    source = HubFile(repo="owner/name", file="m.gguf")
    return LocalWeights(
        filename=f"{model.provider}.gguf",
        sha256="0" * 64,
        size_bytes=1,
        licence="MIT",
        source=source,
    )


def mixed(providers: dict[str, ScriptedProvider], *, kind: str, which: str) -> Mixed:
    timer = Timer(FakeTime())
    timer.over.set()
    stage = Mixed(providers, time=timer.time, hedge=timer.hedge())
    if kind == "paid":
        stage.paid = frozenset(which)
    else:
        stage.embedded = frozenset(which)
    return stage


@pytest.mark.proves("engine.hedging")
@pytest.mark.parametrize("which", ["a", "b"])
@pytest.mark.parametrize("kind", ["paid", "embedded"])
async def test_paid_and_embedded_models_are_never_asked_beside_another(
    kind: str, which: str
) -> None:
    a, b = Held(saying("from a")), says(HELLO)
    stage = mixed({"a": a, "b": b}, kind=kind, which=which)
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(a)
    await turns()
    assert b.requests == []
    a.go.set()
    assert await soon(asking) == "from a"


@pytest.mark.proves("engine.hedging")
@pytest.mark.parametrize("kind", ["paid", "embedded"])
@pytest.mark.parametrize("first_to_fail", ["a", "b"])
async def test_a_paid_or_embedded_model_is_asked_when_both_others_have_failed(
    first_to_fail: str, kind: str
) -> None:
    a, b, c = Failing(BUSY), Failing(BUSY), says(saying("from c"))
    stage = mixed({"a": a, "b": b, "c": c}, kind=kind, which="c")
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(a, b)
    one, other = (a, b) if first_to_fail == "a" else (b, a)
    one.go.set()
    await turns()
    assert c.requests == [], "one free call is still under way"
    other.go.set()
    assert await soon(asking) == "from c"


@pytest.mark.proves("engine.hedging")
async def test_a_pinned_model_is_never_hedged() -> None:
    a = Held(saying("from a"))
    stage, _, timer = hedged({"a": a})
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(a)
    await turns()
    a.go.set()
    assert await soon(asking) == "from a"
    assert (len(a.requests), timer.pauses) == (1, [])


@pytest.mark.proves("engine.hedging")
async def test_never_more_than_two_calls_at_a_time() -> None:
    held = Held(*[HELLO] * 4)
    stage, _, _ = hedged({"a": held, "b": held, "c": held, "d": held})
    asking = asyncio.create_task(text_of(stage.gateway()))
    await reached(held)
    await turns()
    held.go.set()
    await soon(asking)
    assert (held.peak, len(held.requests)) == (2, 2)
