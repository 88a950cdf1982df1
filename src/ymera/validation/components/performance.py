"""performance: simple answers, complex runs, and many callers at once, against the limits."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from time import perf_counter
from typing import TYPE_CHECKING

from ymera.engine.orchestrator import AIRequest, AIResponse
from ymera.phases.types import RunState
from ymera.validation.embedded import require_embedded
from ymera.validation.hosted import (
    FIRST_TOKEN_S,
    HOST,
    HostedDouble,
    hosted_only,
    tokens_per_second,
)
from ymera.validation.report import Check, Unmet, check

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.validation.installation import Installation

__all__ = ["examine", "nearest_rank"]

SIMPLE_BELOW_S = 3.0
COMPLEX_BELOW_S = 10.0
SUCCESS_ABOVE = 0.95
"""The document's limits."""

SIMPLE_REQUESTS = 24
"""From 20 on the 95th percentile is another value than the largest."""
CONCURRENT_REQUESTS = 120
BUSY_EVERY = 8
"""Each so many-th call finds its host busy, as free hosts often are; fallback has to cope."""

_CROWD = "crowd"
_CROWDED: dict[str, object] = {
    "local.enabled": False,
    f"providers.{_CROWD}": {
        "base_url": "http://127.0.0.1:9/v1",
        "models": ["first", "second", "third", "fourth"],
        "free": True,
        "keyless": True,
    },
}
"""A host without limits: no free tier of the catalogue takes so many requests in a minute."""

_ANSWER_TOKENS = 48
_ENOUGH_RETRIES, _USUAL_TIMEOUT_S = 3, 30
"""The defaults; a failure with less than these is put down to them."""
_PROMPTS = (
    "Say hello",
    "What is the capital of France?",
    "Translate 'good morning' into Spanish",
    "Write a Python hello world function",
    "Name three primary colours",
    "Summarise in one sentence: the cat sat on the mat and looked at the rain.",
)


async def examine(installation: Installation) -> AsyncGenerator[Check, None]:
    """Make the checks."""
    async with installation.app() as app:
        yield await check("simple tasks", _simple(app))
    for name, work in (("success rate", _many), ("complex task", _complex)):
        yield await check(name, work(installation))


async def _simple(app: App) -> str:
    """Short everyday questions to the smallest embedded model, one after another."""
    model = require_embedded(app)[0]
    first = await app.orchestrator.ask(_question(_PROMPTS[0], model.id))  # loads the weights
    seconds: list[float] = []
    for number in range(SIMPLE_REQUESTS):
        started = perf_counter()
        await app.orchestrator.ask(_question(_PROMPTS[number % len(_PROMPTS)], model.id))
        seconds.append(perf_counter() - started)
    p95 = nearest_rank(seconds, 0.95)
    found = (
        f"p95 {p95:.2f} s, median {nearest_rank(seconds, 0.5):.2f} s of {len(seconds)} answers of "
        f"at most {_ANSWER_TOKENS} tokens by {model.id}"
    )
    if p95 >= SIMPLE_BELOW_S:
        raise Unmet(
            f"{found}; {SIMPLE_BELOW_S:g} s are allowed.",
            hint="Is the machine busy? Otherwise set local.threads, or use a smaller model.",
        )
    return f"{found} (the first, which loads it: {first.latency_s:.1f} s)"


def _question(prompt: str, model: str) -> AIRequest:
    return AIRequest(prompt=prompt, model=model, max_tokens=_ANSWER_TOKENS, fresh=True)


async def _many(installation: Installation) -> str:
    """Many callers at once over doubles of hosted models, some of which are busy."""
    double = HostedDouble(fails=lambda call: call % BUSY_EVERY == 0)
    async with installation.app(flags=_CROWDED, providers={_CROWD: double}) as app:
        nonces = [f"[{os.urandom(6).hex()}]" for _ in range(CONCURRENT_REQUESTS)]
        started = perf_counter()
        answers = await asyncio.gather(
            *(app.orchestrator.execute(AIRequest(prompt=f"Tell me about {n}")) for n in nonces)
        )
        seconds = perf_counter() - started
        retries = app.settings.models.max_retries
    pairs = zip(nonces, answers, strict=True)
    good = sum(nonce in answer.response and answer.cost == Decimal(0) for nonce, answer in pairs)
    found = (
        f"{good} of {len(answers)} concurrent requests answered in {seconds:.1f} s at cost 0, "
        f"every {BUSY_EVERY}th of {double.calls} calls finding its host busy"
    )
    if good / len(answers) <= SUCCESS_ABOVE:
        raise Unmet(
            f"{found}; over {SUCCESS_ABOVE:.0%} are promised. {_first_error(answers)}",
            hint=f"models.max_retries is {retries}: raise it, so that other models are asked."
            if retries < _ENOUGH_RETRIES
            else None,
        )
    return found


def _first_error(answers: Sequence[AIResponse]) -> str:
    return next((each.error.message for each in answers if each.error is not None), "")


async def _complex(installation: Installation) -> str:
    """A whole multi-model run over doubles of hosted models, at the speeds they publish."""
    double = HostedDouble()
    keys, flags = hosted_only()
    async with installation.app(flags=flags, keys=keys, providers={HOST: double}) as app:
        spec = app.running.plan(
            "coding_agent", "Create a REST API", {"language": "python"}, strategy="multi_model"
        )
        started = perf_counter()
        result = await app.running.service.run(spec)
        seconds = perf_counter() - started
        timeout_s = app.settings.performance.timeout_seconds
    found = (
        f"{seconds:.1f} s for {len(result.phases)} phases ({double.calls} calls) of coding_agent "
        f"on doubles of {', '.join(result.models_used)}"
    )
    if result.state is not RunState.DONE:
        short = timeout_s < _USUAL_TIMEOUT_S
        raise Unmet(
            f"The run ended {result.state}: {result.error}",
            hint=f"performance.timeout_seconds is {timeout_s}: raise it." if short else None,
        )
    if seconds >= COMPLEX_BELOW_S:
        raise Unmet(
            f"{found}; {COMPLEX_BELOW_S:g} s are allowed.",
            hint="Is the machine busy? Or is performance.max_concurrent_requests very low?",
        )
    speeds = sorted({tokens_per_second(app.catalog.get(each)) for each in result.models_used})
    shown = " and ".join(f"{each:g}" for each in speeds)
    return f"{found} at {shown} tokens/s (catalogue), {FIRST_TOKEN_S:g} s to the first (assumed)"


def nearest_rank(values: Sequence[float], share: float) -> float:
    """Return the smallest of `values` that at least `share` of them do not exceed.

    Args:
        values: at least one.
        share: 0..1.
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
