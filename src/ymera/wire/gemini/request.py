"""Chat requests from our callers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ymera.core.chat import ChatRequest, ResponseFormat, Sampling, ToolSpec, Verbatim
from ymera.core.model import Dialect
from ymera.wire.gemini.fields import (
    KNOWN_FIELDS,
    CallingConfig,
    Config,
    Request,
    not_readable,
    read_declarations,
    read_request,
)
from ymera.wire.gemini.schema import as_json_schema
from ymera.wire.gemini.turns import decode_messages
from ymera.wire.problems import invalid, schema_of, unsupported

__all__ = ["decode_request", "decode_request_for"]

_NO_TOOLS = msgspec.Raw(b"[]")
_CHOICES = {
    "MODE_UNSPECIFIED": None,
    "AUTO": "auto",
    "VALIDATED": "auto",
    "NONE": "none",
    "ANY": "required",
}


def decode_request(body: bytes) -> ChatRequest:
    """Return the request that a caller sent whose body names the model; see `decode_request_for`.

    Raises:
        InvalidRequest, Unsupported: as `decode_request_for`; or `model` is missing.
    """
    return _decoded(body, None, stream=False)


def decode_request_for(body: bytes, model: str, stream: bool) -> ChatRequest:
    """Return the request that a caller sent; in this dialect the path says part of it.

    Fields this version does not know are kept in `extra`, as they were written.

    Args:
        body: the request's body.
        model: of the path, with or without `models/`.
        stream: whether the path asks for `streamGenerateContent`.

    Raises:
        InvalidRequest: not JSON, not UTF-8, or a field missing, of the wrong type or out of range;
            `param` names it.
        Unsupported: a well-formed wish that Ymera cannot fulfil, such as a tool of the vendor's.
    """
    return _decoded(body, model, stream=stream)


def _decoded(body: bytes, model: str | None, *, stream: bool) -> ChatRequest:
    wire, fields = read_request(body)
    model = model or wire.model
    if not model:
        raise invalid("model", "is missing.", "Name the model in the path.")
    try:
        request = _request(wire, fields, model, stream=stream)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_readable() from error  # inside a field that is passed on as it is written
    verbatim = Verbatim(dialect=Dialect.GEMINI, fields=fields, decoded=request)
    return msgspec.structs.replace(request, verbatim=verbatim)


def _request(
    wire: Request, fields: dict[str, msgspec.Raw], model: str, *, stream: bool
) -> ChatRequest:
    config = wire.generation_config or Config()
    _refuse_unsupported(wire, config)
    tools = tuple(_tools(wire))
    calling = wire.tool_config.function_calling_config if wire.tool_config else None
    choice, tools = _tool_choice(calling or CallingConfig(), tools)
    return ChatRequest(
        model=model.removeprefix("models/"),
        messages=decode_messages(wire),
        tools=tools,
        tool_choice=choice,
        response_format=_response_format(config),
        sampling=_sampling(config),
        stream=stream,
        include_usage=True,
        extra={name: raw for name, raw in fields.items() if name not in KNOWN_FIELDS},
    )


def _refuse_unsupported(wire: Request, config: Config) -> None:
    if wire.cached_content:
        raise unsupported("cachedContent", "a prompt stored with the vendor", "Send it whole.")
    where = "generationConfig"
    if (config.candidate_count or 1) != 1:
        raise unsupported(
            f"{where}.candidateCount",
            f"asking for {config.candidate_count} answers at once",
            "Leave it out, or set 1.",
        )
    if any(kind.upper() != "TEXT" for kind in config.response_modalities or ()):
        raise unsupported(f"{where}.responseModalities", "an answer that is no text", "Use TEXT.")


def _tools(wire: Request) -> Iterator[ToolSpec]:
    for at, tool in enumerate(wire.tools or ()):
        where = f"tools[{at}]"
        for name in tool:
            if name != "functionDeclarations":
                hint = "Declare functions instead."
                raise unsupported(f"{where}.{name}", "a tool that the vendor runs", hint)
        where += ".functionDeclarations"
        declared = read_declarations(tool.get("functionDeclarations", _NO_TOOLS), where)
        for index, each in enumerate(declared):
            place = f"{where}[{index}].parameters"
            schema = _schema(each.parameters, each.parameters_json_schema, place)
            yield ToolSpec(name=each.name, description=each.description, parameters=schema)


def _schema(own: msgspec.Raw, plain: msgspec.Raw, where: str) -> msgspec.Raw | None:
    """Return the schema, which may stand there in the vendor's form or as JSON Schema."""
    if (schema := schema_of(plain, where)) is not None:
        return schema
    schema = schema_of(own, where)
    return None if schema is None else as_json_schema(schema)


def _tool_choice(
    wire: CallingConfig, tools: tuple[ToolSpec, ...]
) -> tuple[str | None, tuple[ToolSpec, ...]]:
    """Return the choice, and the tools that may be called: a list of names narrows them."""
    where = "toolConfig.functionCallingConfig"
    if wire.stream_function_call_arguments:
        raise unsupported(
            f"{where}.streamFunctionCallArguments", "a call in pieces", "Leave it out."
        )
    mode = (wire.mode or "MODE_UNSPECIFIED").upper()
    if mode not in _CHOICES:
        raise invalid(f"{where}.mode", f"is {wire.mode!r}.", "Use AUTO, ANY or NONE.")
    allowed = wire.allowed_function_names or ()
    unknown = next((name for name in allowed if all(name != tool.name for tool in tools)), None)
    if unknown is not None:
        raise invalid(f"{where}.allowedFunctionNames", f"names {unknown!r}.", "Declare it.")
    if not allowed or mode not in {"ANY", "VALIDATED"}:
        return _CHOICES[mode], tools
    if mode == "ANY" and len(allowed) == 1:
        return allowed[0], tools
    return _CHOICES[mode], tuple(tool for tool in tools if tool.name in allowed)


def _response_format(config: Config) -> ResponseFormat | None:
    kind = (config.response_mime_type or "text/plain").lower()
    if kind == "text/plain":
        return None
    if kind != "application/json":
        raise unsupported(
            "generationConfig.responseMimeType", f"{kind!r}", "Use text/plain or application/json."
        )
    where = "generationConfig.responseSchema"
    schema = _schema(config.response_schema, config.response_json_schema, where)
    return ResponseFormat(schema=schema)


def _sampling(config: Config) -> Sampling:
    thinking = config.thinking_config
    budget = thinking.thinking_budget if thinking else None
    level = thinking.thinking_level if thinking else None
    effort = None if level in {None, "THINKING_LEVEL_UNSPECIFIED"} else (level or "").lower()
    if budget == 0:
        effort = "none"
    return Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=None if config.top_k is None else int(config.top_k),
        max_tokens=config.max_output_tokens,
        stop=tuple(config.stop_sequences or ()),
        seed=config.seed,
        reasoning_effort=effort or None,
        reasoning_tokens=budget if budget and budget > 0 else None,
    )
