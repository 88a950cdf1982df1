"""The conversation as a caller of this dialect writes it."""

from __future__ import annotations

import re

import msgspec

from ymera.core.chat import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
)
from ymera.core.model import Dialect
from ymera.wire.gemini.contents import RESULT_KEYS
from ymera.wire.gemini.fields import (
    Content,
    FilePart,
    FunctionResponse,
    Request,
    WirePart,
)
from ymera.wire.problems import invalid, unsupported
from ymera.wire.signatures import read_signature
from ymera.wire.tool_arguments import arguments_as_text

__all__ = ["decode_messages"]

_ROLES = {"user": Role.USER, "function": Role.USER, "model": Role.ASSISTANT, None: Role.USER}
_NOT_TEXT = "Send text and images."
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_messages(wire: Request) -> tuple[Message, ...]:
    """Return the messages, the system instruction first.

    Raises:
        InvalidRequest: a role is unknown, or a result answers no call; `param` names it.
        Unsupported: a part that is neither text, image nor function; `param` names it.
    """
    messages: list[Message] = []
    for at, part in enumerate(wire.system_instruction.parts if wire.system_instruction else ()):
        if part.text is None:
            where = f"systemInstruction.parts[{at}]"
            raise unsupported(where, "a part that is no text", "Send text.")
    if wire.system_instruction is not None:
        texts = tuple(TextPart(part.text) for part in wire.system_instruction.parts if part.text)
        messages += [Message(role=Role.SYSTEM, content=texts)] if texts else []
    calls = _OpenCalls()
    for at, content in enumerate(wire.contents):
        where = f"contents[{at}]"
        role = _ROLES.get(content.role)
        if role is None:
            raise invalid(f"{where}.role", f"is {content.role!r}.", "Use `user` or `model`.")
        if role is Role.ASSISTANT:
            said = _answered(content, where, calls)
            if messages and messages[-1].role is Role.ASSISTANT:
                said = _joined(messages.pop(), said)
            messages.append(said)
        else:
            messages += _asked(content, where, calls)
    return tuple(messages)


def _joined(first: Message, second: Message) -> Message:
    """Return one answer: the vendor's SDK keeps each piece of a streamed one as a turn."""
    before, after = list(first.content), list(second.content)
    if before and after:
        match before[-1], after[0]:
            case TextPart(text=text), TextPart(text=more):
                before[-1:], after[:1] = [TextPart(text + more)], []
            case (
                ReasoningPart(text=text, signature=None),
                ReasoningPart(text=more) as last,
            ) if more:
                whole = msgspec.structs.replace(last, text=text + more)
                before[-1:], after[:1] = [whole], []
    return Message(
        role=Role.ASSISTANT,
        content=(*before, *after),
        tool_calls=first.tool_calls + second.tool_calls,
    )


class _OpenCalls:
    """Knows which calls wait for their results, for callers that leave the ids out."""

    def __init__(self) -> None:
        self._made = 0
        self._open: list[tuple[str, str]] = []

    def called(self, id: str | None, name: str) -> str:
        """Return the id of a call."""
        if not id:
            id = f"call_{self._made}"
            self._made += 1
        self._open.append((id, name))
        return id

    def answered(self, id: str | None, name: str) -> str | None:
        """Return the id of the call that a result answers; None when there is none."""
        for at, (open_id, open_name) in enumerate(self._open):
            if open_id == id or (not id and open_name == name):
                del self._open[at]
                return open_id
        return id or None


def _answered(content: Content, where: str, calls: _OpenCalls) -> Message:
    parts: list[Part] = []
    called: list[ToolCall] = []
    for at, part in enumerate(content.parts):
        place = f"{where}.parts[{at}]"
        if part.function_call is not None:
            call = part.function_call
            signature, signer = read_signature(part.thought_signature or "")
            called.append(
                ToolCall(
                    id=calls.called(call.id, call.name),
                    name=call.name,
                    arguments=arguments_as_text(_object(call.args, f"{place}.functionCall.args")),
                    signature=signature or None,
                    signer=signer,
                )
            )
        elif part.text is not None:
            parts += _texts(part)
        elif not part.thought_signature:
            parts.append(_picture(part, place))
    return Message(role=Role.ASSISTANT, content=tuple(parts), tool_calls=tuple(called))


def _texts(part: WirePart) -> list[Part]:
    """Return a text of the model's; a signature stands beside it, as reasoning nobody reads."""
    text, signed = part.text or "", part.thought_signature
    if not signed:
        return [ReasoningPart(text=text) if part.thought else TextPart(text)] if text else []
    signature, signer = read_signature(signed)
    thought = ReasoningPart(
        text=text if part.thought else "",
        signature=signature,
        dialect=Dialect.GEMINI,
        signer=signer,
    )
    return [thought] if part.thought or not text else [TextPart(text), thought]


def _asked(content: Content, where: str, calls: _OpenCalls) -> list[Message]:
    results: list[Message] = []
    parts: list[Part] = []
    for at, part in enumerate(content.parts):
        place = f"{where}.parts[{at}]"
        if part.function_response is not None:
            results.append(_result(part.function_response, f"{place}.functionResponse", calls))
        elif part.text is not None:
            parts.append(TextPart(part.text))
        else:
            parts.append(_picture(part, place))
    if parts or not results:
        results.append(Message(role=Role.USER, content=tuple(parts)))
    return results


def _result(response: FunctionResponse, where: str, calls: _OpenCalls) -> Message:
    call_id = calls.answered(response.id, response.name)
    if call_id is None:
        raise invalid(where, "answers no call.", "Send the call before its result.")
    text = bytes(_object(response.response, f"{where}.response")).decode()
    is_error = False
    fields = _fields.decode(text)
    if len(fields) == 1 and fields.keys() <= RESULT_KEYS:
        [(name, raw)] = fields.items()
        held = bytes(raw)
        text = msgspec.json.decode(held, type=str) if held.startswith(b'"') else held.decode()
        is_error = name == "error"
    pictures = tuple(
        _picture(part, f"{where}.parts[{at}]") for at, part in enumerate(response.parts or ())
    )
    return Message(
        role=Role.TOOL,
        content=(*((TextPart(text),) if text else ()), *pictures),
        tool_call_id=call_id,
        name=response.name or None,
        is_error=is_error,
    )


def _object(raw: msgspec.Raw, param: str) -> msgspec.Raw:
    text = bytes(raw).strip()
    if text in {b"", b"null"}:
        return msgspec.Raw(b"{}")
    if not text.startswith(b"{"):
        raise invalid(param, "is not a JSON object.", "Send an object.")
    return msgspec.Raw(text)


def _picture(part: FilePart, where: str) -> ImagePart:
    inline, file = part.inline_data, part.file_data
    if inline is not None:
        kind = (inline.mime_type or "").lower()
        if not re.fullmatch(r"image/[\w.+-]+", kind):
            raise unsupported(f"{where}.inlineData.mimeType", f"a file of type {kind!r}", _NOT_TEXT)
        return ImagePart(url=f"data:{kind};base64,{inline.data}")
    if file is not None:
        kind = (file.mime_type or "image/*").lower()
        if not kind.startswith("image/"):
            raise unsupported(f"{where}.fileData.mimeType", f"a file of type {kind!r}", _NOT_TEXT)
        if not file.file_uri.startswith(("http://", "https://")):
            raise unsupported(
                f"{where}.fileData.fileUri", "a file stored with the vendor", "Send it inline."
            )
        return ImagePart(url=file.file_uri)
    raise unsupported(where, "a part that is neither text, image nor function", _NOT_TEXT)
