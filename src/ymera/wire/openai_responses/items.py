"""Input items to messages.

Items are finer than messages: reasoning, text and calls of one turn of the model are items of their
own. They are joined to one message, as the results of its calls must follow it at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ymera.core.chat import ImagePart, Message, Part, ReasoningPart, Role, TextPart, ToolCall
from ymera.core.model import Dialect
from ymera.wire.openai_responses.tools import LOCAL_SHELL, flat_name, freeform_arguments
from ymera.wire.problems import invalid, unsupported, wrong_shape

__all__ = ["ItemWire", "messages_of"]

_ROLES = {
    "user": Role.USER,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "assistant": Role.ASSISTANT,
}
_TEXTS = frozenset({"input_text", "output_text", "text", "refusal"})
_NOTHING = msgspec.Raw()


class _ContentWire(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None


class _TextWire(msgspec.Struct):
    text: str = ""


class _ActionWire(msgspec.Struct):
    command: list[str]
    working_directory: str | None = None
    timeout_ms: int | None = None


class ItemWire(msgspec.Struct):
    """One entry of `input`; Raw where kinds of items differ in type."""

    type: str | None = None
    role: str | None = None
    content: msgspec.Raw = _NOTHING
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    output: msgspec.Raw = _NOTHING
    summary: msgspec.Raw = _NOTHING
    action: msgspec.Raw = _NOTHING
    encrypted_content: str | None = None


_string = msgspec.json.Decoder(str)
_contents = msgspec.json.Decoder(list[_ContentWire])
_texts = msgspec.json.Decoder(list[_TextWire])
_action = msgspec.json.Decoder(_ActionWire)


def messages_of(items: Sequence[ItemWire]) -> tuple[Message, ...]:
    """Return the messages that the items add up to.

    Raises:
        InvalidRequest: an item lacks something or has a wrong type.
        Unsupported: an item of a kind that nothing here can read.
    """
    turns = _Turns()
    for index, item in enumerate(items):
        turns.add(item, f"input[{index}]")
    turns.end_turn()
    return tuple(turns.messages)


class _Turns:
    """Joins what the model said between two things that it was told."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._content: list[Part] = []
        self._calls: list[ToolCall] = []
        self._names: dict[str, str] = {}

    def add(self, item: ItemWire, where: str) -> None:
        match item.type:
            case None | "message":
                self._message(item, where)
            case "reasoning":
                self._content.append(_reasoning(item, where))
            case "function_call":
                name = flat_name(_required(item.name, f"{where}.name"), item.namespace)
                self._call(item, where, name, _text_of(item.arguments, f"{where}.arguments"))
            case "custom_tool_call":
                name = flat_name(_required(item.name, f"{where}.name"), item.namespace)
                text = _text_of(item.input, f"{where}.input")
                self._call(item, where, name, freeform_arguments(text))
            case "local_shell_call":
                self._call(item, where, LOCAL_SHELL, _shell_arguments(item, where))
            case "function_call_output" | "custom_tool_call_output" | "local_shell_call_output":
                self._result(item, where)
            case "item_reference":
                raise unsupported(
                    f"{where}.type", "a reference to a stored item", "Send the item itself."
                )
            case other:
                raise unsupported(
                    f"{where}.type", f"an item of type {other!r}", "Leave the item out."
                )

    def end_turn(self) -> None:
        """Write down what the model said since."""
        if self._content or self._calls:
            self.messages.append(
                Message(
                    role=Role.ASSISTANT,
                    content=tuple(self._content),
                    tool_calls=tuple(self._calls),
                )
            )
            self._content, self._calls = [], []

    def _message(self, item: ItemWire, where: str) -> None:
        role = _ROLES.get(item.role or "")
        if role is None:
            raise invalid(
                f"{where}.role",
                "is missing." if item.role is None else f"is {item.role!r}.",
                f"Use one of: {', '.join(_ROLES)}.",
            )
        content = _content(item.content, f"{where}.content")
        if role is not Role.ASSISTANT:
            self.end_turn()
            self.messages.append(Message(role=role, content=content))
            return
        self._content.extend(content)

    def _call(self, item: ItemWire, where: str, name: str, arguments: str) -> None:
        call_id = _required(item.call_id or item.id, f"{where}.call_id")
        self._names[call_id] = name
        self._calls.append(ToolCall(id=call_id, name=name, arguments=arguments))

    def _result(self, item: ItemWire, where: str) -> None:
        call_id = _required(item.call_id or item.id, f"{where}.call_id")
        self.end_turn()
        result = Message(
            role=Role.TOOL,
            content=_content(item.output, f"{where}.output"),
            tool_call_id=call_id,
            name=self._names.get(call_id),
        )
        self.messages.insert(self._place_of_result(call_id), result)

    def _place_of_result(self, call_id: str) -> int:
        """Return where a result goes: after its call and the results that are there already.

        Something may have been said in between, which upstreams would refuse.
        """
        end = len(self.messages)
        at = end
        while at > 0 and self.messages[at - 1].role is not Role.ASSISTANT:
            at -= 1
        if at == 0 or all(call.id != call_id for call in self.messages[at - 1].tool_calls):
            return end
        while at < end and self.messages[at].role is Role.TOOL:
            at += 1
        return at


def _required(value: str | None, param: str) -> str:
    if not value:
        raise invalid(param, "is missing.", f"Add `{param}`.")
    return value


def _text_of(raw: msgspec.Raw, param: str) -> str:
    if not bytes(raw):
        raise invalid(param, "is missing.", f"Add `{param}`.")
    try:
        return _string.decode(raw)
    except msgspec.DecodeError as error:
        raise wrong_shape(str(error), param) from error


def _content(raw: msgspec.Raw, param: str) -> tuple[Part, ...]:
    """Return the parts of a text, or of a list of parts."""
    held = bytes(raw)
    if held in {b"", b"null"}:
        return ()
    try:
        if held.startswith(b'"'):
            text = _string.decode(held)
            return (TextPart(text),) if text else ()
        contents = _contents.decode(held)
    except msgspec.DecodeError as error:
        raise wrong_shape(str(error), param) from error
    return tuple(_part(one, f"{param}[{index}]") for index, one in enumerate(contents))


def _part(wire: _ContentWire, where: str) -> Part:
    if wire.type in _TEXTS:
        text = wire.text if wire.text is not None else wire.refusal
        if text is None:
            raise invalid(f"{where}.text", "is missing.", f"Add `{where}.text`.")
        return TextPart(text)
    if wire.type == "input_image":
        if wire.image_url is None:
            raise unsupported(
                f"{where}.image_url", "an image by file id", "Send its URL, or a data: URL."
            )
        return ImagePart(url=wire.image_url, detail=wire.detail)
    raise unsupported(
        f"{where}.type", f"content of type {wire.type!r}", "Send input_text and input_image."
    )


def _reasoning(item: ItemWire, where: str) -> ReasoningPart:
    pieces: list[str] = []
    for name, raw in (("summary", item.summary), ("content", item.content)):
        if bytes(raw) in {b"", b"null"}:
            continue
        try:
            pieces = [one.text for one in _texts.decode(raw)] or pieces
        except msgspec.DecodeError as error:
            raise wrong_shape(str(error), f"{where}.{name}") from error
    sealed = item.encrypted_content
    return ReasoningPart(
        text="\n\n".join(pieces),
        signature=sealed,
        dialect=Dialect.OPENAI_RESPONSES if sealed else None,
        redacted=bool(sealed) and not pieces,
    )


def _shell_arguments(item: ItemWire, where: str) -> str:
    try:
        action = _action.decode(item.action)
    except msgspec.DecodeError as error:
        raise wrong_shape(str(error), f"{where}.action") from error
    fields: dict[str, object] = {"command": action.command}
    if action.working_directory is not None:
        fields["workdir"] = action.working_directory
    if action.timeout_ms is not None:
        fields["timeout_ms"] = action.timeout_ms
    return msgspec.json.encode(fields).decode()
