"""Whatever a guard takes out of a request stays out, though the rest goes as it was written."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.chat import ChatRequest, ReasoningPart, TextPart
from ymera.core.model import Dialect
from ymera.wire.dialects import caller_dialect, upstream_dialect

SECRET = "correct horse battery staple"
CACHED = {"cache_control": {"type": "ephemeral"}}
_NOTE = {"unknown": {"note": [SECRET]}}


def _openai(text: str) -> dict[str, Any]:
    parts = [{"type": "text", "text": text, **CACHED, **_NOTE}]
    return {"model": "m", "messages": [{"role": "user", "content": parts, **_NOTE}]}


def _anthropic(text: str) -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": text, "signature": "c2ln"}
    blocks = [{"type": "text", "text": text, **CACHED, **_NOTE}]
    turns = [
        {"role": "user", "content": blocks},
        {"role": "assistant", "content": [thought, {"type": "text", "text": text}]},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    ]
    system = [{"type": "text", "text": text, **CACHED}]
    return {"model": "m", "max_tokens": 9, "system": system, "messages": turns}


def _gemini(text: str) -> dict[str, Any]:
    return {"model": "m", "contents": [{"role": "user", "parts": [{"text": text, **_NOTE}]}]}


def _ollama(text: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text, **_NOTE}]}


BODIES = {
    Dialect.OPENAI_CHAT: _openai,
    Dialect.ANTHROPIC: _anthropic,
    Dialect.GEMINI: _gemini,
    Dialect.OLLAMA: _ollama,
}
DIALECTS = sorted(BODIES)
FURTHER = {
    "prediction": {"type": "content", "content": SECRET},
    "suffix": SECRET,
    "words": {SECRET: 1},
    "plain": {"a": [1, True, None, "short"]},
}


def decoded(dialect: Dialect, body: dict[str, Any]) -> ChatRequest:
    return caller_dialect(dialect).decode_request(json.dumps(body).encode())


def redacted(request: ChatRequest) -> ChatRequest:
    """Return what a guard makes of a request: the secret is nowhere in what it can read."""

    def part(one: Any) -> Any:
        if isinstance(one, TextPart | ReasoningPart):
            return msgspec.structs.replace(one, text=one.text.replace(SECRET, "[redacted]"))
        return one

    messages = tuple(
        msgspec.structs.replace(each, content=tuple(map(part, each.content)))
        for each in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)


def sent(dialect: Dialect, request: ChatRequest) -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = upstream_dialect(dialect).encode_request(request, "there", frozenset())
    return json.loads(encoded.body), encoded.losses


@pytest.mark.proves("wire.redaction-wins")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_guard_took_out_is_nowhere_in_the_body(dialect: Dialect) -> None:
    request = decoded(dialect, {**BODIES[dialect](f"It is {SECRET}."), **FURTHER})
    body, losses = sent(dialect, redacted(request))

    assert SECRET not in json.dumps(body)
    assert "It is [redacted]." in json.dumps(body)
    assert body["plain"] == FURTHER["plain"]
    assert any("prediction, suffix, words left out" in loss for loss in losses)


@pytest.mark.proves("wire.redaction-wins", "wire.verbatim")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_no_guard_touched_goes_as_it_was_written(dialect: Dialect) -> None:
    asked = {**BODIES[dialect]("It is nothing."), **FURTHER}
    body, losses = sent(dialect, decoded(dialect, asked))

    assert losses == ()
    assert {name: body.get(name) for name in asked if name != "model"} == {
        name: value for name, value in asked.items() if name != "model"
    }


ALIKE = {
    Dialect.OPENAI_CHAT: ["Content", "TEXT", "Role", "Tool_Calls", "IMAGE_URL"],
    Dialect.ANTHROPIC: ["Content", "TEXT", "Thinking", "\u017fource"],
    Dialect.GEMINI: ["Parts", "Text", "functioncall", "InlineData"],
    Dialect.OLLAMA: ["CONTENT", "Thinking", "Tool_Call\u017f"],
}
OTHER = ["cont\u0435nt", "tex", "contents2"]


def _put(value: Any, name: str, at: int) -> Any:
    """Return turns with one more field: in the first one, or in its first part."""
    turn = dict(value[0])
    parts = next((key for key, each in turn.items() if isinstance(each, list)), None)
    if at == 0 or parts is None:
        turn[name] = "another text"
    else:
        turn[parts] = [{**turn[parts][0], name: "another text"}, *turn[parts][1:]]
    return [turn, *value[1:]]


@pytest.mark.proves("wire.named-alike")
@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data(), at=st.integers(0, 1))
def test_no_field_within_a_turn_can_be_taken_for_one_that_was_read(
    dialect: Dialect, data: st.DataObject, at: int
) -> None:
    name = data.draw(st.sampled_from([*ALIKE[dialect], *OTHER]))
    asked = BODIES[dialect]("Hi there")
    turns = "contents" if dialect is Dialect.GEMINI else "messages"
    asked[turns] = _put(asked[turns], name, at)
    body, losses = sent(dialect, decoded(dialect, asked))

    barred = name not in OTHER
    assert ("another text" in json.dumps(body[turns])) is not barred
    assert any("named like others" in loss for loss in losses) is barred
    assert "Hi there" in json.dumps(body)


@pytest.mark.proves("wire.owner-decides")
@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("name", ["routingConfig", "routing_config", "modelSelectionConfig"])
def test_no_caller_chooses_another_model_within_the_generation_settings(
    name: str, changed: bool
) -> None:
    choice = {"manualMode": {"modelName": "dear"}}
    config = {name: choice, "mediaResolution": "LOW", "temperature": 0.5}
    request = decoded(Dialect.GEMINI, {**_gemini(SECRET), "generationConfig": config})
    body, losses = sent(Dialect.GEMINI, redacted(request) if changed else request)

    assert "dear" not in json.dumps(body)
    assert body["generationConfig"] == {"mediaResolution": "LOW", "temperature": 0.5}
    assert any("for the owner of the key" in loss for loss in losses)


@pytest.mark.proves("wire.owner-decides")
def test_no_caller_chooses_another_model_by_a_preset() -> None:
    body, _ = sent(
        Dialect.OPENAI_CHAT, decoded(Dialect.OPENAI_CHAT, {**_openai("Hi"), "preset": "dear"})
    )
    assert "preset" not in body


@pytest.mark.proves("wire.redaction-wins")
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_bound_that_was_lowered_on_the_way_is_the_one_that_is_sent(dialect: Dialect) -> None:
    asked = BODIES[dialect]("Hi")
    match dialect:
        case Dialect.GEMINI:
            asked["generationConfig"] = {"maxOutputTokens": 9000}
        case Dialect.OLLAMA:
            asked["options"] = {"num_predict": 9000}
        case _:
            asked["max_tokens"] = 9000
    request = decoded(dialect, asked)
    assert request.sampling.max_tokens == 9000
    sampling = msgspec.structs.replace(request.sampling, max_tokens=10)
    body, _ = sent(dialect, msgspec.structs.replace(request, sampling=sampling))
    assert "9000" not in json.dumps(body)
    assert "10" in json.dumps(body)
