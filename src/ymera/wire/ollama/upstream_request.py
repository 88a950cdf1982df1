"""Chat requests to upstreams."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    ReasoningPart,
    ResponseFormat,
    Role,
    TextPart,
    ToolSpec,
    verbatim_for,
)
from ymera.core.errors import InvalidRequest
from ymera.core.model import Dialect, Quirk
from ymera.wire.codec import EncodedRequest
from ymera.wire.field_names import ALIKE_WITHIN, UNREAD, alike_within, is_named_like, unread
from ymera.wire.ollama.arguments import object_from
from ymera.wire.ollama.images import image_to
from ymera.wire.openai_chat.quirks import heed

__all__ = ["encode_request"]

_FOREIGN_OPTIONS = ("presence_penalty", "frequency_penalty", "repeat_penalty", "min_p")
"""Fields of other dialects that are options here."""

_LEVELS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"} | dict.fromkeys(
    ("xhigh", "max"), "high"
)
_DECIDED = frozenset({"model", "messages", "stream", "tools", "format", "options", "think"})
"""Fields that were read, which others must not be taken for."""

_IN_TURNS = frozenset(
    {"role", "content", "images", "thinking", "tool_calls", "tool_name", "tool_call_id"}
    | {"function"}
)
"""Fields of turns in which something is said, or from which it hangs."""

_TAKES_LEVELS = "gpt-oss"
"""Servers refuse a level for models of other families, which think at their own measure."""

_FLAGGED = {
    Quirk.NO_SAMPLING: ("temperature", "top_p", "top_k", "min_p"),
    Quirk.NO_SEED: ("seed",),
}
_OF_TOOLS = frozenset({Quirk.PLAIN_TOOL_SCHEMAS})
_raw_options = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def encode_request(
    request: ChatRequest, upstream_id: str, flags: frozenset[Quirk] = frozenset()
) -> EncodedRequest:
    """Return the body that asks an upstream; see `ymera.wire.codec.EncodeRequest`.

    Raises:
        InvalidRequest: a string holds half of a surrogate pair, so it has no UTF-8 form.
        Unsupported: an image is given by its address.
    """
    verbatim = verbatim_for(request, Dialect.OLLAMA)
    losses: list[str] = []
    if verbatim and alike_within(verbatim.get("messages"), _IN_TURNS):
        verbatim, losses = None, [ALIKE_WITHIN]
    rest: dict[str, object] = (
        {name: raw for name, raw in verbatim.items() if not is_named_like(name, _DECIDED)}
        if verbatim
        else _Writer(request, upstream_id, losses).write()
    )
    _heed(flags, rest, losses)
    # `stream` is always said: left out, it means true.
    fields = {**rest, "model": upstream_id, "stream": request.stream}
    try:
        return EncodedRequest(body=msgspec.json.encode(fields), losses=tuple(losses))
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            "The request holds text that is not valid Unicode (half of a surrogate pair).",
            hint="Remove or re-encode the broken characters.",
        ) from error


def _heed(flags: frozenset[Quirk], fields: dict[str, object], losses: list[str]) -> None:
    """Leave out what this host or model refuses; tools have the shape of the OpenAI dialect."""
    losses += heed(fields, flags & _OF_TOOLS)
    refused = [name for flag, names in _FLAGGED.items() if flag in flags for name in names]
    options = fields.get("options")
    if not refused or options is None:
        return
    given = _raw_options.decode(msgspec.json.encode(options)) or {}
    dropped = [name for name in refused if name in given]
    if dropped:
        losses.append(f"{', '.join(dropped)} left out: this host or model refuses it.")
        fields["options"] = {name: raw for name, raw in given.items() if name not in dropped}


class _Writer:
    """Writes one request that did not come in this dialect, or was changed since.

    Args:
        request: what to ask.
        upstream_id: of the model.
        losses: takes what cannot be said.
    """

    def __init__(self, request: ChatRequest, upstream_id: str, losses: list[str]) -> None:
        self._request = request
        self._upstream_id = upstream_id
        self._losses = losses
        self._tools_by_id: dict[str, str] = {}
        self._dropped: dict[str, int] = {}

    def write(self) -> dict[str, object]:
        """Return the fields."""
        request = self._request
        own, options = self._own_fields()
        fields: dict[str, object] = {
            "model": None,  # it stands first, by habit
            "messages": [self._message(at, one) for at, one in enumerate(request.messages)],
            # Never cut a prompt in silence: better an error, and another model.
            "truncate": False,
            "shift": False,
        }
        optional: dict[str, object] = {
            "tools": self._tools(),
            "format": _wire_format(request.response_format),
            "think": self._think(),
            "options": options | self._sampling() or None,
        }
        fields |= {name: value for name, value in optional.items() if value is not None}
        self._losses += [what.format(count) for what, count in self._dropped.items()]
        return fields | own

    def _own_fields(self) -> tuple[dict[str, msgspec.Raw], dict[str, object]]:
        """Return the caller's other fields and options, where they are of this dialect."""
        request = self._request
        if request.verbatim is None or request.verbatim.dialect is Dialect.OLLAMA:
            silent = unread(request)
            if silent:
                self._losses.append(f"{', '.join(silent)} {UNREAD}")
            own = {
                name: raw
                for name, raw in request.extra.items()
                if name not in {"options", *silent} and not is_named_like(name, _DECIDED)
            }
            held = request.extra.get("options")
            return own, dict(_raw_options.decode(held) or {}) if held else {}
        foreign = request.extra
        options: dict[str, object] = {
            name: foreign[name] for name in _FOREIGN_OPTIONS if name in foreign
        }
        if unknown := [name for name in foreign if name not in options]:
            self._losses.append(f"{', '.join(unknown)} left out: Ollama does not know it.")
        return {}, options

    def _sampling(self) -> dict[str, object]:
        sampling = self._request.sampling
        options = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "num_predict": sampling.max_tokens,
            "seed": sampling.seed,
            "stop": sampling.stop or None,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _think(self) -> object:
        """Return how much to think; left out, models that can think do."""
        sampling = self._request.sampling
        verbatim = self._request.verbatim
        own = verbatim if verbatim and verbatim.dialect is Dialect.OLLAMA else None
        if own and own.decoded.sampling.reasoning_effort == sampling.reasoning_effort:
            return own.fields.get("think")
        effort, tokens = sampling.reasoning_effort, sampling.reasoning_tokens
        if tokens is not None:
            self._losses.append("reasoning_tokens was left out: Ollama bounds no thinking.")
        if effort is None:
            return False if tokens == 0 else None
        if effort == "none":
            return False
        if _TAKES_LEVELS not in self._upstream_id:
            if effort == "minimal":
                return False
            self._losses.append(f"reasoning_effort {effort} left out: the model sets its own.")
            return None
        level = _LEVELS.get(effort)
        if level != effort:
            self._losses.append(f"reasoning_effort {effort} became {level or 'the usual one'}.")
        return level

    def _tools(self) -> list[object] | None:
        """Return the tools that may be called: without a word for the choice, fewer are offered."""
        request, choice = self._request, self._request.tool_choice
        tools = request.tools
        if choice == "none":
            return None
        if choice == "required":
            self._losses.append("tool_choice required left out: Ollama cannot demand a call.")
        elif choice not in {None, "auto"}:
            tools = tuple(tool for tool in tools if tool.name == choice)
            self._losses.append(
                f"tool_choice {choice} became the only tool: Ollama cannot demand a call."
            )
        if request.parallel_tools is False and tools:
            self._losses.append("The wish for one tool call at a time was left out.")
        if any(tool.strict for tool in tools):
            self._losses.append("strict was left out: Ollama does not hold calls to their schema.")
        return [_wire_tool(tool) for tool in tools] or None

    def _message(self, at: int, message: Message) -> dict[str, object]:
        wire: dict[str, object] = {"role": message.role, "content": message.text}
        images: list[str] = []
        thinking: list[str] = []
        text_came = False
        for place, part in enumerate(message.content):
            match part:
                case TextPart():
                    text_came = True
                case ImagePart():
                    images.append(image_to(part, f"messages[{at}].content[{place}]"))
                    if text_came:
                        self._drop("The place among the text was lost for {} images.")
                case ReasoningPart():
                    if part.signature is None:
                        thinking.append(part.text)
                    else:
                        self._drop("Reasoning of {} earlier answers was left out.")
        if images:
            wire["images"] = images
        if thinking:
            wire["thinking"] = "".join(thinking)
        if message.tool_calls:
            wire["tool_calls"] = self._calls(message)
        self._name(message, wire)
        return wire

    def _calls(self, message: Message) -> list[object]:
        calls: list[object] = []
        for call in message.tool_calls:
            self._tools_by_id[call.id] = call.name
            arguments, was_object = object_from(call.arguments)
            if not was_object:
                self._drop("The arguments of {} tool calls were no JSON object: sent as text.")
            function = {"name": call.name, "arguments": arguments}
            calls.append({"id": call.id, "function": function})
        return calls

    def _name(self, message: Message, wire: dict[str, object]) -> None:
        if message.role is not Role.TOOL:
            if message.name is not None:
                self._drop("The speaker's name of {} messages was left out.")
            return
        name = self._tools_by_id.get(message.tool_call_id or "") or message.name
        if name is not None:
            wire["tool_name"] = name
        if message.tool_call_id is not None:
            wire["tool_call_id"] = message.tool_call_id
        if message.is_error:
            self._drop("That {} tool calls failed is said by their text alone.")

    def _drop(self, what: str) -> None:
        self._dropped[what] = self._dropped.get(what, 0) + 1


def _wire_format(wanted: ResponseFormat | None) -> object:
    if wanted is None:
        return None
    return "json" if wanted.schema is None else wanted.schema


def _wire_tool(tool: ToolSpec) -> dict[str, object]:
    described: Mapping[str, object] = {
        "name": tool.name,
        "description": tool.description,
        # A function without any is written so: templates look into it.
        "parameters": tool.parameters or {"type": "object", "properties": {}},
    }
    function = {name: value for name, value in described.items() if value is not None}
    return {"type": "function", "function": function}
