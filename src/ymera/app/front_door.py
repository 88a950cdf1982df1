"""Where every request enters: runs for agents' names, the tool loop, or straight to the gateway."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from ymera.core.access import Principal
from ymera.core.answer import (
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    UsageReport,
)
from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Role,
    prompt_text,
)
from ymera.core.errors import InvalidRequest, RunFailed, Unsupported
from ymera.core.model import Model
from ymera.core.route import RoutePlan
from ymera.core.usage import Usage
from ymera.engine.attempts import Commitment
from ymera.engine.cache import whole
from ymera.engine.gateway import Gateway
from ymera.engine.reply import Reply
from ymera.engine.trace import Clock, RequestTrace

if TYPE_CHECKING:
    from ymera.engine.tool_loop import ToolLoop
    from ymera.phases.service import RunService
    from ymera.phases.types import RunEvent, RunResult, RunSpec

__all__ = ["FrontDoor", "parameters_of", "task_of"]

_METADATA = "metadata"
"""The OpenAI dialect's field for texts of the caller's own: here the agent's parameters."""


class FrontDoor:
    """Handles requests for models and, by the same words, for agents and for tools of ours.

    A run answers like a model: its result is the answer's text, what happens on the way is visible
    reasoning of a streamed answer, and its phases leave the records. An answer with tools is whole
    before it leaves, streamed or not.

    Args:
        gateway: returns the gateway; called at each request, so a reconfigured one is used.
        is_alias: whether a name is an alias.
        agents: returns the names of all agents.
        plan: turns a request for an agent into a run.
        runs: returns the run service.
        tool_loop: returns what answers with tools.
        model: finds a model by its name.
        clock: wall and monotonic time.
    """

    def __init__(
        self,
        *,
        gateway: Callable[[], Gateway],
        is_alias: Callable[[str], bool],
        model: Callable[[str], Model | None],
        agents: Callable[[], Collection[str]],
        plan: Callable[[ChatRequest, Principal], RunSpec],
        runs: Callable[[], RunService],
        tool_loop: Callable[[], ToolLoop],
        clock: Clock,
    ) -> None:
        self._gateway = gateway
        self._is_alias = is_alias
        self._model = model
        self._agents = agents
        self._plan = plan
        self._runs = runs
        self._tool_loop = tool_loop
        self._clock = clock

    async def handle(
        self, request: ChatRequest, principal: Principal, *, request_id: str = ""
    ) -> Reply:
        """Return the reply; see `Gateway.handle`.

        Raises:
            InvalidRequest: an agent's parameters do not fit, or the request asks of an agent what
                only a model can do.
            YmeraError: as the gateway.
        """
        if self._is_agent(request.model):
            return self._run(request, principal, request_id)
        if request.hints.use_tools:
            return await self._answer_with_tools(request, principal)
        return await self._gateway().handle(request, principal, request_id=request_id)

    def _is_agent(self, name: str) -> bool:
        if self._is_alias(name) or self._model(name) is not None:
            return False
        return name in self._agents()  # last: it looks into a folder

    async def _answer_with_tools(self, request: ChatRequest, principal: Principal) -> Reply:
        trace = RequestTrace(request=request, principal=principal, clock=self._clock, of_many=True)
        hints = msgspec.structs.replace(request.hints, use_tools=(), fresh=True)
        asked = msgspec.structs.replace(request, hints=hints, stream=False)
        found = await self._tool_loop().answer(asked, principal, tools=request.hints.use_tools)
        hints = msgspec.structs.replace(hints, tools=found.uses, context=found.context)
        trace.id = found.request_ids[-1]  # its record has all that was used
        trace.request = msgspec.structs.replace(request, hints=hints)
        trace.plan, trace.spent_usd = found.plan, found.cost_usd
        trace.model = self._model(found.model) if found.model else None
        answer = msgspec.structs.replace(found.answer, usage=found.usage)
        return Reply(trace, whole(answer), _recorded_call_by_call)

    def _run(self, request: ChatRequest, principal: Principal, request_id: str) -> Reply:
        _require_plain(request)
        spec = self._plan(request, principal)
        hints = msgspec.structs.replace(request.hints, agent=spec.agent.name, run_id=spec.id)
        trace = RequestTrace(
            request=msgspec.structs.replace(request, hints=hints),
            principal=principal,
            clock=self._clock,
            id=request_id,
            of_many=True,
        )
        events = self._events(spec, trace)

        async def end(_error: BaseException | None) -> None:
            await events.aclose()  # a caller who leaves ends the run

        commitment = Commitment(head=(), rest=events, end=end)
        return Reply(trace, commitment, _recorded_call_by_call)

    def route(self, request: ChatRequest) -> RoutePlan:
        """Return what would be asked and why; asks nothing.

        Raises:
            Unsupported: the name is an agent's, which asks a model for each of its phases.
        """
        if self._is_agent(request.model):
            raise Unsupported(
                f"{request.model!r} is an agent: it asks a model for each of its phases.",
                hint=f"`ymera agents show {request.model}` lists them.",
                param="model",
            )
        return self._gateway().route(request)

    async def _events(
        self, spec: RunSpec, trace: RequestTrace
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        runs = self._runs()
        await runs.submit(spec)
        try:
            async for step in _steps(runs, spec.id):
                yield (step,)
            result = await runs.get(spec.id)
        except BaseException:
            await runs.cancel(spec.id)  # nobody waits for it any more
            raise
        if not result.result:
            raise RunFailed(
                result.error or f"The run {spec.id} ended without a result.",
                hint=f"`ymera runs show {spec.id}` tells; `ymera runs resume` carries it on.",
            )
        trace.spent_usd = result.cost
        yield (TextDelta(result.result),)
        if (usage := _usage_of(result)) is not None:
            yield (UsageReport(usage),)
        yield (Finish(FinishReason.STOP),)


def task_of(request: ChatRequest) -> str:
    """Return the task a conversation ends with; earlier turns stand before it."""
    task = prompt_text(request)
    earlier = [
        f"{message.role}: {message.text}"
        for message in request.messages[:-1]
        if message.role in {Role.USER, Role.ASSISTANT} and message.text
    ]
    if not earlier:
        return task
    return "\n".join([task, "", "Earlier in this conversation:", *earlier])


def parameters_of(request: ChatRequest) -> dict[str, str]:
    """Return an agent's parameters: the request's `metadata`.

    Raises:
        InvalidRequest: they are no object of texts.
    """
    raw = request.extra.get(_METADATA)
    if raw is None or bytes(raw) == b"null":
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, str])
    except msgspec.DecodeError:
        raise InvalidRequest(
            "The field metadata holds the agent's parameters: an object of texts.",
            hint='Such as {"language": "python"}.',
            param=_METADATA,
        ) from None


async def _steps(runs: RunService, run_id: str) -> AsyncIterator[ChatEvent]:
    async with aclosing(runs.events(run_id)) as events:
        async for event in events:
            if event.phase is not None:
                yield ReasoningDelta(_line(event))


def _line(event: RunEvent) -> str:
    model = event.detail.get("model")
    by = f" ({model})" if model else ""
    return f"{event.phase}: {event.kind.removeprefix('phase.')}{by}\n"


def _usage_of(result: RunResult) -> Usage | None:
    """Return the tokens of all phases; None when one is not known."""
    usages = [outcome.usage for outcome in result.phases.values() if outcome.spend.calls]
    known = [usage for usage in usages if usage is not None]
    if len(known) != len(usages):
        return None
    return Usage(
        input_tokens=sum(usage.input_tokens for usage in known),
        output_tokens=sum(usage.output_tokens for usage in known),
        cached_tokens=sum(usage.cached_tokens for usage in known),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in known),
    )


def _require_plain(request: ChatRequest) -> None:
    """Refuse what an agent cannot do, instead of leaving it out in silence."""
    for param, given in (
        ("tools", request.tools),
        ("response_format", request.response_format),
        ("max_tokens", request.sampling.max_tokens),
        ("stop", request.sampling.stop),
        ("images", _has_images(request)),
    ):
        if given:
            raise Unsupported(
                f"An agent does not take {param}: its phases have their own.",
                hint="Leave it out, or name a model instead of an agent.",
                param=param,
            )


def _has_images(request: ChatRequest) -> bool:
    parts = (part for message in request.messages for part in message.content)
    return any(isinstance(part, ImagePart) for part in parts)


def _recorded_call_by_call(trace: RequestTrace, error: BaseException | None) -> None:
    del trace, error
