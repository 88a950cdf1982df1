"""Chat requests from our callers."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ymera.core.chat import (
    ChatRequest,
    Message,
    Part,
    ReasoningPart,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    ToolCall,
    ToolSpec,
    Verbatim,
)
from ymera.core.model import Dialect
from ymera.wire.ollama.arguments import text_from
from ymera.wire.ollama.images import image_from
from ymera.wire.ollama.shape import decode_body
from ymera.wire.problems import given, invalid, schema_of, unsupported

__all__ = ["EFFORTS", "OPTIONS", "Common", "decode_request", "refuse_unsupported", "request_of"]

_ROLES = {role.value: role for role in Role}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_REFUSED = {
    "logprobs": "token probabilities",
    "top_logprobs": "token probabilities",
    "_debug_render_only": "showing the prompt instead of answering it",
}


class _Function(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw()


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | None = None
    images: list[str] | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _ToolFunction(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()


class _Tool(msgspec.Struct):
    function: _ToolFunction
    type: str | None = None


class _Options(msgspec.Struct):
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_k: int | None = None
    num_predict: Annotated[int, msgspec.Meta(le=2**31 - 1)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], msgspec.Meta(max_length=4)] | None = None


OPTIONS = _Options.__struct_fields__
"""Options that have a name in every dialect; others are for Ollama alone."""


class Common(msgspec.Struct, kw_only=True):
    """What `/api/chat` and `/api/generate` share."""

    model: str
    stream: bool | None = None
    format: msgspec.Raw = msgspec.Raw()
    options: _Options | None = None
    think: bool | str | None = None


class _Request(Common, kw_only=True):
    messages: list[_Message] | None = None
    tools: list[_Tool] | None = None


_request = msgspec.json.Decoder(_Request)
_raw_options = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def decode_request(body: bytes) -> ChatRequest:
    """Return the request that a caller of `/api/chat` sent.

    Fields and options this version does not know are kept in `extra`, as they were written.

    Raises:
        InvalidRequest: not JSON, not UTF-8, or a field missing, of the wrong type or out of range;
            `param` names it.
        Unsupported: a well-formed wish that Ymera cannot fulfil.
    """
    wire, fields = decode_body(_request, body)
    refuse_unsupported(fields, _REFUSED)
    if not wire.messages:
        raise invalid("messages", "is empty.", "Send a message; models are loaded when asked.")
    ids = _CallIds(wire.messages)
    messages = tuple(_message(index, one, ids) for index, one in enumerate(wire.messages))
    tools = tuple(_tool(index, tool) for index, tool in enumerate(wire.tools or ()))
    return request_of(wire, fields, messages, tools)


def request_of(
    wire: Common,
    fields: dict[str, msgspec.Raw],
    messages: tuple[Message, ...],
    tools: tuple[ToolSpec, ...] = (),
) -> ChatRequest:
    """Return the request of these parts; `fields` are those of `/api/chat`."""
    options = wire.options or _Options()
    extra = {name: raw for name, raw in fields.items() if name not in _Request.__struct_fields__}
    if own := _own_options(fields):
        extra["options"] = own
    request = ChatRequest(
        model=wire.model,
        messages=messages,
        tools=tools,
        response_format=_format(wire.format),
        sampling=Sampling(
            temperature=options.temperature,
            top_p=options.top_p,
            # Ollama writes "no bound" as a number that bounds nothing.
            top_k=_above_zero(options.top_k),
            max_tokens=_above_zero(options.num_predict),
            stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
            seed=options.seed,
            reasoning_effort=_effort(wire.think),
        ),
        stream=wire.stream is not False,
        include_usage=True,
        extra=extra,
    )
    verbatim = Verbatim(dialect=Dialect.OLLAMA, fields=fields, decoded=request)
    return msgspec.structs.replace(request, verbatim=verbatim)


def refuse_unsupported(fields: dict[str, msgspec.Raw], refused: dict[str, str]) -> None:
    """Refuse fields that ask for something Ymera cannot do.

    Args:
        fields: of the body.
        refused: what each such field asks for, by its name.

    Raises:
        Unsupported: one of them is set.
    """
    for name, what in refused.items():
        raw = fields.get(name)
        if given(raw) and raw != msgspec.Raw(b"0"):
            raise unsupported(name, what, f"Leave `{name}` out.")


class _CallIds:
    """Gives calls without an id one, and finds the call that a result without one answers.

    The ids count from the first message on, so that a conversation that grows keeps them.
    """

    def __init__(self, messages: list[_Message]) -> None:
        given = {call.id for one in messages for call in one.tool_calls or () if call.id}
        self._taken = given | {one.tool_call_id for one in messages if one.tool_call_id}
        self._open: list[tuple[str, str]] = []  # (id, name) of calls not answered yet
        self._count = 0

    def of_calls(self, calls: list[_Call]) -> list[str]:
        """Return the ids of an assistant's calls."""
        ids = [call.id or self._fresh() for call in calls]
        names = (call.function.name for call in calls)
        if calls:
            self._open = list(zip(ids, names, strict=True))
        return ids

    def of_result(self, name: str | None, id: str | None) -> tuple[str, str | None]:
        """Return id and tool of the call that a result answers: by id, by name, or in order."""
        found = next(
            (call for call in self._open if (id or call[0]) == call[0] and name in {None, call[1]}),
            None,
        )
        if found is None:
            return id or self._fresh(), name
        self._open.remove(found)
        return found

    def _fresh(self) -> str:
        while True:
            fresh = f"call_{self._count}"
            self._count += 1
            if fresh not in self._taken:
                return fresh


def _message(index: int, wire: _Message, ids: _CallIds) -> Message:
    where = f"messages[{index}]"
    role = _ROLES.get(wire.role)
    if role is None:
        raise invalid(f"{where}.role", f"is {wire.role!r}.", f"Use one of: {', '.join(_ROLES)}.")
    parts: list[Part] = [ReasoningPart(text=wire.thinking)] if wire.thinking else []
    parts += [
        image_from(image, f"{where}.images[{at}]") for at, image in enumerate(wire.images or ())
    ]
    if wire.content:
        parts.append(TextPart(wire.content))
    if role is Role.TOOL:
        id, name = ids.of_result(wire.tool_name, wire.tool_call_id)
        return Message(role=role, content=tuple(parts), tool_call_id=id, name=name)
    calls = wire.tool_calls or []
    return Message(
        role=role,
        content=tuple(parts),
        tool_calls=tuple(
            ToolCall(
                id=id,
                name=call.function.name,
                arguments=_arguments(call.function.arguments, f"{where}.tool_calls[{at}]"),
            )
            for at, (id, call) in enumerate(zip(ids.of_calls(calls), calls, strict=True))
        ),
    )


def _arguments(raw: msgspec.Raw, where: str) -> str:
    try:
        return text_from(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid(
            f"{where}.function.arguments", "is not a JSON object.", "Send the arguments by name."
        ) from None


def _tool(index: int, wire: _Tool) -> ToolSpec:
    where = f"tools[{index}]"
    if wire.type not in {None, "function"}:
        raise unsupported(f"{where}.type", f"a tool of type {wire.type!r}", "Use `function`.")
    return ToolSpec(
        name=wire.function.name,
        description=wire.function.description,
        parameters=schema_of(wire.function.parameters, f"{where}.function.parameters"),
    )


def _format(raw: msgspec.Raw) -> ResponseFormat | None:
    held = bytes(raw)
    if held in {b"", b"null", b'""'}:
        return None
    if held == b'"json"':
        return ResponseFormat()
    if held.startswith(b"{"):
        return ResponseFormat(schema=raw)
    raise invalid("format", "is neither json nor a schema.", 'Send "json" or a JSON Schema.')


def _effort(think: bool | str | None) -> str | None:
    """Thinking that is only switched on is as much of it as vendors take for usual."""
    if think is None or think is True:
        return "medium" if think else None
    word = "none" if think is False else think.lower()
    if word not in EFFORTS:
        raise invalid("think", f"is {think!r}.", f"Send true, false or {', '.join(EFFORTS[1:])}.")
    return word


def _above_zero(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None


def _own_options(fields: dict[str, msgspec.Raw]) -> msgspec.Raw | None:
    """Return the options that only Ollama knows, encoded; None when there are none."""
    if "options" not in fields:
        return None
    given = _raw_options.decode(fields["options"]) or {}
    own = {name: raw for name, raw in given.items() if name not in OPTIONS}
    return msgspec.Raw(msgspec.json.encode(own)) if own else None
