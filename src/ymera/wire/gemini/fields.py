"""The fields of a caller's request that are read, and how what is wrong with them is told."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ymera.core.errors import InvalidRequest
from ymera.wire.gemini.schema import in_camel_case
from ymera.wire.problems import wrong_shape

__all__ = [
    "KNOWN_FIELDS",
    "CallingConfig",
    "Config",
    "Content",
    "Declaration",
    "FilePart",
    "FunctionResponse",
    "Request",
    "WirePart",
    "not_readable",
    "read_declarations",
    "read_request",
]

_NOTHING = msgspec.Raw()
_MOST_STOPS = 5


class Blob(msgspec.Struct, rename="camel"):
    """Bytes in the request, as base64."""

    data: str
    mime_type: str | None = None


class File(msgspec.Struct, rename="camel"):
    """Bytes somewhere else."""

    file_uri: str
    mime_type: str | None = None


class FunctionCall(msgspec.Struct):
    """A call of a tool."""

    name: str
    id: str | None = None
    args: msgspec.Raw = _NOTHING


class FilePart(msgspec.Struct, rename="camel"):
    """An image, by value or by address."""

    inline_data: Blob | None = None
    file_data: File | None = None


class FunctionResponse(msgspec.Struct):
    """A tool's result."""

    name: str = ""
    id: str | None = None
    response: msgspec.Raw = _NOTHING
    parts: list[FilePart] | None = None


class WirePart(FilePart, rename="camel"):
    """One part of a turn."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None


class Content(msgspec.Struct):
    """One turn."""

    parts: list[WirePart] = []
    role: str | None = None


class Declaration(msgspec.Struct, rename="camel"):
    """A function the model may call."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = _NOTHING
    parameters_json_schema: msgspec.Raw = _NOTHING


class CallingConfig(msgspec.Struct, rename="camel"):
    """How tools are to be called."""

    mode: str | None = None
    allowed_function_names: list[str] | None = None
    stream_function_call_arguments: bool | None = None


class ToolConfig(msgspec.Struct, rename="camel"):
    """Holds that."""

    function_calling_config: CallingConfig | None = None


class Thinking(msgspec.Struct, rename="camel"):
    """How much to think."""

    thinking_budget: Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)] | None = None
    thinking_level: str | None = None


_TokenCount = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Config(msgspec.Struct, rename="camel"):
    """How to write the answer."""

    candidate_count: int | None = None
    response_modalities: list[str] | None = None
    max_output_tokens: _TokenCount | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_k: Annotated[float, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    stop_sequences: Annotated[list[str], msgspec.Meta(max_length=_MOST_STOPS)] | None = None
    seed: int | None = None
    response_mime_type: str | None = None
    response_schema: msgspec.Raw = _NOTHING
    response_json_schema: msgspec.Raw = _NOTHING
    thinking_config: Thinking | None = None


class Request(msgspec.Struct, rename="camel"):
    """The body."""

    contents: Annotated[list[Content], msgspec.Meta(min_length=1)]
    model: str | None = None
    system_instruction: Content | None = None
    tools: list[dict[str, msgspec.Raw]] | None = None
    tool_config: ToolConfig | None = None
    generation_config: Config | None = None
    cached_content: str | None = None


KNOWN_FIELDS = frozenset(each.encode_name for each in msgspec.structs.fields(Request))
_HINT = "Send one JSON object with `contents`, encoded as UTF-8."
_request = msgspec.json.Decoder(Request)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_declarations = msgspec.json.Decoder(list[Declaration])


def read_request(body: bytes) -> tuple[Request, dict[str, msgspec.Raw]]:
    """Return the body's fields that are known, and all of them as they were written.

    Raises:
        InvalidRequest: not JSON, not UTF-8, or a field missing, of the wrong type or out of range;
            `param` names it.
    """
    try:
        body = in_camel_case(body)
        return _request.decode(body), _fields.decode(body)
    except msgspec.ValidationError as error:
        problem = wrong_shape(str(error))
        if problem.param is None:
            problem.hint = _HINT
        raise problem from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_readable() from error


def not_readable() -> InvalidRequest:
    """Return the error of a body that cannot be read at all."""
    return InvalidRequest("The request body is not valid JSON in UTF-8.", hint=_HINT)


def read_declarations(raw: msgspec.Raw, where: str) -> list[Declaration]:
    """Return the functions that stand in `raw`.

    Raises:
        InvalidRequest: they are not well-formed; `param` begins with `where`.
    """
    try:
        return _declarations.decode(raw)
    except msgspec.ValidationError as error:
        raise wrong_shape(str(error), where) from error
