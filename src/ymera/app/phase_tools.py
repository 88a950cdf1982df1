"""Phases with tools and context: the tool loop, paid for call by call from the run's budget."""

from __future__ import annotations

from collections.abc import Callable

from ymera.app.phase_calls import PhaseCalls, reason_of
from ymera.app.tooling import Tooling
from ymera.core.access import Principal
from ymera.core.chat import ChatRequest
from ymera.core.errors import YmeraError
from ymera.core.route import RoutePlan
from ymera.engine.door import Door
from ymera.engine.reply import Reply
from ymera.engine.tool_loop import ToolLoop
from ymera.engine.trace import Clock
from ymera.phases.budget import Reservation
from ymera.phases.calls import Meter, PhaseAnswer
from ymera.tools.registry import BUILTIN

__all__ = ["PhaseToolCalls"]

_ALL = "*"


class PhaseToolCalls:
    """Asks for phases that name tools or context; `ymera.phases.calls.AskWithTools`.

    A phase whose tools and servers are not set up here is asked without them.

    Args:
        tooling: returns the tools in force.
        gateway: returns the gateway in force.
        clock: time.
    """

    def __init__(
        self, tooling: Callable[[], Tooling], gateway: Callable[[], Door], clock: Clock
    ) -> None:
        self._tooling = tooling
        self._gateway = gateway
        self._clock = clock

    async def __call__(
        self,
        request: ChatRequest,
        principal: Principal,
        *,
        tools: tuple[str, ...],
        context: tuple[str, ...],
        meter: Meter,
    ) -> PhaseAnswer:
        """Return the answer; each model call on the way goes through `meter`.

        Raises:
            YmeraError: no answer could be had.
        """
        tooling = self._tooling()
        metered = _MeteredDoor(self._gateway(), meter)
        offered = await tooling.box.tools(tools) if tools else ()
        known = [name for name in tooling.box.source_names if name != BUILTIN]
        servers = tuple(name for name in known if name in context or _ALL in context)
        if not offered and not servers:
            try:
                return await PhaseCalls(lambda: metered)(request, principal)
            finally:
                metered.settle()
        settings = tooling.settings.tools
        loop = ToolLoop(
            gateway=lambda: metered,
            toolbox=tooling.box,
            clock=self._clock,
            max_steps=settings.max_steps,
            max_context_tokens=settings.max_context_tokens,
        )
        try:
            found = await loop.answer(
                request,
                principal,
                tools=tuple(tool.name for tool in offered),
                context=servers,
            )
        finally:
            metered.settle()
        return PhaseAnswer(
            text=found.answer.text,
            finish_reason=found.answer.finish_reason,
            usage=found.usage,
            cost_usd=found.cost_usd,
            model=found.model or "",
            provider=found.provider or "",
            reason=reason_of(found.plan, found.model),
            request_ids=found.request_ids,
            tools=found.uses,
            context=found.context,
        )


class _MeteredDoor:
    """Hands requests on to a gateway, each paid for before it leaves.

    A reply is read after it was handed out; what it used is settled at the next call, or at the
    end. One that is given up in between stays paid for as it was set aside.
    """

    def __init__(self, gateway: Door, meter: Meter) -> None:
        self._inner = gateway
        self._meter = meter
        self._open: tuple[Reservation, Reply] | None = None

    async def handle(
        self, request: ChatRequest, principal: Principal, *, request_id: str = ""
    ) -> Reply:
        """Hand on a request the budget allows; see `Gateway.handle`.

        Raises:
            BudgetExceeded: the run's budget does not allow it.
        """
        self.settle()
        request, reservation = self._meter.reserve(request)
        try:
            reply = await self._inner.handle(request, principal, request_id=request_id)
        except YmeraError as error:
            self._meter.failed(reservation, error)
            raise
        except BaseException:
            self._meter.lost(reservation)
            raise
        self._open = reservation, reply
        return reply

    def route(self, request: ChatRequest) -> RoutePlan:
        """Return what would be asked; see `Gateway.route`."""
        return self._inner.route(request)

    def settle(self) -> None:
        """Note what the last call used."""
        if self._open is None:
            return
        (reservation, reply), self._open = self._open, None
        trace = reply.trace
        if trace.answer.finish_reason is None:
            self._meter.lost(reservation)
        else:
            self._meter.settle(reservation, trace.answer.usage, trace.cost_usd(), trace.answer.text)
