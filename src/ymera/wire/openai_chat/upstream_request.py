"""Chat requests to upstreams."""

from __future__ import annotations

import msgspec

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    ReasoningPart,
    ResponseFormat,
    TextPart,
    ToolSpec,
    verbatim_for,
)
from ymera.core.errors import InvalidRequest, RequestError
from ymera.core.model import Dialect, Quirk
from ymera.wire.codec import EncodedRequest
from ymera.wire.field_names import ALIKE_WITHIN, UNREAD, alike_within, is_named_like, unread
from ymera.wire.openai_chat.quirks import heed
from ymera.wire.openai_chat.request import TOOL_CHOICES

__all__ = ["encode_request"]

_NEVER_FORWARDED = frozenset(
    {"api_base", "api_key", "base_url", "fallbacks", "models", "plugins", "preset", "provider"}
    | {"route", "service_tier", "transforms", "web_search_options"}
)
"""Unknown fields with which a caller could make the upstream use another model or address than
the one that was routed to, or buy an extra on the owner's key."""

_DECIDED = _NEVER_FORWARDED | {
    *("model", "messages", "stream", "stream_options", "tools", "tool_choice", "n"),
    *("max_tokens", "max_completion_tokens", "functions", "function_call"),
}

_IN_TURNS = frozenset(
    {"role", "content", "name", "type", "text", "image_url", "tool_calls", "tool_call_id"}
    | {"function", "refusal", "reasoning_content"}
)
"""Fields of turns and their parts in which something is said, or from which it hangs."""

_NOTHING = msgspec.Raw()


class _UsualPart(msgspec.Struct, forbid_unknown_fields=True):
    """A part with no other fields than most callers write, so that it needs no second look."""

    type: msgspec.Raw
    text: msgspec.Raw = _NOTHING
    image_url: msgspec.Raw = _NOTHING
    cache_control: msgspec.Raw = _NOTHING


class _UsualTurn(msgspec.Struct, forbid_unknown_fields=True):
    """The same of a turn."""

    role: msgspec.Raw
    content: str | list[_UsualPart] | None = None
    name: msgspec.Raw = _NOTHING
    tool_calls: msgspec.Raw = _NOTHING
    tool_call_id: msgspec.Raw = _NOTHING
    refusal: msgspec.Raw = _NOTHING
    reasoning_content: msgspec.Raw = _NOTHING
    annotations: msgspec.Raw = _NOTHING


_usual = msgspec.json.Decoder(list[_UsualTurn])


def _alike(messages: msgspec.Raw) -> bool:
    try:
        _usual.decode(messages)
    except msgspec.ValidationError:
        return alike_within(messages, _IN_TURNS)
    return False


_RELATED = frozenset({Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES})
"""Dialects whose further fields hosts of this one may know."""


def encode_request(
    request: ChatRequest, upstream_id: str, flags: frozenset[Quirk] = frozenset()
) -> EncodedRequest:
    """Return the body that asks an upstream; see `ymera.wire.codec.EncodeRequest`.

    Raises:
        InvalidRequest: a string holds half of a surrogate pair, so it has no UTF-8 form.
    """
    verbatim = verbatim_for(request, Dialect.OPENAI_CHAT)
    alike = verbatim is not None and _alike(verbatim["messages"])
    if alike:
        verbatim = None
    fields: dict[str, object] = (
        _encoded_fields(request)
        if verbatim is None
        else {name: raw for name, raw in verbatim.items() if _passes(name)}
    )
    fields["model"] = upstream_id
    fields.pop("stream_options", None)
    if request.stream:
        # Always, whatever the caller asked for: what an answer used has to be known.
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    else:
        fields.pop("stream", None)
    if verbatim is not None:
        _bound(fields, request)
    losses = () if verbatim is not None else _losses(request)
    if alike:
        losses = (*losses, ALIKE_WITHIN)
    try:
        if flags:
            losses = (*losses, *heed(fields, flags))
        body = msgspec.json.encode(fields)
    except UnicodeEncodeError as error:
        raise _not_unicode() from error
    return EncodedRequest(body=body, losses=losses)


def _bound(fields: dict[str, object], request: ChatRequest) -> None:
    """Bound the answer by the older of two names, which every host knows unless it is flagged."""
    if fields.pop("max_completion_tokens", None) is not None:
        fields["max_tokens"] = request.sampling.max_tokens


def _losses(request: ChatRequest) -> tuple[str, ...]:
    parts = (part for message in request.messages for part in message.content)
    dropped = sum(isinstance(part, ReasoningPart) for part in parts)
    losses = [f"Reasoning of {dropped} earlier answers was left out."] if dropped else []
    if request.sampling.top_k is not None and "top_k" not in request.extra:
        losses.append("top_k was left out: this dialect does not know it.")
    if request.extra and _is_foreign(request):
        losses.append(f"{', '.join(request.extra)} left out: this dialect does not know it.")
    if request.sampling.reasoning_tokens is not None:
        losses.append("The bound on tokens to think with was left out: this dialect has none.")
    if not _is_foreign(request) and (held := unread(request)):
        losses.append(f"{', '.join(held)} {UNREAD}")
    return tuple(losses)


def _encoded_fields(request: ChatRequest) -> dict[str, object]:
    sampling = request.sampling
    fields: dict[str, object] = {
        "model": None,  # it stands first, by habit
        "messages": [_wire_message(message) for message in request.messages],
    }
    optional: dict[str, object] = {
        "tools": [_wire_tool(tool) for tool in request.tools] or None,
        "tool_choice": _wire_tool_choice(request.tool_choice),
        "response_format": _wire_format(request.response_format),
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "reasoning_effort": sampling.reasoning_effort,
        "parallel_tool_calls": request.parallel_tools,
        "stop": sampling.stop or None,
        "seed": sampling.seed,
    }
    fields |= {name: value for name, value in optional.items() if value is not None}
    if not _is_foreign(request):
        held = unread(request)
        for name, raw in request.extra.items():
            if _passes(name) and name not in held:
                fields.setdefault(name, raw)
    return fields


def _passes(name: str) -> bool:
    return name not in _NEVER_FORWARDED and not is_named_like(name, _DECIDED)


def _is_foreign(request: ChatRequest) -> bool:
    """Return whether the caller's other fields are of a dialect that hosts of this do not know."""
    verbatim = request.verbatim
    return verbatim is not None and verbatim.dialect not in _RELATED


def _not_unicode() -> RequestError:
    return InvalidRequest(
        "The request holds text that is not valid Unicode (half of a surrogate pair).",
        hint="Remove or re-encode the broken characters.",
    )


def _wire_message(message: Message) -> dict[str, object]:
    wire: dict[str, object] = {"role": message.role, "content": _wire_content(message)}
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        wire["name"] = message.name
    return wire


def _wire_content(message: Message) -> object:
    match tuple(part for part in message.content if not isinstance(part, ReasoningPart)):
        case ():
            return None if message.tool_calls else ""
        case (TextPart(text=text),):  # some hosts refuse a list where text would do
            return text
        case parts:
            return [_wire_part(part) for part in parts]


def _wire_part(part: TextPart | ImagePart) -> dict[str, object]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": _present(("url", part.url), ("detail", part.detail))}


def _present(*pairs: tuple[str, object]) -> dict[str, object]:
    return {name: value for name, value in pairs if value is not None}


def _wire_tool(tool: ToolSpec) -> dict[str, object]:
    function = _present(
        ("name", tool.name),
        ("description", tool.description),
        ("parameters", tool.parameters),
        ("strict", tool.strict),
    )
    return {"type": "function", "function": function}


def _wire_tool_choice(choice: str | None) -> object:
    if choice is None or choice in TOOL_CHOICES:
        return choice
    return {"type": "function", "function": {"name": choice}}


def _wire_format(wanted: ResponseFormat | None) -> object:
    if wanted is None:
        return None
    if wanted.schema is None:
        return {"type": "json_object"}
    schema = _present(("name", wanted.name), ("strict", wanted.strict), ("schema", wanted.schema))
    return {"type": "json_schema", "json_schema": schema}
