"""Tools: what a caller offers, what the model is offered instead, and the way back.

The model is offered functions only. A freeform (custom) tool becomes a function of one text, a tool
in a namespace gets a name of both, the local shell becomes a function; calls are given back in the
shape the caller offered the tool in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from hashlib import blake2s

import msgspec

from ymera.core.chat import ChatRequest, ToolCall, ToolSpec
from ymera.core.model import Dialect
from ymera.wire.problems import invalid, schema_of, unsupported

__all__ = [
    "LOCAL_SHELL",
    "FormatWire",
    "Kind",
    "Offered",
    "ToolWire",
    "flat_name",
    "freeform_arguments",
    "freeform_input",
    "offered_tools",
    "shell_action",
    "tool_specs",
]

LOCAL_SHELL = "local_shell"
"""What the function is called that stands for the tool of that type, which has no name."""

_MAX_NAME = 64
_HOSTED_HINTS = {
    "web_search": 'In Codex, set web_search = "disabled" (`ymera connect codex` does).',
    "web_search_preview": "Leave it out, or ask with a tool of Ymera's (x-ymera-tools).",
}
_HOSTED_HINT = "Tools that run at OpenAI do not exist here: offer function or custom tools."


class Kind(Enum):
    """In which shape a call is given back."""

    FUNCTION = "function_call"
    CUSTOM = "custom_tool_call"
    SHELL = "local_shell_call"


class FormatWire(msgspec.Struct):
    """What the text for a freeform tool must look like."""

    type: str = "text"
    syntax: str | None = None
    definition: str | None = None


class ToolWire(msgspec.Struct):
    """One entry of `tools`."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    format: FormatWire | None = None
    tools: list[ToolWire] | None = None


class Offered(msgspec.Struct, frozen=True):
    """How the caller knows a tool."""

    kind: Kind
    name: str
    namespace: str | None = None


_tools = msgspec.json.Decoder(list[ToolWire])


def flat_name(name: str, namespace: str | None) -> str:
    """Return the one name a model knows a tool by."""
    if not namespace:
        return name
    full = f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"
    if len(full) <= _MAX_NAME:
        return full
    mark = blake2s(full.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{full[: _MAX_NAME - 9]}_{mark}"


def tool_specs(tools: Sequence[ToolWire]) -> tuple[ToolSpec, ...]:
    """Return what the model is offered.

    Raises:
        InvalidRequest: a tool lacks its name, or its parameters are no schema.
        Unsupported: a tool that runs at the vendor.
    """
    return tuple(_specs(tools, "tools", None))


def _specs(tools: Sequence[ToolWire], where: str, namespace: str | None) -> Iterable[ToolSpec]:
    for index, tool in enumerate(tools):
        at = f"{where}[{index}]"
        match tool.type:
            case "namespace" if namespace is None:
                yield from _specs(tool.tools or (), f"{at}.tools", _name(tool, at))
            case "function":
                yield ToolSpec(
                    name=flat_name(_name(tool, at), namespace),
                    description=tool.description,
                    parameters=schema_of(tool.parameters, f"{at}.parameters"),
                    strict=tool.strict,
                )
            case "custom":
                yield _freeform(tool, flat_name(_name(tool, at), namespace))
            case "local_shell":
                yield _SHELL_SPEC
            case hosted:
                hint = _HOSTED_HINTS.get(hosted, _HOSTED_HINT)
                raise unsupported(f"{at}.type", f"a tool of type {hosted!r}", hint)


def _name(tool: ToolWire, at: str) -> str:
    if not tool.name:
        raise invalid(f"{at}.name", "is missing.", "Name the tool.")
    return tool.name


_INPUT_SCHEMA = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string","description":'
    b'"The whole text for the tool, exactly as it is to be used."}},'
    b'"required":["input"],"additionalProperties":false}'
)

_SHELL_SPEC = ToolSpec(
    name=LOCAL_SHELL,
    description="Runs a command on the user's machine and returns what it printed.",
    parameters=msgspec.Raw(
        b'{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},'
        b'"description":"Program and arguments."},"workdir":{"type":"string"},'
        b'"timeout_ms":{"type":"integer"}},"required":["command"]}'
    ),
)


def _freeform(tool: ToolWire, name: str) -> ToolSpec:
    said = [tool.description] if tool.description else []
    if tool.format is not None and tool.format.definition:
        syntax = tool.format.syntax or "given"
        said.append(f"`input` must follow this {syntax} grammar:\n{tool.format.definition}")
    return ToolSpec(name=name, description="\n\n".join(said) or None, parameters=_INPUT_SCHEMA)


def offered_tools(request: ChatRequest) -> Mapping[str, Offered]:
    """Return how the caller knows the tools, by the name the model knows them by.

    Only tools that are no plain functions are in it.
    """
    verbatim = request.verbatim
    if verbatim is None or verbatim.dialect is not Dialect.OPENAI_RESPONSES:
        return {}
    raw = verbatim.fields.get("tools")
    if raw is None or bytes(raw) == b"null":
        return {}
    return dict(_offered(_tools.decode(raw), None))


def _offered(tools: Iterable[ToolWire], namespace: str | None) -> Iterable[tuple[str, Offered]]:
    for tool in tools:
        name = tool.name or ""
        if tool.type == "namespace":
            yield from _offered(tool.tools or (), name)
        elif tool.type == "local_shell":
            yield LOCAL_SHELL, Offered(Kind.SHELL, LOCAL_SHELL)
        elif tool.type == "custom":
            yield flat_name(name, namespace), Offered(Kind.CUSTOM, name, namespace)
        elif namespace is not None:
            yield flat_name(name, namespace), Offered(Kind.FUNCTION, name, namespace)


def freeform_arguments(text: str) -> str:
    """Return the arguments that stand for a freeform call of the past."""
    return msgspec.json.encode({"input": text}).decode()


def freeform_input(arguments: str) -> str:
    """Return the text of a freeform call; what is no such object is taken as the text itself."""
    try:
        value: object = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return arguments
    match value:
        case {"input": str(text)} | str(text):
            return text
    return arguments


class _Shell(msgspec.Struct):
    command: list[str]
    workdir: str | None = None
    timeout_ms: int | None = None


_shell = msgspec.json.Decoder(_Shell)


def shell_action(call: ToolCall) -> dict[str, object] | None:
    """Return what a call of the local shell does; None when its arguments say no command."""
    try:
        wanted = _shell.decode(call.arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return {
        "type": "exec",
        "command": wanted.command,
        "env": {},
        "timeout_ms": wanted.timeout_ms,
        "user": None,
        "working_directory": wanted.workdir,
    }
