"""Requests for hosts that depart from the dialect: only the fields concerned are rewritten."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ymera.core.model import Quirk
from ymera.wire.plain_schema import plain_schema
from ymera.wire.tool_ids import ToolIds

__all__ = ["heed"]

Fields = dict[str, object]
"""Top-level fields of a body: values to be encoded, or raw JSON as a caller wrote it."""

_ENOUGH_TOKENS = 4096
"""Asked for where a host would otherwise cut answers very short."""

_LEFT_OUT: dict[Quirk, dict[str, frozenset[object]]] = {
    Quirk.NO_SAMPLING: {
        "temperature": frozenset({1}),
        "top_p": frozenset({1}),
        "top_k": frozenset(),
    },
    Quirk.NO_SEED: {"seed": frozenset()},
    Quirk.NO_PARALLEL_TOOL_CALLS: {"parallel_tool_calls": frozenset({True})},
    Quirk.NO_SIDE_FIELDS: {
        "n": frozenset({1}),
        "logit_bias": frozenset(),
        "logprobs": frozenset({False}),
        "top_logprobs": frozenset({0}),
        "user": frozenset(),
    },
    Quirk.NO_STREAM_OPTIONS: {"stream_options": frozenset()},
}
"""Fields that are left out, each with values that say nothing more than its absence does."""

_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")
_MISSED_BY_NOBODY = frozenset({"stream_options"})


def heed(fields: Fields, flags: frozenset[Quirk]) -> list[str]:
    """Change `fields` to what the host takes; return what was lost, one sentence each."""
    lost: list[str] = []
    for quirk, names in _LEFT_OUT.items():
        if quirk in flags:
            for name, neutral in names.items():
                _leave_out(fields, name, neutral, lost)
    for quirk, rewrite in _REWRITES.items():
        if quirk in flags:
            rewrite(fields, lost)
    return lost


def _leave_out(fields: Fields, name: str, neutral: frozenset[object], lost: list[str]) -> None:
    if name not in fields:
        return
    value = _plain(fields.pop(name))
    missed = value is not None and not (isinstance(value, int | float) and value in neutral)
    if missed and value != {} and name not in _MISSED_BY_NOBODY:
        lost.append(f"{name} was left out: the host does not take it.")


def _tool_choice(fields: Fields, lost: list[str]) -> None:
    match _plain(fields.pop("tool_choice", None)):
        case None | "auto":
            pass
        case "none":
            fields.pop("tools", None)
        case _:
            lost.append("tool_choice was left out: the host does not take it.")


def _completion_tokens(fields: Fields, lost: list[str]) -> None:
    if "max_tokens" in fields:
        fields["max_completion_tokens"] = fields.pop("max_tokens")


def _enough_tokens(fields: Fields, lost: list[str]) -> None:
    name = "max_completion_tokens" if "max_completion_tokens" in fields else "max_tokens"
    if _plain(fields.get(name)) is None:
        fields[name] = _ENOUGH_TOKENS


def _content_as_text(fields: Fields, lost: list[str]) -> None:
    """Make text of null and of lists of text; images need their list."""
    messages = _plain(fields["messages"])
    if isinstance(messages, list):
        fields["messages"] = [_with_text(message) for message in messages]


def _with_text(message: object) -> object:
    if not isinstance(message, dict):
        return message
    match message.get("content"):
        case None:
            return {**message, "content": ""}
        case [*parts] if all(isinstance(part, dict) and "text" in part for part in parts):
            return {**message, "content": "".join(str(part["text"]) for part in parts)}
    return message


def _short_tool_ids(fields: Fields, lost: list[str]) -> None:
    messages = _plain(fields["messages"])
    if not isinstance(messages, list):
        return
    ids = ToolIds(_SHORT_ID, prefix="", length=9)
    for message in messages:
        match message:
            case {"tool_call_id": str(id)}:
                message["tool_call_id"] = ids(id)
            case {"tool_calls": [*calls]}:
                for call in calls:
                    if isinstance(call, dict) and isinstance(call.get("id"), str):
                        call["id"] = ids(call["id"])
    if ids.rewritten:
        fields["messages"] = messages
        lost += ids.losses()


def _plain_schemas(fields: Fields, lost: list[str]) -> None:
    tools = _plain(fields.get("tools"))
    if not isinstance(tools, list):
        return
    names: set[str] = set()
    for tool in tools:
        match tool:
            case {"function": {"parameters": {} as parameters} as function}:
                function["parameters"], left_out = plain_schema(parameters)
                names |= left_out
                if function.pop("strict", None):
                    names.add("strict")
    fields["tools"] = tools
    if names:
        said = ", ".join(sorted(names))
        lost.append(
            f"Of the tools' schemas this was left out, which the host does not take: {said}."
        )


_REWRITES: dict[Quirk, Callable[[Fields, list[str]], None]] = {
    Quirk.NO_TOOL_CHOICE: _tool_choice,
    Quirk.MAX_COMPLETION_TOKENS: _completion_tokens,
    Quirk.NEEDS_MAX_TOKENS: _enough_tokens,
    Quirk.CONTENT_AS_TEXT: _content_as_text,
    Quirk.SHORT_TOOL_IDS: _short_tool_ids,
    Quirk.PLAIN_TOOL_SCHEMAS: _plain_schemas,
}


def _plain(value: object) -> object:
    """Return a field's value without anything raw in it."""
    if value is None or isinstance(value, str | int | float):
        return value
    plain: object = msgspec.json.decode(msgspec.json.encode(value))
    return plain
