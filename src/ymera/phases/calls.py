"""How a phase asks a model: what it gets back, and how every call is paid for beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import msgspec

from ymera.core.access import Principal
from ymera.core.answer import FinishReason
from ymera.core.chat import ChatRequest
from ymera.core.errors import NoRoute, ProviderError, YmeraError
from ymera.core.task import TaskComplexity, TaskType
from ymera.core.tool import ContextUse, ToolUse
from ymera.core.usage import Usage
from ymera.phases.budget import BudgetLedger, Reservation
from ymera.phases.types import Spend
from ymera.routing.estimate import default_output_tokens, input_tokens, text_tokens

__all__ = ["Ask", "AskWithTools", "Meter", "PhaseAnswer"]


@dataclass(frozen=True, kw_only=True)
class PhaseAnswer:
    """What came of asking.

    Attributes:
        text: the answer, without a model's reasoning.
        finish_reason: why the model stopped; `length` when the answer is cut.
        usage: tokens; None when the upstream did not say.
        cost_usd: None when not known.
        model, provider: what answered.
        reason: why the router chose it, one sentence.
        request_ids: records of the calls, in order.
        tools, context: what was used on the way.
    """

    text: str
    finish_reason: FinishReason = FinishReason.STOP
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    model: str
    provider: str
    reason: str = ""
    request_ids: tuple[str, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    context: tuple[ContextUse, ...] = ()


class Ask(Protocol):
    """One model call through the gateway."""

    async def __call__(self, request: ChatRequest, principal: Principal) -> PhaseAnswer:
        """Return the answer.

        Raises:
            YmeraError: no answer could be had.
        """


class AskWithTools(Protocol):
    """An answer on whose way tools may be called and context be brought in."""

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


@dataclass
class Meter:
    """Pays for the calls of one phase from the run's budget, and adds them up.

    Attributes:
        ledger: of the run.
        max_usd_per_call: most that one call may be estimated to cost.
        calls, tokens, usd: of this phase so far; `usd` None once a part of it is not known.
        usage: tokens as the upstreams counted them; None once one did not say.
    """

    ledger: BudgetLedger
    max_usd_per_call: Decimal = Decimal(0)
    calls: int = 0
    tokens: int = 0
    usd: Decimal | None = Decimal(0)
    usage: Usage | None = field(default_factory=Usage)

    def reserve(self, request: ChatRequest) -> tuple[ChatRequest, Reservation]:
        """Set aside what `request` may use; return it with the money it may cost.

        Raises:
            BudgetExceeded: the run's budget does not allow it.
        """
        usd = min(self.max_usd_per_call, self.ledger.remaining_usd())
        tokens = input_tokens(request) + _answer_tokens(request)
        reservation = self.ledger.reserve(calls=1, tokens=tokens, usd=usd)
        hints = msgspec.structs.replace(request.hints, max_cost_usd=usd)
        return msgspec.structs.replace(request, hints=hints), reservation

    def settle(
        self, reservation: Reservation, usage: Usage | None, cost_usd: Decimal | None, text: str
    ) -> None:
        """Note what an answered call used; tokens nobody counted are estimated from `text`."""
        if usage is None:
            tokens = min(reservation.tokens, text_tokens(text) + reservation.tokens // 2)
        else:
            tokens = usage.total_tokens
        self.ledger.settle(reservation, tokens=tokens, usd=cost_usd)
        self._count(1, tokens, cost_usd, usage)

    def failed(self, reservation: Reservation, error: YmeraError) -> None:
        """Note a call that failed; one that broke off is lost."""
        if error.broke_off:
            self.lost(reservation)
            return
        asked = int(_was_asked(error))
        self.ledger.settle(reservation, tokens=0, usd=Decimal(0), calls=asked)
        self._count(asked, 0, Decimal(0), Usage())

    def lost(self, reservation: Reservation) -> None:
        """Note a call that ended in the middle: what was set aside stays spent."""
        usd = (
            None if reservation.usd else reservation.usd
        )  # free models alone cost nothing for sure
        self._count(reservation.calls, reservation.tokens, usd, None)

    def spend(self, seconds: float) -> Spend:
        """Return what the phase used, with the seconds it took."""
        return Spend(calls=self.calls, tokens=self.tokens, usd=self.usd, seconds=seconds)

    def _count(self, calls: int, tokens: int, usd: Decimal | None, usage: Usage | None) -> None:
        self.calls += calls
        self.tokens += tokens
        self.usd = None if self.usd is None or usd is None else self.usd + usd
        if self.usage is None or usage is None:
            self.usage = None
        else:
            self.usage = Usage(
                input_tokens=self.usage.input_tokens + usage.input_tokens,
                output_tokens=self.usage.output_tokens + usage.output_tokens,
                cached_tokens=self.usage.cached_tokens + usage.cached_tokens,
                reasoning_tokens=self.usage.reasoning_tokens + usage.reasoning_tokens,
            )


def _was_asked(error: YmeraError) -> bool:
    """Return whether a model may have been asked before the gateway raised `error`."""
    return isinstance(error, ProviderError) or (isinstance(error, NoRoute) and bool(error.failures))


def _answer_tokens(request: ChatRequest) -> int:
    bound = request.sampling.max_tokens
    if bound is not None:
        return bound
    hints = request.hints
    task_type = hints.task_type or TaskType.TEXT_GENERATION
    return default_output_tokens(task_type, hints.complexity or TaskComplexity.COMPLEX, 1)
