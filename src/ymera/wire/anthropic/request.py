"""Requests from our callers: everything but the turns of the conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from ymera.core.chat import ChatRequest, ResponseFormat, Sampling, ToolSpec, Verbatim
from ymera.core.model import Dialect
from ymera.wire.anthropic.blocks import Block, WireMessage
from ymera.wire.anthropic.turns import messages_of, system_of
from ymera.wire.problems import given, invalid, not_json, schema_of, unsupported, wrong_shape

__all__ = ["decode_request"]

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_REFUSED = {
    "mcp_servers": "a tool server that the upstream would call",
    "container": "a container of the vendor's",
}


class _Tool(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class _ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


_TokenCount = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: _TokenCount | None = None


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw = msgspec.Raw()


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Request(msgspec.Struct):
    model: str
    messages: Annotated[list[WireMessage], msgspec.Meta(min_length=1)]
    max_tokens: _TokenCount | None = None
    system: str | list[Block] | None = None
    stream: bool | None = None
    temperature: _Share | None = None
    top_p: _Share | None = None
    top_k: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    stop_sequences: list[str] | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    """Where structured output stood before `output_config` had it."""
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    metadata: dict[str, msgspec.Raw] | None = None


_request = msgspec.json.Decoder(_Request)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_request(body: bytes) -> ChatRequest:
    """Return the request that a caller sent.

    `max_tokens`, which the vendor demands, may be absent. Fields this version does not know are
    kept in `extra`, as they were written.

    Raises:
        InvalidRequest: not JSON, not UTF-8, or a field missing, of the wrong type or out of range;
            `param` names it.
        Unsupported: a well-formed wish that Ymera cannot fulfil, such as a `document` block or a
            tool that the vendor runs.
    """
    try:
        wire = _request.decode(body)
        fields = _fields.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_shape(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json() from error
    extra = {name: raw for name, raw in fields.items() if name not in _Request.__struct_fields__}
    # Whose request it is, the vendor may know. What else stands here is for an agent of ours.
    if parameters := {k: raw for k, raw in (wire.metadata or {}).items() if k != "user_id"}:
        extra["metadata"] = msgspec.Raw(msgspec.json.encode(parameters))
    for name, what in _REFUSED.items():
        if given(extra.get(name)):
            raise unsupported(name, what, f"Leave `{name}` out; tools go into `tools`.")
    tools = tuple(_tool(index, tool) for index, tool in enumerate(wire.tools or ()))
    choice = wire.tool_choice
    parallel = choice.disable_parallel_tool_use if choice else None
    request = ChatRequest(
        model=wire.model,
        messages=(*system_of(wire.system), *messages_of(wire.messages)),
        tools=tools,
        tool_choice=_tool_choice(choice, tools),
        response_format=_response_format(wire),
        sampling=_sampling(wire),
        stream=bool(wire.stream),
        include_usage=bool(wire.stream),  # this dialect's streams always tell
        extra=extra,
        parallel_tools=None if parallel is None else not parallel,
    )
    verbatim = Verbatim(dialect=Dialect.ANTHROPIC, fields=fields, decoded=request)
    return msgspec.structs.replace(request, verbatim=verbatim)


def _sampling(wire: _Request) -> Sampling:
    effort = wire.output_config.effort if wire.output_config else None
    thinking = wire.thinking
    if thinking is not None and thinking.type == "disabled":
        effort = "none"
    return Sampling(
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        max_tokens=wire.max_tokens,
        stop=tuple(wire.stop_sequences or ()),
        reasoning_effort=effort,
        reasoning_tokens=_budget(thinking) if thinking else None,
    )


def _budget(thinking: _Thinking) -> int | None:
    if thinking.type == "enabled" and thinking.budget_tokens is None:
        raise invalid(
            "thinking.budget_tokens", "is missing.", "Say how many tokens, or `adaptive`."
        )
    return thinking.budget_tokens if thinking.type == "enabled" else None


def _tool(index: int, wire: _Tool) -> ToolSpec:
    where = f"tools[{index}]"
    if wire.type not in {None, "custom"}:
        raise unsupported(
            f"{where}.type", f"a tool of type {wire.type!r}", "Send tools that the caller runs."
        )
    if not wire.name:
        raise invalid(f"{where}.name", "is missing.", "Name the tool.")
    return ToolSpec(
        name=wire.name,
        description=wire.description,
        parameters=schema_of(wire.input_schema, f"{where}.input_schema"),
        strict=wire.strict,
    )


def _tool_choice(wire: _ToolChoice | None, tools: Sequence[ToolSpec]) -> str | None:
    if wire is None:
        return None
    if wire.type != "tool":
        if wire.type not in _CHOICES:
            words = ", ".join((*_CHOICES, "tool"))
            raise invalid("tool_choice.type", f"is {wire.type!r}.", f"Use one of: {words}.")
        return _CHOICES[wire.type]
    if wire.name is None:
        raise invalid("tool_choice.name", "is missing.", "Name one of `tools`.")
    if all(tool.name != wire.name for tool in tools):
        raise invalid("tool_choice.name", f"is {wire.name!r}.", "Choose one of `tools`.")
    return wire.name


def _response_format(wire: _Request) -> ResponseFormat | None:
    found, param = wire.output_format, "output_format"
    if wire.output_config is not None and wire.output_config.format is not None:
        found, param = wire.output_config.format, "output_config.format"
    if found is None:
        return None
    if found.type != "json_schema":
        raise invalid(f"{param}.type", f"is {found.type!r}.", "Use json_schema.")
    schema = schema_of(found.schema, f"{param}.schema")
    if schema is None:
        raise invalid(f"{param}.schema", "is missing.", "Send a JSON Schema.")
    return ResponseFormat(schema=schema)
