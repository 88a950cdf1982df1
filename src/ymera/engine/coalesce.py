"""Equal questions asked at the same time are asked upstream once.

Only where the answer would be the same anyway: plain requests of one caller, without tools, that
draw nothing by chance. Whoever asks first makes the call; the others wait for its answer and pay
nothing. When that call fails, each goes on by itself; when its caller leaves, another takes over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ymera.core.answer import ChatEvent
from ymera.core.chat import ChatRequest
from ymera.core.errors import YmeraError
from ymera.core.model import Model
from ymera.core.route import RoutePlan
from ymera.engine.attempts import Commitment
from ymera.engine.cache import cache_key
from ymera.engine.trace import RequestTrace

__all__ = ["Coalescer", "shared_key"]


@dataclass(frozen=True)
class _Whole:
    """A whole answer, to be handed to everyone who waits."""

    head: Sequence[ChatEvent]
    model: Model | None


class _Failed:
    """The call failed, so that each who waits asks by itself."""


class _Left:
    """The one who asked went away, so that another may ask for all."""


_Outcome = _Whole | _Failed | _Left


class Coalescer:
    """Knows which questions are being asked; each event loop has its own."""

    def __init__(self) -> None:
        self._asked: dict[tuple[asyncio.AbstractEventLoop, bytes], asyncio.Future[_Outcome]] = {}

    async def ask(
        self, key: bytes, trace: RequestTrace, call: Callable[[bool], Awaitable[Commitment]]
    ) -> Commitment:
        """Return the answer of `call`, or of an equal one that is under way.

        Args:
            key: what equal requests share, see `shared_key`.
            trace: of the request; learns that its answer is shared.
            call: asks, told whether it was waited for; raises as `Attempts.commit`.
        """
        spot = asyncio.get_running_loop(), key
        waited = False
        while (asked := self._asked.get(spot)) is not None:
            waited = True
            match await asyncio.shield(asked):
                case _Whole() as whole:
                    trace.shared, trace.model = True, whole.model
                    return Commitment(head=whole.head)
                case _Failed():
                    return await call(waited)
        return await self._lead(spot, trace, lambda: call(waited))

    async def _lead(
        self,
        spot: tuple[asyncio.AbstractEventLoop, bytes],
        trace: RequestTrace,
        call: Callable[[], Awaitable[Commitment]],
    ) -> Commitment:
        future = self._asked[spot] = spot[0].create_future()
        outcome: _Outcome = _Left()
        try:
            commitment = await call()
            outcome = _Whole(commitment.head, trace.model)
        except YmeraError:
            outcome = _Failed()
            raise
        finally:
            del self._asked[spot]
            future.set_result(outcome)
        return commitment


def shared_key(trace: RequestTrace, plan: RoutePlan) -> bytes | None:
    """Return what equal requests share; None for one that is asked by itself."""
    request = trace.request
    if request.stream or request.tools or not _is_greedy(request, plan):
        return None
    return trace.cache_key or cache_key(request, trace.principal)


def _is_greedy(request: ChatRequest, plan: RoutePlan) -> bool:
    """Return whether the first model draws nothing by chance; embedded ones do when told to."""
    temperature = request.sampling.temperature
    if temperature is None:
        return plan.candidates[0].model.weights is not None
    return temperature == 0
