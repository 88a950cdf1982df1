"""Requests to upstreams.

What a caller of the same dialect wrote is sent as it was written, field by field, as long as
nothing of what a field was decoded to has been changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from ymera.core.chat import ChatRequest, ToolSpec, Verbatim
from ymera.core.errors import InvalidRequest
from ymera.core.model import Dialect, Quirk
from ymera.wire.anthropic.upstream_sampling import (
    SAMPLING,
    encode_output_config,
    encode_sampling,
)
from ymera.wire.anthropic.upstream_turns import encode_conversation, replayable
from ymera.wire.codec import EncodedRequest
from ymera.wire.field_names import ALIKE_WITHIN, UNREAD, alike_within, is_named_like, unread

__all__ = ["DEFAULT_MAX_TOKENS", "encode_request"]

DEFAULT_MAX_TOKENS = 8192
"""How long an answer may be where the caller sets no bound: this dialect demands one."""

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_NEVER_FORWARDED = frozenset(
    {"container", "fallbacks", "inference_geo", "mcp_servers", "service_tier", "speed"}
    | {"user_profile_id", "workspace_id"}
)
"""Unknown fields with which a caller could make the upstream call other addresses, buy an extra on
the owner's key, or act in another's name."""
_DECODED = frozenset({"metadata"})
"""Fields that are sent as they were written, though a part of them is kept in `extra`."""
_BETA = frozenset({"context_management"})
"""Fields that the vendor takes beside a header of the caller's only, which is not sent on."""
_DECIDED = _NEVER_FORWARDED | {"model", "messages", "system", "stream", "tools", "max_tokens"}
_IN_TURNS = frozenset(
    {"role", "content", "type", "text", "source", "id", "name", "input", "tool_use_id", "is_error"}
    | {"thinking", "signature", "data"}
)
"""Fields of turns and their blocks in which something is said, or from which it hangs."""
_NULL = msgspec.Raw(b"null")
_CACHE_MARK = b'"cache_control"'

_Fields = dict[str, object]


def encode_request(
    request: ChatRequest, upstream_id: str, flags: frozenset[Quirk] = frozenset()
) -> EncodedRequest:
    """Return the body that asks an upstream; see `ymera.wire.codec.EncodeRequest`.

    Raises:
        InvalidRequest: a string holds half of a surrogate pair, so it has no UTF-8 form.
        Unsupported: an image whose address cannot be written in this dialect.
    """
    losses: list[str] = []
    verbatim = request.verbatim
    own = verbatim if verbatim is not None and verbatim.dialect is Dialect.ANTHROPIC else None
    fields: _Fields = {"model": upstream_id}
    for attributes, names, encode in _GROUPS:
        if (
            own is not None
            and _unchanged(request, own, attributes)
            and not ("messages" in names and _alike(own, losses))
        ):
            fields |= {name: own.fields[name] for name in names if _says(own.fields.get(name))}
            if "messages" in names:
                raw = own.fields["messages"]
                fields["messages"] = replayable(raw, request.messages, losses)
        else:
            fields |= encode(request, losses)
            if own is not None and any(_CACHE_MARK in bytes(own.fields.get(n, b"")) for n in names):
                losses.append(f"Cache marks in {' and '.join(names)} were left out: they changed.")
    fields |= _extra(request, losses, same_dialect=own is not None)
    if fields.get("max_tokens") is None:
        fields["max_tokens"] = DEFAULT_MAX_TOKENS + (request.sampling.reasoning_tokens or 0)
    if request.stream:
        fields["stream"] = True
    _heed(flags, fields, losses)
    try:
        body = msgspec.json.encode({k: value for k, value in fields.items() if value is not None})
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            "The request holds text that is not valid Unicode (half of a surrogate pair).",
            hint="Remove or re-encode the broken characters.",
        ) from error
    return EncodedRequest(body=body, losses=tuple(losses))


def _alike(own: Verbatim, losses: list[str]) -> bool:
    found = any(alike_within(own.fields.get(name), _IN_TURNS) for name in ("system", "messages"))
    losses += [ALIKE_WITHIN] if found else []
    return found


def _says(raw: msgspec.Raw | None) -> bool:
    return raw is not None and raw != _NULL


def _unchanged(request: ChatRequest, own: Verbatim, attributes: Iterable[str]) -> bool:
    return all(getattr(request, name) is getattr(own.decoded, name) for name in attributes)


def _conversation(request: ChatRequest, losses: list[str]) -> _Fields:
    system, messages = encode_conversation(request.messages, losses)
    return {"system": system, "messages": messages}


def _tools(request: ChatRequest, losses: list[str]) -> _Fields:
    del losses
    return {"tools": [_wire_tool(tool) for tool in request.tools] or None}


def _wire_tool(tool: ToolSpec) -> _Fields:
    wire: _Fields = {"name": tool.name, "input_schema": _object_schema(tool.parameters)}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return wire


def _object_schema(raw: msgspec.Raw | None) -> object:
    """Return the schema with its `type`, which this dialect demands and others leave out."""
    if raw is None:
        return {"type": "object"}
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return raw if "type" in fields else {"type": "object", **fields}


def _tool_choice(request: ChatRequest, losses: list[str]) -> _Fields:
    del losses
    choice, parallel = request.tool_choice, request.parallel_tools
    if choice is None and (parallel is None or not request.tools):
        return {}
    wire: _Fields = {"type": _CHOICES.get(choice or "auto", "tool")}
    if wire["type"] == "tool":
        wire["name"] = choice
    if parallel is not None and wire["type"] != "none":
        wire["disable_parallel_tool_use"] = not parallel
    return {"tool_choice": wire}


def _metadata(request: ChatRequest, losses: list[str]) -> _Fields:
    del request, losses
    return {}


_Encode = Callable[[ChatRequest, list[str]], _Fields]
_GROUPS: tuple[tuple[tuple[str, ...], tuple[str, ...], _Encode], ...] = (
    (("messages",), ("system", "messages"), _conversation),
    (("tools",), ("tools",), _tools),
    (("extra",), ("metadata",), _metadata),
    (("tool_choice", "parallel_tools"), ("tool_choice",), _tool_choice),
    (("sampling",), ("max_tokens", *SAMPLING, "stop_sequences", "thinking"), encode_sampling),
    (
        ("sampling", "response_format"),
        ("output_config", "output_format"),
        encode_output_config,
    ),
)
"""What of a request (its attributes) stands in which fields of the dialect, and how it is written
where the caller's own fields cannot be sent."""


def _extra(request: ChatRequest, losses: list[str], *, same_dialect: bool) -> _Fields:
    fields: _Fields = {}
    held = unread(request) if same_dialect else []
    if held:
        losses.append(f"{', '.join(held)} {UNREAD}")
    for name, raw in request.extra.items():
        if name in held or raw == _NULL or (same_dialect and name in _DECODED):
            continue
        if name in _NEVER_FORWARDED or is_named_like(name, _DECIDED):
            losses.append(f"{name} was left out: that is for the owner of the key to decide.")
        elif name in _BETA:
            losses.append(f"{name} was left out: the vendor takes it from beta clients only.")
        elif same_dialect:
            fields[name] = raw
        else:
            losses.append(f"{name} was left out: this dialect does not know it.")
    return fields


def _heed(flags: frozenset[Quirk], fields: _Fields, losses: list[str]) -> None:
    refused: tuple[str, ...] = SAMPLING if Quirk.NO_SAMPLING in flags else ()
    if Quirk.NO_TOOL_CHOICE in flags:
        refused = (*refused, "tool_choice")
    dropped = [name for name in refused if fields.pop(name, None) is not None]
    losses += [f"{name} was left out: the host refuses it." for name in dropped]
