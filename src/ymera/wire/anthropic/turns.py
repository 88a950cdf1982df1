"""The conversation of a caller's request.

A turn of this dialect can hold several messages of ours: results of tools and what the user said
beside them. The results come first, because everywhere they follow the calls they answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from ymera.core.chat import ImagePart, Message, Part, ReasoningPart, Role, TextPart, ToolCall
from ymera.core.model import Dialect
from ymera.wire.anthropic.blocks import Block, Source, WireMessage
from ymera.wire.problems import invalid, not_json, unsupported, wrong_shape
from ymera.wire.signatures import read_signature
from ymera.wire.tool_arguments import arguments_as_text

__all__ = ["messages_of", "system_of"]

_ROLES = (Role.USER, Role.ASSISTANT, Role.SYSTEM)
_BILLING = "x-anthropic-billing-header:"
"""Claude Code's first system block: a header of its vendor's in disguise, another one in every
request. It is no instruction, so no other vendor's model is shown it, and a conversation that
begins with it is still known again; with the caller's own fields it goes to its vendor."""

_KNOWN = frozenset({"text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking"})
_OF_ROLE = {
    "tool_result": Role.USER,
    "tool_use": Role.ASSISTANT,
    "thinking": Role.ASSISTANT,
    "redacted_thinking": Role.ASSISTANT,
}
_HINT = "Send text, image, tool_use, tool_result and thinking blocks."
_T = TypeVar("_T")

_string = msgspec.json.Decoder(str)
_source = msgspec.json.Decoder(Source)
_content = msgspec.json.Decoder(str | list[Block])


def system_of(wire: str | Sequence[Block] | None) -> tuple[Message, ...]:
    """Return the system message of a request, if it has one.

    Raises:
        InvalidRequest: a block that is not text.
    """
    if isinstance(wire, str):
        parts: tuple[Part, ...] = (TextPart(wire),) if wire else ()
    else:
        parts = tuple(
            part
            for at, block in enumerate(wire or ())
            if not (part := _system_text(f"system[{at}]", block)).text.startswith(_BILLING)
        )
    return (Message(role=Role.SYSTEM, content=parts),) if parts else ()


def _system_text(where: str, block: Block) -> TextPart:
    if block.type != "text":
        raise invalid(f"{where}.type", f"is {block.type!r}.", "Send text blocks.")
    return TextPart(_text(where, block))


def messages_of(wire: Iterable[WireMessage]) -> list[Message]:
    """Return the messages of all turns.

    Raises:
        InvalidRequest: a block lacks what it needs, or stands in a turn of the wrong role.
        Unsupported: a block of a type that not every model can be sent.
    """
    messages: list[Message] = []
    for index, turn in enumerate(wire):
        where = f"messages[{index}]"
        if turn.role not in _ROLES:
            raise invalid(
                f"{where}.role", f"is {turn.role!r}.", f"Use one of: {', '.join(_ROLES)}."
            )
        role = Role(turn.role)
        if isinstance(turn.content, str):
            parts = (TextPart(turn.content),) if turn.content else ()
            messages.append(Message(role=role, content=parts))
        else:
            messages += _turn(f"{where}.content", role, turn.content)
    return messages


def _turn(where: str, role: Role, blocks: Sequence[Block]) -> list[Message]:
    results: list[Message] = []
    parts: list[Part] = []
    calls: list[ToolCall] = []
    for at, block in enumerate(blocks):
        place = f"{where}[{at}]"
        if block.type not in _KNOWN:
            raise unsupported(f"{place}.type", f"a block of type {block.type!r}", _HINT)
        if _OF_ROLE.get(block.type, role) is not role:
            raise invalid(f"{place}.type", f"is {block.type!r} in a turn of role {role}.", _HINT)
        match block.type:
            case "tool_result":
                results.append(_tool_result(place, block))
            case "tool_use":
                calls.append(_tool_use(place, block))
            case _:
                parts.append(_part(place, block))
    if results and not parts:
        return results
    return [*results, Message(role=role, content=tuple(parts), tool_calls=tuple(calls))]


def _tool_use(where: str, block: Block) -> ToolCall:
    if bytes(block.input).lstrip()[:1] not in {b"", b"{", b"n"}:
        raise invalid(f"{where}.input", "is not a JSON object.", "Send the arguments as an object.")
    return ToolCall(
        id=_needed(f"{where}.id", block.id),
        name=_needed(f"{where}.name", block.name),
        arguments=arguments_as_text(block.input),
    )


def _tool_result(where: str, block: Block) -> Message:
    content = _decode(_content, block.content, f"{where}.content") or ""
    parts: list[Part] = []
    if isinstance(content, str):
        parts = [TextPart(content)] if content else []
    else:
        for at, inner in enumerate(content):
            place = f"{where}.content[{at}]"
            if inner.type not in {"text", "image"}:
                raise unsupported(
                    f"{place}.type", f"a block of type {inner.type!r}", "Send text and images."
                )
            parts.append(_part(place, inner))
    return Message(
        role=Role.TOOL,
        content=tuple(parts),
        tool_call_id=_needed(f"{where}.tool_use_id", block.tool_use_id),
        is_error=bool(block.is_error),
    )


def _part(where: str, block: Block) -> Part:
    match block.type:
        case "text":
            return TextPart(_text(where, block))
        case "image":
            return _image(where, block)
        case "thinking":
            if not block.signature:  # ours are empty where the vendor signs nothing
                return ReasoningPart(text=block.thinking or "")
            return _signed(block.thinking or "", block.signature)
    return _signed("", _needed(f"{where}.data", block.data), redacted=True)


def _signed(text: str, signature: str, *, redacted: bool = False) -> ReasoningPart:
    bare, signer = read_signature(signature)
    return ReasoningPart(
        text=text, signature=bare, dialect=Dialect.ANTHROPIC, signer=signer, redacted=redacted
    )


def _text(where: str, block: Block) -> str:
    return _needed(f"{where}.text", _decode(_string, block.text, f"{where}.text"))


def _image(where: str, block: Block) -> ImagePart:
    found = _decode(_source, block.source, f"{where}.source")
    source = _needed(f"{where}.source", found)
    if source.type == "url":
        return ImagePart(url=_needed(f"{where}.source.url", source.url))
    if source.type == "base64":
        data = _needed(f"{where}.source.data", source.data)
        kind = _needed(f"{where}.source.media_type", source.media_type)
        return ImagePart(url=f"data:{kind};base64,{data}")
    raise unsupported(
        f"{where}.source.type", f"an image from {source.type!r}", "Send base64 or url."
    )


def _decode(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw, where: str) -> _T | None:
    if bytes(raw) in {b"", b"null"}:
        return None
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise wrong_shape(str(error), where) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json() from error


def _needed(param: str, value: _T | None) -> _T:
    if value is None:
        raise invalid(param, "is missing.", f"Add `{param}`.")
    return value
