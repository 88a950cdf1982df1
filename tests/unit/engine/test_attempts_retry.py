"""One more try of the last candidate."""

from __future__ import annotations

import pytest

from tests.support.armed import HELLO, armed, says
from tests.support.engine import FakeTime, Stage
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.errors import ProviderErrorScope as Scope
from ymera.engine.attempts import Retry
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider

BUSY = ProviderError("busy", kind=Kind.UPSTREAM_BUSY, status=503)
HICCUP = ProviderError("reset", kind=Kind.TRANSIENT)


class Pauses:
    """Remembers how long was waited, and lets the clock pass."""

    def __init__(self, time: FakeTime) -> None:
        self.seen: list[float] = []
        self._time = time

    async def __call__(self, seconds: float) -> None:
        self.seen.append(seconds)
        self._time.seconds += seconds


def with_retry(providers: dict[str, ScriptedProvider], chance: float = 0.5) -> tuple[Stage, Pauses]:
    stage, _ = armed(providers)
    pauses = Pauses(stage.time)
    stage.retry = Retry(random=lambda: chance, pause=pauses, pause_s=0.4)
    return stage, pauses


@pytest.mark.proves("engine.retry")
@pytest.mark.parametrize(("chance", "pause_s"), [(0.0, 0.2), (0.5, 0.4), (1.0, 0.6)])
async def test_a_hiccup_of_the_last_candidate_is_tried_once_more_after_a_jittered_pause(
    chance: float, pause_s: float
) -> None:
    a = says(HICCUP, HELLO)
    stage, pauses = with_retry({"a": a}, chance)
    assert await stage.answer() == "Hello there"
    assert pauses.seen == [pytest.approx(pause_s)]
    codes = [each.error_code for each in stage.records.seen[0].attempts]
    assert codes == ["transient", None]


@pytest.mark.proves("engine.retry")
async def test_once_is_enough() -> None:
    a = says(HICCUP, HICCUP, HELLO)
    stage, pauses = with_retry({"a": a})
    with pytest.raises(ProviderError, match="reset"):
        await stage.answer()
    assert (len(a.requests), len(pauses.seen)) == (2, 1)


@pytest.mark.proves("engine.retry")
async def test_while_another_candidate_is_left_it_is_asked_instead() -> None:
    a = says(HICCUP, HELLO)
    stage, pauses = with_retry({"a": a, "b": says(HELLO)})
    await stage.answer()
    assert (len(a.requests), pauses.seen) == (1, [])


@pytest.mark.proves("engine.retry")
@pytest.mark.parametrize(
    "error",
    [
        BUSY,
        ProviderError("x", kind=Kind.AUTH, scope=Scope.KEY, status=401),
        ProviderError("x", kind=Kind.TRANSIENT, status=503, retry_after_s=30),
        ProviderError("x", kind=Kind.CAPABILITY, scope=Scope.REQUEST, status=400),
        ScriptedAnswer(answer=HELLO, error=HICCUP, deltas_before_error=1),
    ],
    ids=["busy", "refused", "asked to wait", "bad request", "had begun to answer"],
)
async def test_what_a_second_try_would_not_mend_or_might_do_twice_is_not_tried(
    error: object,
) -> None:
    a = says(error, HELLO)
    stage, pauses = with_retry({"a": a})
    with pytest.raises(ProviderError):
        await stage.answer()
    assert (len(a.requests), pauses.seen) == (1, [])


@pytest.mark.proves("engine.retry")
async def test_a_call_that_ran_into_its_deadline_is_not_made_again() -> None:
    time = FakeTime()

    def slowly(_request: object, _model: object) -> ProviderError:
        time.seconds += 30
        return HICCUP

    a = ScriptedProvider(answers=slowly)
    stage, _ = armed({"a": a}, time)
    pauses = Pauses(time)
    stage.retry = Retry(random=lambda: 0.5, pause=pauses)
    with pytest.raises(ProviderError):
        await stage.answer()
    assert (len(a.requests), pauses.seen) == (1, [])
