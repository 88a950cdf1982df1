"""What makes vectors, wired from the parts that answers go through, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ymera.app.securing import Securing
from ymera.app.upstreams import Upstreams
from ymera.config.schema import Settings
from ymera.core.ports import EventSink, Throttle
from ymera.engine.attempts import Retry
from ymera.engine.embedding import Embedder
from ymera.engine.gate import CallGate
from ymera.engine.standing import Standing
from ymera.routing.plan import Snapshot
from ymera.security.guards.size import SizeGuard

__all__ = ["Calls", "embedder_of"]


class Calls(NamedTuple):
    """How upstreams are called, for vectors as for answers."""

    upstreams: Upstreams
    gate: CallGate
    standing: Standing
    retry: Retry


def embedder_of(
    settings: Settings,
    securing: Securing,
    calls: Calls,
    snapshot: Callable[[], Snapshot],
    sinks: Sequence[EventSink],
    throttle: Throttle,
) -> Embedder:
    """Return what takes requests for vectors.

    Of the guards only size counts: a text that is stored as a vector is no prompt, nothing obeys
    it, and a redacted one would be found under other words.

    Args:
        settings: in force.
        securing: limiter and guards.
        calls: makes and bounds the calls, together with those for answers.
        snapshot: returns what can be called now.
        sinks: are told of every request.
        throttle: slows down where they cannot keep up.
    """
    guards = [each for each in securing.input_guards(settings) if isinstance(each, SizeGuard)]
    return Embedder(
        limiter=securing.limiter(settings),
        guards=guards,
        snapshot=snapshot,
        max_cost_usd=settings.budget.max_usd_per_request,
        call=calls.upstreams.embed,
        gate=calls.gate,
        sinks=sinks,
        clock=calls.standing.clock,
        standing=calls.standing,
        retry=calls.retry,
        throttle=throttle,
        store_text=settings.monitoring.store_prompts,
    )
