"""What phases ask through: the gateway, like any other caller, so nothing is bypassed."""

from __future__ import annotations

from collections.abc import Callable

from ymera.core.access import Principal
from ymera.core.chat import ChatRequest, Message, RequestHints, Role, TextPart
from ymera.core.errors import YmeraError
from ymera.core.route import RoutePlan
from ymera.engine.door import Door
from ymera.engine.gateway import Reply
from ymera.phases.calls import PhaseAnswer
from ymera.phases.types import PhaseSpec, RunSpec

__all__ = ["PhaseCalls", "answer_of", "reason_of"]

_UNKNOWN_WINDOW = 8_192
_WIDEST_USED = 32_768
"""More context than this makes calls slow and dear without making them better."""


class PhaseCalls:
    """Asks models for phases; `ymera.phases.calls.Ask`.

    Args:
        gateway: returns the gateway; called at each request, so a reconfigured one is used.
    """

    def __init__(self, gateway: Callable[[], Door]) -> None:
        self._gateway = gateway

    async def __call__(self, request: ChatRequest, principal: Principal) -> PhaseAnswer:
        """Return the answer to one request.

        Raises:
            YmeraError: no answer could be had.
        """
        reply = await self._gateway().handle(request, principal)
        return await answer_of(reply)

    def context_tokens(self, spec: RunSpec, phase: PhaseSpec) -> int:
        """Return the tokens of context of the model that would be asked first for a phase."""
        request = ChatRequest(
            model=phase.model,
            messages=(Message(role=Role.USER, content=(TextPart(spec.task),)),),
            hints=RequestHints(
                task_type=phase.task_type,
                complexity=phase.complexity or spec.complexity,
                private=spec.private,
                agent=spec.agent.name,
            ),
        )
        try:
            candidates = self._gateway().route(request).candidates
        except YmeraError:  # the call itself will say it better
            return _UNKNOWN_WINDOW
        window = candidates[0].model.context_window if candidates else None
        return min(window or _UNKNOWN_WINDOW, _WIDEST_USED)


async def answer_of(reply: Reply) -> PhaseAnswer:
    """Read a reply to its end.

    Raises:
        YmeraError: the answer broke off.
    """
    answer = await reply.answer()
    trace = reply.trace
    model = trace.model
    return PhaseAnswer(
        text=answer.text,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        cost_usd=trace.cost_usd(),
        model=model.id if model else "",
        provider=model.provider if model else "",
        reason=reason_of(trace.plan, model.id if model else None),
        request_ids=(trace.id,),
    )


def reason_of(plan: RoutePlan | None, model_id: str | None) -> str:
    """Return why a plan has a model in it; empty when it does not tell."""
    candidates = plan.candidates if plan is not None else ()
    return next((each.reason for each in candidates if each.model.id == model_id), "")
