"""Fields of a caller that a lenient server would take for others."""

from __future__ import annotations

from types import ModuleType

import msgspec
import pytest

from ymera.core.chat import Message, Role, TextPart
from ymera.wire import anthropic, gemini, ollama, openai_chat
from ymera.wire.field_names import is_named_like


@pytest.mark.proves("wire.named-alike")
@pytest.mark.parametrize("dialect", [openai_chat, ollama, anthropic])
@pytest.mark.parametrize("redacted", [False, True])
def test_no_field_named_like_another_reaches_an_upstream(
    dialect: ModuleType, redacted: bool
) -> None:
    asked = {"model": "free", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    alike: dict[str, object] = {"Model": "dear", "STREAM": True, "toolS": []}
    alike["me\u017f\u017fages"] = [{"role": "user", "content": "evil"}]
    request = dialect.CALLER.decode_request(msgspec.json.encode(asked | alike))
    if redacted:
        held = (Message(role=Role.USER, content=(TextPart("[redacted]"),)),)
        request = msgspec.structs.replace(request, messages=held)
    body = dialect.UPSTREAM.encode_request(request, "free", frozenset()).body
    assert alike.keys().isdisjoint(msgspec.json.decode(body))
    assert msgspec.json.decode(body)["model"] == "free"


@pytest.mark.proves("wire.named-alike")
def test_what_bars_a_field_bars_it_in_capitals_too() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "API_Base": "http://x"}
    request = openai_chat.decode_request(msgspec.json.encode(body))
    sent = openai_chat.encode_request(request, "m").body
    assert "API_Base" not in msgspec.json.decode(sent)


@pytest.mark.parametrize(
    ("name", "alike"), [("model", False), ("MODEL", True), ("models", False), ("other", False)]
)
def test_the_name_itself_is_not_named_like_it(name: str, alike: bool) -> None:
    assert is_named_like(name, frozenset({"model"})) is alike


@pytest.mark.proves("wire.named-alike")
def test_googles_fields_are_barred_in_another_spelling_too() -> None:
    asked = {"contents": [{"parts": [{"text": "hi"}]}], "systeminstruction": {"parts": []}, "x": 1}
    request = gemini.CALLER.decode_request(msgspec.json.encode({"model": "m", **asked}))
    body = gemini.UPSTREAM.encode_request(request, "m", frozenset()).body
    assert msgspec.json.decode(body).keys() == {"contents", "x"}
