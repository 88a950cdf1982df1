"""Whose signature stands on reasoning: several vendors speak one dialect and sign in it.

A vendor refuses what another one signed. So a signature that is not of the vendor whose dialect it
comes in is given to callers with its maker's name in front, as more of the same opaque text; when
the caller sends it back it is known again, whatever was restarted in between. A signature without
a name is the dialect's own vendor's: conversations that began with that vendor directly go on here.

The name is base64 in front of base64: readers that decode signatures and write them anew, as
Google's SDK does, keep it. Claude's signatures are valid wherever Claude is served, as its vendor
documents; Google's are not, so otherwise the provider counts.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable

import msgspec

from ymera.core.chat import ChatRequest, Message, Part, ReasoningPart, ToolCall, Verbatim
from ymera.core.model import Dialect

__all__ = ["foreign_signer", "marked", "read_signature", "readable_by", "signer_of"]

_VENDORS = {Dialect.ANTHROPIC: "anthropic", Dialect.GEMINI: "google"}
_BEGINNING = "eW1lcmE6"
"""What a maker's name begins with: `ymera:` in base64."""
_MOST_CHARS = 200

_Fields = dict[str, msgspec.Raw]
_turns = msgspec.json.Decoder(list[_Fields])
_fields = msgspec.json.Decoder(_Fields)
_encode = msgspec.json.encode


def signer_of(model_id: str) -> str:
    """Return whose signatures the model of a catalogue id makes and reads."""
    provider, _, name = model_id.partition("/")
    return "anthropic" if "claude" in name.rpartition("/")[2].lower() else provider


def foreign_signer(model_id: str, dialect: Dialect) -> str | None:
    """Return who signs a model's reasoning; None where it is the dialect's own vendor."""
    vendor, signer = _VENDORS.get(dialect), signer_of(model_id)
    return None if vendor is None or signer == vendor or "/" not in model_id else signer


def marked(signature: str, model_id: str, dialect: Dialect) -> str:
    """Return a signature as callers of a dialect are given it.

    Args:
        signature: as the model's host made it.
        model_id: of the catalogue; a bare name, as in a simulated vendor's own answers, marks
            nothing.
        dialect: of host and caller.
    """
    signer = foreign_signer(model_id, dialect)
    if signer is None:
        return signature
    name = f"ymera:{signer};"
    name += ";" * (-len(name) % 3)  # so that no padding stands between name and signature
    return b64encode(name.encode()).decode() + signature


def read_signature(text: str) -> tuple[str, str | None]:
    """Return a signature that a caller sent back, and who made it.

    None stands for the vendor whose dialect it came in.
    """
    if not text.startswith(_BEGINNING):
        return text, None
    try:
        for end in range(len(_BEGINNING) + 4, min(len(text), _MOST_CHARS) + 1, 4):
            name = b64decode(text[:end], validate=True).decode()
            if name.endswith(";"):
                return text[end:], name.removeprefix("ymera:").rstrip(";")
    except ValueError:
        pass
    return text, None


def readable_by(model_id: str, request: ChatRequest) -> tuple[ChatRequest, tuple[str, ...]]:
    """Return the request without signatures that a model cannot read, and what that lost.

    Visible reasoning stays, unsigned: the encoders know who takes it so. The body as the caller
    wrote it is changed alike, so that everything else in it goes out as it came.
    """
    verbatim = request.verbatim
    came = verbatim is not None and request.messages is verbatim.decoded.messages
    if came and verbatim is not None and verbatim.dialect not in _VENDORS:
        return request, ()  # callers of other dialects have no signatures to send
    reader = _Reader(signer_of(model_id))
    messages = tuple(map(reader.message, request.messages))
    if came and verbatim is not None:
        verbatim = _as_read(verbatim, reader, messages)
        if verbatim is request.verbatim:
            return request, ()
    elif not reader.foreign:
        return request, ()
    lost = len(reader.foreign)
    losses = (f"{lost} signatures of other vendors' models were left out.",) if lost else ()
    return msgspec.structs.replace(request, messages=messages, verbatim=verbatim), losses


class _Reader:
    """One model's eyes; `foreign` holds what it cannot read, in order."""

    def __init__(self, signer: str) -> None:
        self._signer = signer
        self.foreign: list[str] = []

    def reads(self, signer: str | None, dialect: Dialect) -> bool:
        return (signer or _VENDORS.get(dialect, self._signer)) == self._signer

    def message(self, message: Message) -> Message:
        if not any(isinstance(p, ReasoningPart) and p.signature for p in message.content) and not (
            any(call.signature for call in message.tool_calls)
        ):
            return message
        content = [kept for part in message.content if (kept := self._part(part)) is not None]
        calls = tuple(map(self._call, message.tool_calls))
        return msgspec.structs.replace(message, content=tuple(content), tool_calls=calls)

    def _part(self, part: Part) -> Part | None:
        if not isinstance(part, ReasoningPart) or part.signature is None or part.dialect is None:
            return part
        if self.reads(part.signer, part.dialect):
            return part
        self.foreign.append(part.signature)
        return ReasoningPart(text=part.text) if part.text else None

    def _call(self, call: ToolCall) -> ToolCall:
        if call.signature is None or self.reads(call.signer, Dialect.GEMINI):
            return call
        self.foreign.append(call.signature)
        return msgspec.structs.replace(call, signature=None, signer=None)


def _as_read(verbatim: Verbatim, reader: _Reader, messages: tuple[Message, ...]) -> Verbatim:
    """Return the body with its turns rewritten; the very same where nothing has to be."""
    name = "messages" if verbatim.dialect is Dialect.ANTHROPIC else "contents"
    raw = verbatim.fields[name]
    if not reader.foreign and _BEGINNING.encode() not in bytes(raw):
        return verbatim
    write = _anthropic_turns if verbatim.dialect is Dialect.ANTHROPIC else _gemini_turns
    turns = msgspec.Raw(_encode(write(_turns.decode(raw), reader)))
    decoded = msgspec.structs.replace(verbatim.decoded, messages=messages)
    fields = {**verbatim.fields, name: turns}
    return msgspec.structs.replace(verbatim, fields=fields, decoded=decoded)


def _text(raw: msgspec.Raw | None) -> str | None:
    return None if raw is None else msgspec.json.decode(raw, type=str | None)


def _anthropic_turns(turns: Iterable[_Fields], reader: _Reader) -> list[_Fields]:
    kept: list[_Fields] = []
    for turn in turns:
        if not bytes(turn["content"]).lstrip().startswith(b"["):
            kept.append(turn)
            continue
        blocks = _turns.decode(turn["content"])
        read = [own for block in blocks if (own := _anthropic_block(block, reader)) is not None]
        if read or not blocks:
            kept.append({**turn, "content": msgspec.Raw(_encode(read))})
    return kept


def _anthropic_block(block: _Fields, reader: _Reader) -> _Fields | None:
    where = {"thinking": "signature", "redacted_thinking": "data"}.get(_text(block["type"]) or "")
    signed = where and _text(block.get(where))
    if not where or not signed:
        return block
    signature, signer = read_signature(signed)
    if not reader.reads(signer, Dialect.ANTHROPIC):
        return None
    return block if signer is None else {**block, where: msgspec.Raw(_encode(signature))}


def _gemini_turns(turns: Iterable[_Fields], reader: _Reader) -> list[_Fields]:
    kept: list[_Fields] = []
    for turn in turns:
        parts = _turns.decode(turn.get("parts", b"[]"))
        read = [own for part in parts if (own := _gemini_part(part, reader)) is not None]
        if read or not parts:
            kept.append({**turn, "parts": msgspec.Raw(_encode(read))} if parts else turn)
    return kept


def _gemini_part(part: _Fields, reader: _Reader) -> _Fields | None:
    signed = _text(part.get("thoughtSignature"))
    if not signed:
        return part
    signature, signer = read_signature(signed)
    if reader.reads(signer, Dialect.GEMINI):
        return part if signer is None else part | {"thoughtSignature": _raw(signature)}
    if bytes(part.get("thought", b"")) == b"true" or (_text(part.get("text")) == ""):
        return None
    return {name: raw for name, raw in part.items() if name != "thoughtSignature"}


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(_encode(text))
