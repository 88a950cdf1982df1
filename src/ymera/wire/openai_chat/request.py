"""Chat requests from our callers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
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
from ymera.wire.problems import given, invalid, not_json, schema_of, unsupported, wrong_shape

__all__ = ["TOOL_CHOICES", "decode_request"]

_ROLES = {role.value: role for role in Role} | {"developer": Role.SYSTEM}
TOOL_CHOICES = ("auto", "none", "required")

_REFUSED = {"audio": "audio output", "functions": "the old `functions` field"}


class _ImageURL(msgspec.Struct):
    url: str
    detail: str | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    image_url: _ImageURL | str | None = None


class _Function(msgspec.Struct):
    name: str
    arguments: str = ""


class _Call(msgspec.Struct):
    id: str
    function: _Function


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None


class _ToolFunction(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _ToolFunction | None = None


class _ChosenName(msgspec.Struct):
    name: str


class _Chosen(msgspec.Struct):
    function: _ChosenName


class _Schema(msgspec.Struct):
    schema: msgspec.Raw = msgspec.Raw()
    name: str = "answer"
    strict: bool | None = None


class _Format(msgspec.Struct):
    type: str
    json_schema: _Schema | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


_TokenCount = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_Stops = Annotated[list[str], msgspec.Meta(max_length=4)]


class _Request(msgspec.Struct):
    model: str
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Chosen | None = None
    response_format: _Format | None = None
    max_tokens: _TokenCount | None = None
    max_completion_tokens: _TokenCount | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    stop: str | _Stops | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None
    seed: int | None = None
    n: int | None = None


_request = msgspec.json.Decoder(_Request)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_request(body: bytes) -> ChatRequest:
    """Return the request that a caller sent.

    Fields this version does not know are kept in `extra`, as they were written.

    Raises:
        InvalidRequest: not JSON, not UTF-8, or a field missing, of the wrong type or out of range;
            `param` names it.
        Unsupported: a well-formed wish that Ymera cannot fulfil, such as `n` above 1.
    """
    try:
        wire = _request.decode(body)
        fields = _fields.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_shape(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json() from error
    extra = {name: raw for name, raw in fields.items() if name not in _Request.__struct_fields__}
    _refuse_unsupported(wire, extra)
    tools = tuple(_tool(index, tool) for index, tool in enumerate(wire.tools or ()))
    request = ChatRequest(
        model=wire.model,
        messages=tuple(_message(index, one) for index, one in enumerate(wire.messages)),
        tools=tools,
        tool_choice=_tool_choice(wire.tool_choice, tools),
        response_format=_response_format(wire.response_format),
        sampling=Sampling(
            temperature=wire.temperature,
            top_p=wire.top_p,
            max_tokens=wire.max_completion_tokens or wire.max_tokens,
            stop=(wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ()),
            seed=wire.seed,
            reasoning_effort=wire.reasoning_effort,
        ),
        stream=bool(wire.stream),
        include_usage=bool(wire.stream_options and wire.stream_options.include_usage),
        extra=extra,
        parallel_tools=wire.parallel_tool_calls,
    )
    verbatim = Verbatim(dialect=Dialect.OPENAI_CHAT, fields=fields, decoded=request)
    return msgspec.structs.replace(request, verbatim=verbatim)


def _refuse_unsupported(wire: _Request, extra: dict[str, msgspec.Raw]) -> None:
    if wire.n is not None and wire.n != 1:
        raise unsupported("n", f"asking for {wire.n} answers at once", "Leave `n` out, or set 1.")
    for name, what in _REFUSED.items():
        if given(extra.get(name)):
            raise unsupported(name, what, f"Leave `{name}` out; tools go into `tools`.")


def _message(index: int, wire: _Message) -> Message:
    where = f"messages[{index}]"
    role = _ROLES.get(wire.role)
    if role is None:
        raise invalid(f"{where}.role", f"is {wire.role!r}.", f"Use one of: {', '.join(_ROLES)}.")
    if role is Role.TOOL and not wire.tool_call_id:
        raise invalid(f"{where}.tool_call_id", "is missing.", "Name the call this answers.")
    content: tuple[Part, ...] = ()
    if isinstance(wire.content, str):
        content = (TextPart(wire.content),) if wire.content else ()
    elif wire.content:
        content = tuple(
            _part(f"{where}.content[{at}]", part) for at, part in enumerate(wire.content)
        )
    if wire.reasoning_content:
        content = (ReasoningPart(text=wire.reasoning_content), *content)
    return Message(
        role=role,
        content=content,
        tool_calls=tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in wire.tool_calls or ()
        ),
        tool_call_id=wire.tool_call_id,
        name=wire.name,
    )


def _part(where: str, wire: _Part) -> Part:
    match wire:
        case _Part(type="text", text=str(text)):
            return TextPart(text)
        case _Part(type="image_url", image_url=str(url)):  # Mistral's short form
            return ImagePart(url=url)
        case _Part(type="image_url", image_url=_ImageURL(url=url, detail=detail)):
            return ImagePart(url=url, detail=detail)
        case _Part(type="text" | "image_url"):
            raise invalid(f"{where}.{wire.type}", "is missing.", f"Add `{wire.type}`.")
    raise unsupported(
        f"{where}.type", f"content of type {wire.type!r}", "Send text and image_url parts."
    )


def _tool(index: int, wire: _Tool) -> ToolSpec:
    where = f"tools[{index}]"
    if wire.type != "function":
        raise unsupported(f"{where}.type", f"a tool of type {wire.type!r}", "Use `function`.")
    function = wire.function
    if function is None:
        raise invalid(f"{where}.function", "is missing.", "Describe the function.")
    return ToolSpec(
        name=function.name,
        description=function.description,
        parameters=schema_of(function.parameters, f"{where}.function.parameters"),
        strict=function.strict,
    )


def _tool_choice(wire: str | _Chosen | None, tools: Sequence[ToolSpec]) -> str | None:
    if isinstance(wire, _Chosen):
        name = wire.function.name
        if all(tool.name != name for tool in tools):
            raise invalid("tool_choice", f"names {name!r}.", "Choose one of `tools`.")
        return name
    if wire is not None and wire not in TOOL_CHOICES:
        raise invalid("tool_choice", f"is {wire!r}.", f"Use one of: {', '.join(TOOL_CHOICES)}.")
    return wire


def _response_format(wire: _Format | None) -> ResponseFormat | None:
    if wire is None or wire.type == "text":
        return None
    if wire.type == "json_object":
        return ResponseFormat()
    if wire.type != "json_schema":
        raise invalid(
            "response_format.type", f"is {wire.type!r}.", "Use text, json_object or json_schema."
        )
    param = "response_format.json_schema"
    schema = schema_of(wire.json_schema.schema, f"{param}.schema") if wire.json_schema else None
    if wire.json_schema is None or schema is None:
        raise invalid(f"{param}.schema", "is missing.", "Send a JSON Schema.")
    return ResponseFormat(schema=schema, name=wire.json_schema.name, strict=wire.json_schema.strict)
