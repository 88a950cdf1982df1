"""The call path with everything armed, for tests of health, keys, quotas and money."""

from __future__ import annotations

from tests.support.engine import FakeTime, Stage
from tests.support.standing import Offstage, per_day, per_minute
from ymera.core.answer import (
    ChatAnswer,
    FinishReason,
)
from ymera.core.errors import ProviderError
from ymera.core.quota import QuotaMetric
from ymera.core.usage import Usage
from ymera.testing.scripted import ScriptedProvider

USAGE = Usage(input_tokens=7, output_tokens=5)
HELLO = ChatAnswer(text="Hello there", finish_reason=FinishReason.STOP, usage=USAGE)
LIMITS = (per_minute(100), per_day(1000), per_day(100_000, QuotaMetric.TOKENS))


def says(*answers: object) -> ScriptedProvider:
    """Return a provider that gives these answers in turn."""
    return ScriptedProvider(answers=list(answers))  # type: ignore[arg-type]


def refuses(error: ProviderError) -> ScriptedProvider:
    """Return a provider that always fails so."""
    return ScriptedProvider(answers=lambda _request, _model: error)


def armed(
    providers: dict[str, ScriptedProvider], time: FakeTime | None = None, **facts: object
) -> tuple[Stage, Offstage]:
    """Return the stage, and the health, keys, quotas and closures behind it.

    Args:
        providers: by id.
        time: the clock; a new one where none is given.
        facts: what `Offstage` takes; `limits` are of every provider where none are given.
    """
    time = time or FakeTime()
    limits = facts.pop("limits", dict.fromkeys(providers, LIMITS))
    off = Offstage(time, limits=limits, **facts)  # type: ignore[arg-type]
    return Stage(providers, time=time, standing=off.standing()), off
