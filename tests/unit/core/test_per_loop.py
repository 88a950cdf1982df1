"""Values of event loops: one each, found again, gone with the loop."""

from __future__ import annotations

import asyncio
import gc

import pytest

from ymera.core.per_loop import PerLoop

pytestmark = pytest.mark.proves("core.per-loop")


class Loop:
    """Stands for an event loop."""


def test_each_loop_keeps_the_value_that_was_made_for_it() -> None:
    made: list[Loop] = []

    def make(loop: Loop) -> list[Loop]:
        made.append(loop)
        return []

    values = PerLoop(make)
    one, two = Loop(), Loop()
    first = values.of(one)
    assert values.of(two) is not first
    assert values.of(one) is values.of(one) is first
    assert made == [one, two]
    assert dict(values.items()) == {one: [], two: []}


def test_a_value_goes_with_its_loop() -> None:
    values: PerLoop[Loop, object] = PerLoop(lambda _loop: object())
    loop = Loop()
    values.of(loop)
    del loop
    gc.collect()
    assert values.items() == []
    assert values.of(Loop()) is not None


def test_what_is_dropped_is_made_anew() -> None:
    values: PerLoop[Loop, object] = PerLoop(lambda _loop: object())
    one, two = Loop(), Loop()
    first, second = values.of(one), values.of(two)
    values.drop(two)
    assert values.of(two) is not second
    assert values.of(one) is first
    values.clear()
    assert values.of(one) is not first


def test_real_loops_that_follow_each_other_share_nothing() -> None:
    values: PerLoop[asyncio.AbstractEventLoop, object] = PerLoop(lambda _loop: object())

    async def ask() -> object:
        return values.of(asyncio.get_running_loop())

    assert asyncio.run(ask()) is not asyncio.run(ask())
