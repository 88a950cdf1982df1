"""What simulated models say: an echo, a script from a file, or the embedded model's words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, Role, ToolCall, ToolSpec, prompt_text
from ymera.core.errors import ConfigError
from ymera.core.usage import Usage
from ymera.testing.fault_plan import json_lines
from ymera.testing.fitting import fitting_value
from ymera.testing.scripted import useful_echo

__all__ = ["Answers", "ScriptLine", "embedded_answers", "obliging_echo", "script_answers"]

Answers = Callable[[ChatRequest], ChatAnswer | Awaitable[ChatAnswer]]
"""Makes the answer to one request; the request's model is the name the provider knows it by."""


def obliging_echo(request: ChatRequest) -> ChatAnswer:
    """Return an echo, or a call of the tool that the request demands.

    A tool is demanded by `tool_choice`, or by a last turn of the user that says to call it, as in
    "Call add." The call's arguments are made up from the tool's schema.
    """
    tool = _demanded(request)
    echo = useful_echo(request)
    if tool is None:
        return echo
    arguments = msgspec.json.encode(_sample(tool)).decode()
    call = ToolCall(id="call_sim_1", name=tool.name, arguments=arguments)
    return msgspec.structs.replace(
        echo, text="", tool_calls=(call,), finish_reason=FinishReason.TOOL_CALLS
    )


def _demanded(request: ChatRequest) -> ToolSpec | None:
    choice = request.tool_choice
    if choice == "none" or request.messages[-1].role is not Role.USER:
        return None  # after a result it says something
    said = re.findall(r"\bcall (\w+)", prompt_text(request), re.IGNORECASE)
    named = (t for t in request.tools if t.name in said or choice in {"required", t.name})
    return next(named, None)


def _sample(tool: ToolSpec) -> object:
    return {} if tool.parameters is None else fitting_value(bytes(tool.parameters))


class ScriptedCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool call of a script; its arguments are written as an object."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    id: str | None = None


class ScriptLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a script of answers.

    Attributes:
        match: regular expression that the last user turn must hold; empty matches everything.
        model: the model's name at its provider; `*` and `?` stand for anything.
        answer: the text.
        reasoning: visible reasoning in front of it.
        tool_calls: calls to make.
        finish_reason: why it stopped; by default what follows from the rest.
        input_tokens, output_tokens: the usage; counted in words when left out.
        times: so often; None for ever.
    """

    match: str = ""
    model: str = "*"
    answer: str = ""
    reasoning: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    finish_reason: FinishReason | None = None
    input_tokens: Annotated[int, Meta(ge=0)] | None = None
    output_tokens: Annotated[int, Meta(ge=0)] | None = None
    times: Annotated[int, Meta(ge=1)] | None = None


def script_answers(lines: Iterable[ScriptLine] | Path) -> Answers:
    """Return answers from a script; whatever no line matches is echoed.

    Args:
        lines: the first one that matches and is not used up answers. A path is read as JSON
            lines.

    Raises:
        ConfigError: the file cannot be read, or a line is wrong.
    """
    rows = json_lines(lines, ScriptLine) if isinstance(lines, Path) else list(lines)
    try:
        patterns = [re.compile(row.match, re.IGNORECASE | re.DOTALL) for row in rows]
    except re.error as error:
        raise ConfigError(
            f"A script's match is no regular expression: {error}.", hint="See docs/simulator.md."
        ) from error
    used = [0] * len(rows)

    def answer(request: ChatRequest) -> ChatAnswer:
        prompt = prompt_text(request)
        for index, row in enumerate(rows):
            if row.times is not None and used[index] >= row.times:
                continue
            if fnmatchcase(request.model, row.model) and patterns[index].search(prompt):
                used[index] += 1
                return _scripted(row, request)
        return obliging_echo(request)

    return answer


def _scripted(row: ScriptLine, request: ChatRequest) -> ChatAnswer:
    calls = tuple(
        ToolCall(
            id=call.id or f"call_sim_{number}",
            name=call.name,
            arguments=bytes(call.arguments).decode(),
        )
        for number, call in enumerate(row.tool_calls, 1)
    )
    words = sum(len(message.text.split()) for message in request.messages)
    said = len(row.answer.split()) + len(row.reasoning.split()) + len(calls)
    tokens_in = max(words, 1) if row.input_tokens is None else row.input_tokens
    tokens_out = max(said, 1) if row.output_tokens is None else row.output_tokens
    stopped = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
    return ChatAnswer(
        text=row.answer,
        reasoning=row.reasoning,
        tool_calls=calls,
        finish_reason=row.finish_reason or stopped,
        usage=Usage(input_tokens=tokens_in, output_tokens=tokens_out),
    )


@asynccontextmanager
async def embedded_answers(model: str | None = None) -> AsyncIterator[Answers]:
    """Yield answers of the embedded model, whatever model the request names.

    Args:
        model: name of an embedded model; default: the setting `local.model`.

    Raises:
        UnknownModel: there is none of that name.
    """
    from ymera.app import App
    from ymera.core.access import LOCAL_OWNER

    async with App.create() as app:
        name = f"local/{(model or app.settings.local.model).removeprefix('local/')}"
        app.catalog.get(name)

        async def answer(request: ChatRequest) -> ChatAnswer:
            asked = msgspec.structs.replace(
                request,
                model=name,
                stream=False,
                verbatim=None,
                hints=msgspec.structs.replace(request.hints, no_store=True, fresh=True),
            )
            reply = await app.gateway.handle(asked, LOCAL_OWNER)
            return await reply.answer()

        yield answer
