"""The user's document's front door: one request object in, one response object out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from ymera.core.access import LOCAL_OWNER, Principal, PrincipalKind
from ymera.core.answer import ChatEvent
from ymera.core.chat import (
    ChatRequest,
    Message,
    RequestHints,
    Role,
    Sampling,
    TextPart,
)
from ymera.core.errors import InvalidRequest, YmeraError
from ymera.core.route import RoutePlan
from ymera.core.task import TaskComplexity, TaskType
from ymera.core.tool import ContextUse, ToolUse
from ymera.core.usage import Usage
from ymera.engine.door import Door
from ymera.engine.reply import Reply

__all__ = ["AIOrchestrator", "AIRequest", "AIResponse", "chat_request", "response_of"]

_Word = TypeVar("_Word", bound=StrEnum)
_MAX_TEMPERATURE = 2


@dataclass(frozen=True)
class AIRequest:
    """One request in the document's words.

    Attributes:
        task_id: the caller's own name for it; echoed in the response.
        task_type: a `TaskType` or its word; None = inferred from the prompt.
        complexity: a `TaskComplexity` or its word; None = inferred.
        prompt: at least one character that is not white space.
        prefer_free: prefer models that cost nothing. False never spends money by itself: that
            takes a budget above 0.
        model: alias or catalogue id; None = the configured default (`models.default_model`).
        system: system prompt.
        max_tokens: most tokens to generate; None = the model's own bound.
        temperature: 0..2; None = the model's default (greedy for embedded models).
        private: only models that do not train on the text.
        messages: earlier turns of the conversation.
        user: who asks, for rate limits; None = the owner of this machine.
        fresh: do not answer from the cache.
        tools: names or patterns of our tools to answer with, `*` for all; None = all where
            `tools.always` says so, else none.
    """

    task_id: str = ""
    task_type: TaskType | str | None = None
    complexity: TaskComplexity | str | None = None
    prompt: str = ""
    prefer_free: bool = True
    model: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    private: bool = False
    messages: tuple[Message, ...] = ()
    user: str | None = None
    fresh: bool = False
    tools: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class AIResponse:
    """What came of it.

    Attributes:
        success: whether a model answered.
        response: the text; empty on failure.
        cost: USD; None when unknown; `Decimal(0)` on a free model.
        model, provider: what answered; None on failure.
        usage: tokens; None when the upstream did not say.
        latency_s: seconds until the last token; 0 on failure.
        error: why not; None on success.
        route: what was asked and what else could have been; `AIOrchestrator.route` also says why
            not the rest of the catalogue. None when refused before routing.
        request_id: name of the stored record.
        tools, context: what was used on the way.
    """

    task_id: str
    success: bool
    response: str = ""
    cost: Decimal | None = None
    model: str | None = None
    provider: str | None = None
    usage: Usage | None = None
    latency_s: float = 0.0
    error: YmeraError | None = None
    route: RoutePlan | None = field(default=None, repr=False)
    request_id: str | None = None
    tools: tuple[ToolUse, ...] = ()
    context: tuple[ContextUse, ...] = ()


class AIOrchestrator:
    """Answers requests through the gateway.

    Args:
        gateway: returns the gateway; called at each request, so a reconfigured one is used.
        default_model: returns the model of requests that name none; called at each request too.
        always_tools: returns whether requests that do not say get all tools.
    """

    def __init__(
        self,
        gateway: Callable[[], Door],
        default_model: Callable[[], str] = lambda: "auto",
        always_tools: Callable[[], bool] = lambda: False,
    ) -> None:
        self._gateway = gateway
        self._default_model = default_model
        self._always_tools = always_tools

    async def initialize(self) -> None:
        """Build everything now instead of at the first request."""
        self._gateway()

    async def execute(self, request: AIRequest) -> AIResponse:
        """Answer `request`; failures come back as a response with `success` False."""
        try:
            return await self.ask(request)
        except YmeraError as error:
            return AIResponse(
                task_id=request.task_id,
                success=False,
                error=error,
                route=error.route,
                request_id=error.request_id,
            )

    async def ask(self, request: AIRequest) -> AIResponse:
        """Answer `request`.

        Raises:
            YmeraError: no answer could be had.
        """
        reply = await self.begin(request, stream=False)
        answer = await reply.answer()
        return replace(response_of(request, reply), response=answer.text)

    async def stream(self, request: AIRequest) -> AsyncGenerator[ChatEvent, None]:
        """Yield the answer's events as they come.

        Raises:
            YmeraError: no answer could be had, or it broke off.
        """
        reply = await self.begin(request, stream=True)
        async with aclosing(reply.events()) as events:
            async for event in events:
                yield event

    def route(self, request: AIRequest) -> RoutePlan:
        """Return what would be asked and why; asks nothing."""
        return self._gateway().route(self._chat(request, stream=False))

    def _chat(self, request: AIRequest, *, stream: bool) -> ChatRequest:
        if request.tools is None and self._always_tools():
            request = replace(request, tools=("*",))
        return chat_request(request, model=self._default_model(), stream=stream)

    async def begin(self, request: AIRequest, *, stream: bool) -> Reply:
        """Return the reply as soon as it has begun; read or discard it.

        Raises:
            YmeraError: no answer could be had.
        """
        chat = self._chat(request, stream=stream)
        return await self._gateway().handle(chat, _principal(request))


def chat_request(request: AIRequest, *, model: str, stream: bool) -> ChatRequest:
    """Return the dialect-free form of `request`, for `model` if it names none.

    Raises:
        InvalidRequest: an unknown task type or complexity, or a number out of its range.
    """
    _require_range("max_tokens", request.max_tokens, 1, None)
    _require_range("temperature", request.temperature, 0, _MAX_TEMPERATURE)
    system = (
        (Message(role=Role.SYSTEM, content=(TextPart(request.system),)),) if request.system else ()
    )
    prompt = Message(role=Role.USER, content=(TextPart(request.prompt),))
    return ChatRequest(
        model=request.model or model,
        messages=(*system, *request.messages, prompt),
        sampling=Sampling(max_tokens=request.max_tokens, temperature=request.temperature),
        stream=stream,
        hints=RequestHints(
            task_type=_word(TaskType, request.task_type, "task_type"),
            complexity=_word(TaskComplexity, request.complexity, "complexity"),
            prefer_free=request.prefer_free,
            private=request.private,
            fresh=request.fresh,
            use_tools=request.tools or (),
        ),
    )


def _require_range(param: str, value: float | None, least: float, most: float | None) -> None:
    if value is None or (value >= least and (most is None or value <= most)):
        return
    allowed = f"at least {least}" if most is None else f"between {least} and {most}"
    raise InvalidRequest(f"{param} is {value}; it must be {allowed}.", param=param)


def _word(kind: type[_Word], value: str | None, param: str) -> _Word | None:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        raise InvalidRequest(
            f"Unknown {param.replace('_', ' ')} {value!r}.",
            hint=f"One of: {', '.join(kind)}.",
            param=param,
        ) from None


def _principal(request: AIRequest) -> Principal:
    if request.user is None:
        return LOCAL_OWNER
    return Principal(id=request.user, kind=PrincipalKind.USER)


def response_of(request: AIRequest, reply: Reply) -> AIResponse:
    """Return the facts of a reply that was read to its end; `response` is left empty."""
    trace = reply.trace
    usage = trace.answer.usage
    return AIResponse(
        task_id=request.task_id,
        success=True,
        cost=trace.cost_usd(),
        model=trace.model.id if trace.model else None,
        provider=trace.model.provider if trace.model else None,
        usage=usage,
        latency_s=trace.elapsed_s(),
        route=trace.plan,
        request_id=trace.id,
        tools=trace.request.hints.tools,
        context=trace.request.hints.context,
    )
