"""A tool loop over a scripted model and one tool that answers from a list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from tests.support.engine import FakeTime, Stage, ask
from ymera.core.access import LOCAL_OWNER, Principal
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, ToolCall
from ymera.core.errors import Forbidden
from ymera.core.record import RequestRecord
from ymera.core.route import RoutePlan
from ymera.core.tool import ContextItem, Tool, ToolEffect, ToolResult
from ymera.core.usage import Usage
from ymera.engine.gateway import Gateway
from ymera.engine.tool_loop import ToolAnswer, ToolLoop
from ymera.testing.scripted import ScriptedProvider
from ymera.tools.registry import ToolBox

BIRDS = Tool(
    name="bird_facts",
    description="Tells facts about birds and herons.",
    parameters=msgspec.Raw(
        b'{"type":"object","properties":{"bird":{"type":"string"}},"required":["bird"]}'
    ),
    effect=ToolEffect.READ_ONLY,
)
QUESTION = "How heavy are grey herons, by the bird facts?"


@dataclass
class Facts:
    """A source with one tool that answers from a list."""

    results: dict[str, ToolResult] = field(default_factory=dict)
    offered: Sequence[Tool] = (BIRDS,)
    items: Sequence[ContextItem] = ()
    calls: list[dict[str, object]] = field(default_factory=list)

    async def tools(self) -> Sequence[Tool]:
        return self.offered

    async def call(self, name: str, arguments: Mapping[str, object]) -> ToolResult:
        self.calls.append(dict(arguments))
        return self.results.get(str(arguments.get("bird")), ToolResult(text="No rows."))

    async def context(self, query: str) -> Sequence[ContextItem]:
        return self.items

    async def close(self) -> None:
        return


class Gate:
    def check(self, tool: Tool, arguments: Mapping[str, object], principal: Principal) -> str:
        if tool.effect is ToolEffect.READ_ONLY:
            return "read_only"
        raise Forbidden("It changes something.", hint="Allow it.")


class NoNativeTools(Gateway):
    """A gateway none of whose models calls tools itself."""

    def route(self, request: ChatRequest) -> RoutePlan:
        plan = super().route(request)
        return msgspec.structs.replace(plan, candidates=()) if request.tools else plan


Script = Callable[[ChatRequest], str | ChatAnswer]


@dataclass
class Play:
    """A tool loop over a scripted model.

    Attributes:
        model: the double; `requests` says what it was asked.
        records: what was recorded of each model call.
    """

    loop: ToolLoop
    model: ScriptedProvider
    stage: Stage

    async def answer(self, request: ChatRequest | None = None, **options: object) -> ToolAnswer:
        chosen = {"tools": ("*",), **options}
        try:
            return await self.loop.answer(request or ask(QUESTION), LOCAL_OWNER, **chosen)  # type: ignore[arg-type]
        finally:
            await asyncio.sleep(0)

    @property
    def records(self) -> list[RequestRecord]:
        return self.stage.records.seen


def play(
    answers: Script | Iterable[str | ChatAnswer],
    facts: Facts,
    *,
    native: bool = False,
    time: FakeTime | None = None,
    rate_limit: int = 1000,
    **bounds: int,
) -> Play:
    script = (lambda request, _: answers(request)) if callable(answers) else list(answers)
    model = ScriptedProvider(answers=script)
    stage = Stage(
        {"a": model}, time=time or FakeTime(), max_input_length=50_000, rate_limit=rate_limit
    )
    gateway = stage.gateway()
    if not native:
        gateway.__class__ = NoNativeTools
    loop = ToolLoop(
        gateway=lambda: gateway,
        toolbox=ToolBox({"builtin": facts}, Gate()),
        clock=stage.time.clock(),
        **bounds,
    )
    return Play(loop, model, stage)


def calls(*arguments: object, name: str = "bird_facts") -> ChatAnswer:
    return ChatAnswer(
        text="",
        finish_reason=FinishReason.TOOL_CALLS,
        tool_calls=tuple(
            ToolCall(id=f"c{n}", name=name, arguments=json.dumps(each))
            for n, each in enumerate(arguments)
        ),
        usage=Usage(input_tokens=10, output_tokens=5),
    )


def says(text: str) -> ChatAnswer:
    usage = Usage(input_tokens=20, output_tokens=7)
    return ChatAnswer(text=text, finish_reason=FinishReason.STOP, usage=usage)
