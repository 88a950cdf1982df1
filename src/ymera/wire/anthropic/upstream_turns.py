"""The conversation as upstreams of this dialect want it.

User and assistant take turns, so messages that follow each other from the same side become one
turn; results of tools stand first in the turn after the calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from ymera.core.chat import ImagePart, Message, Part, ReasoningPart, Role, TextPart, ToolCall
from ymera.core.errors import Unsupported
from ymera.core.model import Dialect
from ymera.wire.tool_arguments import arguments_as_object
from ymera.wire.tool_ids import ToolIds

__all__ = ["encode_conversation", "replayable", "tool_ids"]

_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,", re.ASCII)

_UNSIGNED = "Reasoning of earlier answers was left out: it is unsigned or another's."

_Block = dict[str, object]
_RawBlock = dict[str, msgspec.Raw]
_turns = msgspec.json.Decoder(list[_RawBlock])


def tool_ids() -> ToolIds:
    """Return what makes ids of tool calls ones that this dialect takes."""
    return ToolIds(_TOOL_ID, prefix="toolu_", length=30)


def replayable(raw: msgspec.Raw, messages: Iterable[Message], losses: list[str]) -> object:
    """Return a caller's own turns without the reasoning that the vendor would refuse.

    What another vendor's model thought was shown to the caller in blocks that nothing signs.

    Args:
        raw: the turns as they were written.
        messages: what they were decoded to.
        losses: what was left out is added to it.
    """
    parts = (part for message in messages for part in message.content)
    if all(part.signature for part in parts if isinstance(part, ReasoningPart)):
        return raw
    losses.append(_UNSIGNED)
    kept: list[dict[str, object]] = []
    for turn in _turns.decode(raw):
        if bytes(turn["content"]).lstrip().startswith(b"["):
            blocks = [each for each in _turns.decode(turn["content"]) if not _is_unsigned(each)]
            if blocks:
                kept.append({**turn, "content": blocks})
        else:
            kept.append({**turn})
    return kept


def _is_unsigned(block: _RawBlock) -> bool:
    signature = bytes(block.get("signature", b"null"))
    return bytes(block["type"]) == b'"thinking"' and signature in {b"null", b'""'}


@dataclass
class _Turn:
    role: str
    results: list[_Block] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)

    def encoded(self) -> _Block:
        content: object = [*self.results, *self.blocks]
        match content:
            case [{"type": "text", "text": str(text)}]:
                content = text
        return {"role": self.role, "content": content}


def encode_conversation(
    messages: Iterable[Message], losses: list[str]
) -> tuple[object, list[_Block]]:
    """Return `system` (None without one) and `messages`.

    Args:
        messages: of the request.
        losses: what could not be said is added to it.

    Raises:
        Unsupported: an image whose address cannot be written in this dialect.
    """
    encoder = _Encoder()
    for message in messages:
        encoder.add(message)
    losses += [*encoder.losses, *encoder.ids.losses()]
    turns = encoder.turns
    system = encoder.system
    if not turns and system:
        losses.append("The system message was sent as the user's: there was no other turn.")
        turns, system = [_Turn("user", blocks=system)], []
    match system:
        case []:
            told: object = None
        case [{"text": str(text)}]:
            told = text
        case _:
            told = system
    return told, [turn.encoded() for turn in turns]


class _Encoder:
    def __init__(self) -> None:
        self.system: list[_Block] = []
        self.turns: list[_Turn] = []
        self.losses: dict[str, None] = {}  # in order, each once
        self.ids = tool_ids()

    def add(self, message: Message) -> None:
        if message.name is not None and message.role is not Role.TOOL:
            self._lose("Names of speakers were left out.")
        match message.role:
            case Role.SYSTEM:
                self._system(message)
            case Role.TOOL:
                self._turn("user").results.append(self._result(message))
            case Role.USER:
                self._say("user", self._parts(message))
            case Role.ASSISTANT:
                calls = [self._call(*each) for each in enumerate(message.tool_calls)]
                self._say("assistant", [*self._parts(message), *calls])

    def _lose(self, sentence: str) -> None:
        self.losses[sentence] = None

    def _system(self, message: Message) -> None:
        if self.turns:
            self._lose("A system message within the conversation was moved to its beginning.")
        self.system += self._parts(message)

    def _turn(self, role: str) -> _Turn:
        if not self.turns or self.turns[-1].role != role:
            self.turns.append(_Turn(role))
        return self.turns[-1]

    def _say(self, role: str, blocks: list[_Block]) -> None:
        if blocks:
            self._turn(role).blocks += blocks
        else:
            self._lose("A turn without content was left out.")

    def _parts(self, message: Message) -> list[_Block]:
        blocks = (self._part(part, message.role) for part in message.content)
        return [block for block in blocks if block is not None]

    def _part(self, part: Part, role: Role) -> _Block | None:
        match part:
            case TextPart():
                if part.text.strip():  # blank text is refused
                    return {"type": "text", "text": part.text}
                if part.text:
                    self._lose("Blank text was left out.")
                return None
            case ReasoningPart():
                return self._reasoning(part, role)
            case ImagePart():
                if role in {Role.SYSTEM, Role.ASSISTANT}:
                    self._lose(f"Images of the {role} were left out.")
                    return None
                if part.detail is not None:
                    self._lose("The detail of images was left out.")
                return {"type": "image", "source": _source(part.url)}

    def _reasoning(self, part: ReasoningPart, role: Role) -> _Block | None:
        if part.signature is None or part.dialect is not Dialect.ANTHROPIC:
            self._lose(_UNSIGNED)
            return None
        if role is not Role.ASSISTANT:
            self._lose(f"Reasoning of the {role} was left out.")
            return None
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.signature}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}

    def _call(self, index: int, call: ToolCall) -> _Block:
        arguments, fits = arguments_as_object(call.arguments)
        if not fits:
            self._lose("Arguments of a tool call were no JSON object and were wrapped in one.")
        if call.signature is not None:
            self._lose("Signatures of tool calls were left out.")
        id = self.ids(call.id or f"call_{index}")
        return {"type": "tool_use", "id": id, "name": call.name, "input": arguments}

    def _result(self, message: Message) -> _Block:
        block: _Block = {
            "type": "tool_result",
            "tool_use_id": self.ids(message.tool_call_id or ""),
        }
        match self._parts(message):
            case [{"type": "text", "text": str(text)}]:
                block["content"] = text
            case [_, *_] as content:
                block["content"] = content
        if message.is_error:
            block["is_error"] = True
        return block


def _source(url: str) -> _Block:
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    if found := _DATA_URL.match(url):
        return {"type": "base64", "media_type": found[1], "data": url[found.end() :]}
    raise Unsupported(
        "`image_url`: an image that is neither at an http address nor in base64 is not supported.",
        hint="Send an http(s) URL, or data:image/png;base64,...",
        param="image_url",
    )
