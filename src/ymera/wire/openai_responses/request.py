"""Requests from our callers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from ymera.core.chat import (
    ChatRequest,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    ToolSpec,
    Verbatim,
)
from ymera.core.model import Dialect
from ymera.wire.openai_responses.items import ItemWire, messages_of
from ymera.wire.openai_responses.tools import LOCAL_SHELL, ToolWire, flat_name, tool_specs
from ymera.wire.problems import (
    given,
    invalid,
    not_json,
    schema_of,
    unsupported,
    wrong_shape,
)

__all__ = ["decode_request"]

_CHOICES = ("auto", "none", "required")
_NOTHING_STORED = "Nothing is stored here: send the whole conversation in `input`."
_REFUSED = {
    "previous_response_id": ("going on from a stored response", _NOTHING_STORED),
    "conversation": ("a stored conversation", _NOTHING_STORED),
    "prompt": ("a stored prompt", "Send its text in `instructions` and `input`."),
    "background": ("answering in the background", "Leave `background` out, or set false."),
    "context_management": ("compaction by the server", "Leave `context_management` out."),
}
_LOGPROBS = "message.output_text.logprobs"
_PASSED_ON = ("metadata",)
"""Fields that mean the same in the chat dialect; this one carries an agent's parameters."""

_MISSED_BY_NOBODY = frozenset(
    {"background", "client_metadata", "prompt_cache_key", "prompt_cache_retention"}
    | {"safety_identifier", "store", "stream_options", "truncation", "user"}
)
"""Fields about the vendor's own store, caches and accounts, or refused when they ask for more."""

_WANTED = "`model` and `input`"


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _Format(msgspec.Struct):
    type: str
    name: str = "answer"
    schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: list[_Choice] | None = None


_TokenCount = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class _Request(msgspec.Struct):
    model: str
    input: str | list[ItemWire] | None = None
    instructions: str | None = None
    stream: bool | None = None
    tools: list[ToolWire] | None = None
    tool_choice: str | _Choice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: _TokenCount | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_logprobs: int | None = None
    reasoning: _Reasoning | None = None
    text: _Text | None = None
    include: list[str] | None = None


_request = msgspec.json.Decoder(_Request)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_request(body: bytes) -> ChatRequest:
    """Return the request that a caller sent.

    Fields that have no effect here are told as losses.

    Raises:
        InvalidRequest: not JSON, not UTF-8, or a field missing, of the wrong type or out of range;
            `param` names it.
        Unsupported: a well-formed wish that Ymera cannot fulfil, such as `previous_response_id`.
    """
    try:
        wire = _request.decode(body)
        fields = _fields.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_shape(str(error), wanted=_WANTED) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(_WANTED) from error
    _refuse_unsupported(wire, fields)
    tools = tool_specs(wire.tools or ())
    tools, choice = _choose(wire.tool_choice, tools)
    request = ChatRequest(
        model=wire.model,
        messages=_messages(wire),
        tools=tools,
        tool_choice=choice,
        response_format=_response_format(wire.text.format if wire.text else None),
        sampling=Sampling(
            temperature=wire.temperature,
            top_p=wire.top_p,
            max_tokens=wire.max_output_tokens,
            reasoning_effort=wire.reasoning.effort if wire.reasoning else None,
        ),
        stream=bool(wire.stream),
        include_usage=True,
        extra={name: fields[name] for name in _PASSED_ON if given(fields.get(name))},
        parallel_tools=wire.parallel_tool_calls,
        losses=_losses(fields),
    )
    verbatim = Verbatim(dialect=Dialect.OPENAI_RESPONSES, fields=fields, decoded=request)
    return msgspec.structs.replace(request, verbatim=verbatim)


def _losses(fields: dict[str, msgspec.Raw]) -> tuple[str, ...]:
    read = {*_Request.__struct_fields__, *_PASSED_ON, *_MISSED_BY_NOBODY}
    lost = sorted(name for name in fields.keys() - read if given(fields[name]))
    return (f"Without effect here: {', '.join(lost)}.",) if lost else ()


def _refuse_unsupported(wire: _Request, fields: dict[str, msgspec.Raw]) -> None:
    for name, (what, hint) in _REFUSED.items():
        if given(fields.get(name)):
            raise unsupported(name, what, hint)
    if wire.top_logprobs:
        raise unsupported("top_logprobs", "returning log probabilities", "Leave it out.")
    if _LOGPROBS in (wire.include or ()):
        raise unsupported("include", f"{_LOGPROBS!r}", "Leave it out of `include`.")


def _messages(wire: _Request) -> tuple[Message, ...]:
    told = (_said(Role.SYSTEM, wire.instructions),) if wire.instructions else ()
    if wire.input is None:
        raise invalid("input", "is missing.", "Add `input`: a text or a list of items.")
    if isinstance(wire.input, str):
        return (*told, _said(Role.USER, wire.input))
    messages = messages_of(wire.input)
    if not messages:
        raise invalid("input", "is empty.", "Send at least one item.")
    return (*told, *messages)


def _said(role: Role, text: str) -> Message:
    return Message(role=role, content=(TextPart(text),) if text else ())


def _choose(
    wire: str | _Choice | None, tools: tuple[ToolSpec, ...]
) -> tuple[tuple[ToolSpec, ...], str | None]:
    """Return the tools that may be used, and which of them must."""
    if wire is None or isinstance(wire, str):
        return tools, _word(wire)
    if wire.type == "allowed_tools":
        allowed = {_chosen(one, tools, "tool_choice.tools") for one in wire.tools or ()}
        return tuple(tool for tool in tools if tool.name in allowed), _word(wire.mode or "auto")
    return tools, _chosen(wire, tools, "tool_choice")


def _word(choice: str | None) -> str | None:
    if choice is not None and choice not in _CHOICES:
        raise invalid("tool_choice", f"is {choice!r}.", f"Use one of: {', '.join(_CHOICES)}.")
    return choice


def _chosen(wire: _Choice, tools: Sequence[ToolSpec], param: str) -> str:
    if wire.type == "local_shell":
        name = LOCAL_SHELL
    elif wire.type in {"function", "custom"} and wire.name:
        name = flat_name(wire.name, wire.namespace)
    else:
        raise unsupported(param, f"choosing a tool of type {wire.type!r}", "Choose a function.")
    if all(tool.name != name for tool in tools):
        raise invalid(param, f"names {name!r}.", "Choose one of `tools`.")
    return name


def _response_format(wire: _Format | None) -> ResponseFormat | None:
    if wire is None or wire.type == "text":
        return None
    if wire.type == "json_object":
        return ResponseFormat()
    if wire.type != "json_schema":
        raise invalid(
            "text.format.type", f"is {wire.type!r}.", "Use text, json_object or json_schema."
        )
    schema = schema_of(wire.schema, "text.format.schema")
    if schema is None:
        raise invalid("text.format.schema", "is missing.", "Send a JSON Schema.")
    return ResponseFormat(schema=schema, name=wire.name, strict=wire.strict)
