"""What phases ask through: the gateway, like any other caller, so nothing is bypassed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ymera.core.access import Principal
from ymera.core.answer import AnswerBuilder
from ymera.core.chat import (
    ChatRequest,
    Message,
    RequestHints,
    Role,
    TextPart,
)
from ymera.core.errors import YmeraError
from ymera.core.model import Model
from ymera.core.route import RoutePlan
from ymera.engine.door import Door
from ymera.engine.reply import Reply
from ymera.phases.calls import PhaseAnswer
from ymera.phases.loops import loop_problem
from ymera.phases.types import ArtefactKind, PhaseSpec, RunSpec

__all__ = ["PhaseCalls", "answer_of", "reason_of"]

_UNKNOWN_WINDOW = 8_192
_LOOK_EVERY_CHARS = 400
_LOOK_BACK_CHARS = 4_000
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
        """Return the answer to one request, cut where the model is caught in a loop.

        Raises:
            YmeraError: no answer could be had.
        """
        streamed = msgspec.structs.replace(request, stream=True)
        reply = await self._gateway().handle(streamed, principal)
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
        first = self._first(request)
        window = first.context_window if first is not None else None
        return min(window or _UNKNOWN_WINDOW, _WIDEST_USED)

    def first_choice(self, request: ChatRequest) -> str | None:
        """Return the id of the model a request would go to; None when none can serve it."""
        first = self._first(request)
        return first.id if first is not None else None

    def _first(self, request: ChatRequest) -> Model | None:
        try:
            candidates = self._gateway().route(request).candidates
        except YmeraError:  # the call itself will say it better
            return None
        return candidates[0].model if candidates else None


async def answer_of(reply: Reply) -> PhaseAnswer:
    """Read a reply to its end, or until the model is caught in a loop.

    Raises:
        YmeraError: the answer broke off.
    """
    builder = AnswerBuilder()
    looked_at = 0
    async for event in reply.events():
        builder.add(event)
        if builder.text_chars - looked_at >= _LOOK_EVERY_CHARS:
            looked_at = builder.text_chars
            if loop_problem(ArtefactKind.CODE, builder.text[-_LOOK_BACK_CHARS:]) is not None:
                reply.stop()  # what is left would be more of the same, at full price
    answer = builder.build()
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
