"""The conversation as an upstream of this dialect reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    ReasoningPart,
    Role,
    TextPart,
)
from ymera.core.errors import Unsupported
from ymera.core.model import Dialect
from ymera.wire.gemini.models import needs_signatures
from ymera.wire.tool_arguments import arguments_as_object

__all__ = ["RESULT_KEYS", "Contents", "encode_contents", "unsigned_step"]

_SKIP_SIGNATURE = "skip_thought_signature_validator"
"""What the vendor documents for calls in a history that its model did not write itself: from its
third generation on, a call without a signature is refused in the turn that is going on."""

RESULT_KEYS = frozenset({"output", "error", "result"})
"""Names under which a tool's result stands that is no object by itself."""

_DATA_URL = re.compile(r"data:(image/[\w.+-]+);base64,([A-Za-z0-9+/_=-]+)")
_KINDS = {kind: kind for kind in ("png", "jpeg", "webp", "heic", "heif", "gif", "bmp", "avif")}
_KINDS["jpg"] = "jpeg"


@dataclass
class Contents:
    """What the messages became.

    Attributes:
        system: parts of the system instruction; empty without one.
        turns: role and parts of each turn.
        losses: what could not be said, one sentence each.
    """

    system: list[dict[str, object]] = field(default_factory=list)
    turns: list[tuple[str, list[dict[str, object]]]] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    def add(self, role: str, parts: list[dict[str, object]]) -> None:
        """Add to the last turn, or begin another when the other side spoke last."""
        if self.turns and self.turns[-1][0] == role:
            self.turns[-1][1].extend(parts)
        elif parts:
            self.turns.append((role, parts))

    def fields(self) -> dict[str, object]:
        """Return them as they stand in the body."""
        fields: dict[str, object] = {
            "contents": [{"role": role, "parts": parts} for role, parts in self.turns]
        }
        if self.system:
            fields["systemInstruction"] = {"parts": self.system}
        return fields


def encode_contents(request: ChatRequest, upstream_id: str) -> Contents:
    """Return the messages as this dialect writes them.

    Messages of one role that follow each other become one turn: all results of calls made together
    have to stand in one.

    Raises:
        Unsupported: an image that cannot be sent; `param` names it.
    """
    made = Contents()
    signed = needs_signatures(upstream_id)
    current = _turn_begins(request.messages) if signed else len(request.messages)
    names: dict[str, str] = {}
    skipped = dropped = 0
    for at, message in enumerate(request.messages):
        where = f"messages[{at}].content"
        match message.role:
            case Role.SYSTEM:
                made.system += _texts(message)
            case Role.TOOL:
                made.add("user", [_result(message, where, names, images=signed)])
            case Role.USER:
                made.add("user", _said(message, where) or [{"text": ""}])
            case Role.ASSISTANT:
                names |= {call.id: call.name for call in message.tool_calls}
                said = _said(message, where)
                dropped += sum(isinstance(part, ReasoningPart) for part in message.content)
                dropped -= sum("thoughtSignature" in part for part in said)
                skip = at >= current and _is_unsigned(message)
                skipped += skip
                made.add("model", said + _calls(message, _SKIP_SIGNATURE if skip else None))
    _note_losses(request, made, dropped=dropped, skipped=skipped)
    return made


def _note_losses(request: ChatRequest, made: Contents, *, dropped: int, skipped: int) -> None:
    if dropped:
        made.losses.append(f"Reasoning of {dropped} earlier answers was left out.")
    if skipped:
        made.losses.append(
            f"{skipped} earlier tool calls carry no thought signature: its check was skipped."
        )
    calls = [call for message in request.messages for call in message.tool_calls]
    if broken := sum(not arguments_as_object(call.arguments)[1] for call in calls):
        made.losses.append(f"Broken arguments of {broken} earlier tool calls were wrapped.")
    parts = [part for message in request.messages for part in message.content]
    if fine := sum(isinstance(part, ImagePart) and part.detail is not None for part in parts):
        made.losses.append(f"detail of {fine} images was left out.")
    people = (message for message in request.messages if message.role is not Role.TOOL)
    if named := sum(message.name is not None for message in people):
        made.losses.append(f"name of {named} messages was left out.")
    roles = [message.role for message in request.messages]
    spoken = next((at for at, role in enumerate(roles) if role is not Role.SYSTEM), len(roles))
    if Role.SYSTEM in roles[spoken:]:
        made.losses.append("System messages between the turns were moved to the beginning.")
    if not made.turns and made.system:
        made.add("user", made.system)
        made.system = []
        made.losses.append("A request of system messages alone was asked as the user's.")


def _texts(message: Message) -> list[dict[str, object]]:
    texts = (part for part in message.content if isinstance(part, TextPart))
    return [{"text": part.text} for part in texts if part.text]


def unsigned_step(messages: Sequence[Message]) -> bool:
    """Return whether some calls of the turn that is going on carry no signature at all."""
    return any(_is_unsigned(message) for message in messages[_turn_begins(messages) :])


def _is_unsigned(message: Message) -> bool:
    return bool(message.tool_calls) and not any(call.signature for call in message.tool_calls)


def _turn_begins(messages: Sequence[Message]) -> int:
    """Return where the user spoke last: what follows is one turn, whatever tools it takes."""
    spoke = (at for at, message in enumerate(messages) if message.role is Role.USER)
    return max(spoke, default=0)


def _said(message: Message, where: str) -> list[dict[str, object]]:
    parts: list[dict[str, object]] = []
    for at, part in enumerate(message.content):
        match part:
            case TextPart():
                if part.text:
                    parts.append({"text": part.text})
            case ImagePart():
                parts.append(_image(part, f"{where}[{at}]"))
            case ReasoningPart(dialect=Dialect.GEMINI, signature=str(signature)):
                thought: dict[str, object] = {"thought": True} if part.text else {}
                parts.append({"text": part.text, **thought, "thoughtSignature": signature})
            case ReasoningPart():
                pass  # another vendor's, or unsigned: counted by the caller
    return parts


def _image(part: ImagePart, where: str) -> dict[str, object]:
    if found := _DATA_URL.fullmatch(part.url):
        return {"inlineData": {"mimeType": found[1], "data": found[2]}}
    if part.url.startswith("https://"):
        path = part.url.partition("?")[0].partition("#")[0]
        kind = _KINDS.get(path.rpartition(".")[2].lower())
        known = {} if kind is None else {"mimeType": f"image/{kind}"}
        return {"fileData": {**known, "fileUri": part.url}}
    raise Unsupported(
        f"`{where}`: this model takes images as base64 data: or https: URLs only.",
        hint="Send the image inline, or choose another model.",
        param=where,
    )


def _calls(message: Message, signature: str | None) -> list[dict[str, object]]:
    parts: list[dict[str, object]] = []
    for call in message.tool_calls:
        part: dict[str, object] = {
            "functionCall": {
                "id": call.id,
                "name": call.name,
                "args": arguments_as_object(call.arguments)[0],
            }
        }
        if signed := call.signature or (signature if not parts else None):
            part["thoughtSignature"] = signed
        parts.append(part)
    return parts


def _object(text: str) -> msgspec.Raw | None:
    """Return `text` when it is a JSON object, else None."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        msgspec.json.decode(text)
        return msgspec.Raw(text.strip().encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _result(
    message: Message, where: str, names: dict[str, str], *, images: bool
) -> dict[str, object]:
    """Return a tool's result, which here is always an object and names the tool."""
    call_id = message.tool_call_id or ""
    name = names.get(call_id) or message.name or "tool"
    response: object = {"error" if message.is_error else "output": message.text}
    if not message.is_error:
        found = _object(message.text)
        if found is not None and not _is_wrapper(found):
            response = found
    result: dict[str, object] = {"id": call_id, "name": name, "response": response}
    pictures = [
        _result_image(part, f"{where}[{at}]", allowed=images)
        for at, part in enumerate(message.content)
        if isinstance(part, ImagePart)
    ]
    if pictures:
        result["parts"] = pictures
    return {"functionResponse": result}


def _result_image(part: ImagePart, where: str, *, allowed: bool) -> dict[str, object]:
    if not allowed:
        raise Unsupported(
            f"`{where}`: this model takes no images as results of tools.",
            hint="Send the image in a user message, or choose another model.",
            param=where,
        )
    return _image(part, where)


def _is_wrapper(raw: msgspec.Raw) -> bool:
    keys = set(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
    return not keys or keys <= RESULT_KEYS
