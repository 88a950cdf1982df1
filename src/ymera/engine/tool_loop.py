"""Answers with tools: the model calls them itself, or step by step by the text protocol.

Every model call goes through the gateway like any other request. Nothing of this is loaded for
requests that ask for no tools.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from ymera.core.access import Principal
from ymera.core.answer import ChatAnswer
from ymera.core.chat import (
    ChatRequest,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolSpec,
    prompt_text,
)
from ymera.core.errors import InvalidRequest, NoRoute, ProviderError
from ymera.core.model import Dialect, Model
from ymera.core.route import RoutePlan
from ymera.core.tool import ContextItem, ContextUse, Tool, ToolResult, ToolUse, Trust
from ymera.core.usage import Usage
from ymera.engine.door import Door
from ymera.engine.text_protocol import TextProtocol
from ymera.engine.tool_loop_session import ToolSession, told, with_context
from ymera.engine.trace import Clock
from ymera.tools.context import as_data, pick
from ymera.tools.registry import BUILTIN, ToolBox
from ymera.wire.signatures import foreign_signer

__all__ = ["ToolAnswer", "ToolLoop"]

_MAX_CALLS_AT_ONCE = 8


class ToolAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, and what it took.

    Attributes:
        answer: the model's last answer.
        uses: every tool call, in order.
        context: every text that was brought in.
        request_ids: names of the stored records of all model calls; the last one has all uses.
        model, provider: what wrote the answer.
        plan: why that model.
        usage: tokens of all model calls; None when one did not say.
        cost_usd: of all model calls; None when one is unknown.
        latency_s: seconds from the question to the answer.
        by: `native` (the model called tools itself) or `text` (the text protocol).
    """

    answer: ChatAnswer
    uses: tuple[ToolUse, ...]
    context: tuple[ContextUse, ...]
    request_ids: tuple[str, ...]
    model: str | None
    provider: str | None
    plan: RoutePlan | None
    usage: Usage | None
    cost_usd: Decimal | None
    latency_s: float
    by: str


class ToolLoop:
    """Answers requests with tools.

    Args:
        gateway: returns the gateway; called for each request, so a reconfigured one is used.
        toolbox: the tools.
        clock: time.
        max_steps: most tool calls on the way to one answer.
        max_seconds: after that no further tool is called.
        max_context_tokens: for texts that are brought in.
    """

    def __init__(
        self,
        *,
        gateway: Callable[[], Door],
        toolbox: ToolBox,
        clock: Clock,
        max_steps: int = 8,
        max_seconds: float = 300.0,
        max_context_tokens: int = 1500,
    ) -> None:
        self._gateway = gateway
        self._toolbox = toolbox
        self._clock = clock
        self._max_steps = max_steps
        self._max_seconds = max_seconds
        self._max_context_tokens = max_context_tokens

    async def answer(
        self,
        request: ChatRequest,
        principal: Principal,
        *,
        tools: Sequence[str] = ("*",),
        context: Sequence[str] = (),
        max_steps: int | None = None,
    ) -> ToolAnswer:
        """Return the answer to `request`.

        Args:
            request: the question; its own `tools` must be empty.
            principal: who asks.
            tools: names, or patterns such as `git__*` and `*`.
            context: servers whose resources may be brought in; those of offered tools always may.
            max_steps: fewer tool calls than the loop allows.

        Raises:
            InvalidRequest: no tool fits, or the request brings tools of its own.
            YmeraError: as the gateway.
        """
        if request.tools:
            raise InvalidRequest("A request cannot bring tools and ask for ours.", param="tools")
        gateway = self._gateway()
        offered = await self._toolbox.tools(tools)
        self._require_some(offered, tools)
        session = ToolSession(
            gateway=gateway,
            toolbox=self._toolbox,
            principal=principal,
            request=request,
            context=await self._context(prompt_text(request), offered, context),
            max_steps=min(self._max_steps, max_steps or self._max_steps),
            max_seconds=self._max_seconds,
            clock=self._clock,
        )
        answer, by = await _answer(session, offered, gateway)
        last = session.replies[-1].trace
        return ToolAnswer(
            answer=answer,
            uses=tuple(session.uses),
            context=session.context_uses,
            request_ids=tuple(reply.trace.id for reply in session.replies),
            model=last.model.id if last.model else None,
            provider=last.model.provider if last.model else None,
            plan=last.plan,
            usage=session.usage(),
            cost_usd=session.cost_usd(),
            latency_s=session.elapsed_s(),
            by=by,
        )

    def _require_some(self, offered: Sequence[Tool], patterns: Sequence[str]) -> None:
        if offered or "*" in patterns or not patterns:
            return
        problems = "; ".join(f"{name}: {why}" for name, why in self._toolbox.problems.items())
        raise InvalidRequest(
            f"No tool fits {', '.join(patterns)}.{' ' + problems if problems else ''}",
            hint="Tools are those of `ymera mcp tools` and the settings under `tools`.",
            param="tools",
        )

    async def _context(
        self, question: str, offered: Sequence[Tool], servers: Sequence[str]
    ) -> list[ContextItem]:
        if not self._max_context_tokens:
            return []
        names = {tool.source.removeprefix("mcp:") for tool in offered}
        sources = [name for name in self._toolbox.source_names if name in names or name in servers]
        items = await self._toolbox.context(question, sources)
        known = {tool.name for tool in offered}
        fitting = [item for item in items if _is_wanted(item, known, servers)]
        return pick(fitting, question, self._max_context_tokens)


def _is_wanted(item: ContextItem, offered: set[str], servers: Sequence[str]) -> bool:
    """Whether an item belongs to an offered tool, or to a server that was asked for."""
    head, _, rest = item.source.partition(":")
    match head:
        case "tool":
            return rest.partition(":")[0] in offered
        case "rows":
            return "query_database" in offered
        case "file":
            return "read_file" in offered
        case "clock":
            return "current_time" in offered
        case _:
            return head != BUILTIN or BUILTIN in servers


async def _answer(
    session: ToolSession, offered: Sequence[Tool], gateway: Door
) -> tuple[ChatAnswer, str]:
    """Return the answer and how it was had: `native`, else `text`.

    Where every model that calls tools by itself fails at the first question (no network, say),
    the others are asked by the text protocol.
    """
    if _calls_natively(gateway, session.request, offered):
        try:
            return await _Native(session, offered).answer(), "native"
        except (NoRoute, ProviderError):
            if session.replies:
                raise
    return await TextProtocol(session, offered).answer(), "text"


def _calls_natively(gateway: Door, request: ChatRequest, offered: Sequence[Tool]) -> bool:
    """Whether some model that can be asked now calls tools itself."""
    asked = msgspec.structs.replace(request, tools=tuple(_spec(tool) for tool in offered))
    return bool(offered) and bool(gateway.route(asked).candidates)


def _spec(tool: Tool) -> ToolSpec:
    return ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters)


class _Native:
    """The loop for models with native tool calls."""

    def __init__(self, session: ToolSession, offered: Sequence[Tool]) -> None:
        self._session = session
        self._tools = {tool.name: tool for tool in offered}
        self._repeats = 0

    async def answer(self) -> ChatAnswer:
        """Let the model call tools until it answers; the last turn allows none."""
        messages = list(with_context(self._session))
        specs = tuple(_spec(tool) for tool in self._tools.values())
        while True:
            goes_on = self._session.may_call and self._repeats < 2
            answer = await self._session.ask(
                msgspec.structs.replace(
                    self._session.request,
                    messages=tuple(messages),
                    tools=specs,
                    tool_choice="auto" if goes_on else "none",
                )
            )
            if not answer.tool_calls or not goes_on:
                return msgspec.structs.replace(answer, tool_calls=())
            messages.append(_turn_of(answer, self._session.replies[-1].trace.model))
            for number, call in enumerate(answer.tool_calls):
                messages.append(await self._result(call, number))

    async def _result(self, call: ToolCall, number: int) -> Message:
        if number >= _MAX_CALLS_AT_ONCE or not self._session.may_call:
            result = _refused("limit", "No further tool can be called; answer now.")
        else:
            result = await self._call(call)
        shown = as_data(
            ContextItem(text=told(result), source=f"tool:{call.name}", trust=Trust.TOOL)
        )
        return Message(role=Role.TOOL, content=(TextPart(shown),), tool_call_id=call.id)

    async def _call(self, call: ToolCall) -> ToolResult:
        tool = self._tools.get(call.name)
        if tool is None:
            return _refused("unknown_tool", f"There is no tool {call.name[:80]!r}.")
        try:
            arguments = msgspec.json.decode(call.arguments or "{}", type=dict[str, object])
        except msgspec.DecodeError as error:
            return _refused("invalid_arguments", f"The arguments are no JSON object: {error}")
        result = await self._session.call(tool, arguments)
        self._repeats += result.error_code == "repeated"
        return result


def _refused(code: str, text: str) -> ToolResult:
    return ToolResult(text=text, is_error=True, error_code=code)


def _turn_of(answer: ChatAnswer, model: Model | None) -> Message:
    model_id = "" if model is None else model.id
    content: tuple[Part, ...] = (TextPart(answer.text),) if answer.text else ()
    if answer.reasoning_signature is not None and answer.reasoning_dialect is not None:
        # Whoever signs its reasoning wants it back with the results of the calls.
        thought = ReasoningPart(
            text=answer.reasoning,
            signature=answer.reasoning_signature,
            dialect=answer.reasoning_dialect,
            signer=foreign_signer(model_id, answer.reasoning_dialect),
            redacted=answer.reasoning_redacted,
        )
        content = (thought, *content)
    signer = foreign_signer(model_id, Dialect.GEMINI)
    calls = tuple(msgspec.structs.replace(call, signer=signer) for call in answer.tool_calls)
    return Message(role=Role.ASSISTANT, content=content, tool_calls=calls)
