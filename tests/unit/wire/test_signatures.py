"""A signature goes back to whoever made it and to nobody else, though many speak one dialect."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.answer import (
    AnswerBuilder,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from ymera.core.chat import ChatRequest, ReasoningPart
from ymera.core.model import Dialect
from ymera.wire.codec import AnswerHead
from ymera.wire.dialects import caller_dialect, upstream_dialect
from ymera.wire.signatures import marked, read_signature, readable_by, signer_of

CLAUDE, OTHER_CLAUDE = "anthropic/claude-opus-5-5", "anthropic/claude-haiku-5-5"
RESOLD = "relay/aws/anthropic.claude-opus-5-5"
DEEP, DEEPER = "deepseek/deepseek-chat", "deepseek/deepseek-reasoner"
GEMINI, RELAYED = "google/gemini-3.8-flash", "relay/gemini-3.8-flash"
SIGNATURE = b64encode(b"signed by whoever made it").decode()
HIDDEN = b64encode(b"nobody may read this").decode()
_ASKED = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}'


def _answered(dialect: Dialect, model_id: str, *, streamed: bool) -> list[dict[str, Any]]:
    """Return the turn that a caller gets of an answer of that model."""
    events: list[ChatEvent] = [
        ReasoningDelta("Two numbers.", SIGNATURE, dialect=dialect),
        TextDelta("Adding."),
        ToolCallDelta(index=0, id="c1", name="add", arguments='{"a":1}'),
        Finish(FinishReason.TOOL_CALLS),
    ]
    if dialect is Dialect.GEMINI:
        call = msgspec.structs.replace(events[2], signature=SIGNATURE)
        events[2] = call
    asked = ChatRequest(model="m", messages=())
    head = AnswerHead(id="req_1", created=1, model=model_id, request=asked)
    caller = caller_dialect(dialect)
    if streamed:
        encoder = caller.stream_encoder(head)
        data = b"".join(encoder.encode(event) for event in events) + encoder.end()
        return _joined(dialect, data)
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    body = json.loads(caller.encode_answer(builder.build(), head))
    if dialect is Dialect.GEMINI:
        return list(body["candidates"][0]["content"]["parts"])
    return list(body["content"])


def _joined(dialect: Dialect, data: bytes) -> list[dict[str, Any]]:
    said = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]
    if dialect is Dialect.GEMINI:
        return [part for each in said for part in each["candidates"][0]["content"]["parts"]]
    blocks: list[dict[str, Any]] = []
    for event in said:
        match event:
            case {"type": "content_block_start", "content_block": block}:
                blocks.append(dict(block))
            case {"delta": {"type": "signature_delta", "signature": signature}}:
                blocks[-1]["signature"] = signature
            case {"delta": {"type": "thinking_delta", "thinking": text}}:
                blocks[-1]["thinking"] += text
            case {"delta": {"type": "text_delta", "text": text}}:
                blocks[-1]["text"] += text
    return blocks


def _asked_again(dialect: Dialect, turn: list[dict[str, Any]]) -> ChatRequest:
    """Return the next request of a caller who sends everything back."""
    if dialect is Dialect.GEMINI:
        result: dict[str, object] = {
            "functionResponse": {"id": "c1", "name": "add", "response": {"output": 2}}
        }
        contents = [
            {"role": "user", "parts": [{"text": "Add."}]},
            {"role": "model", "parts": turn},
            {"role": "user", "parts": [result]},
        ]
        body: dict[str, object] = {"model": "m", "contents": contents}
    else:
        result = {"type": "tool_result", "tool_use_id": "c1", "content": "2"}
        mark = {"cache_control": {"type": "ephemeral"}}
        messages = [
            {"role": "user", "content": [{"type": "text", "text": "Add.", **mark}]},
            {"role": "assistant", "content": turn},
            {"role": "user", "content": [result]},
        ]
        body = {"model": "m", "max_tokens": 9, "messages": messages}
    return caller_dialect(dialect).decode_request(json.dumps(body).encode())


def _sent(dialect: Dialect, request: ChatRequest, model_id: str) -> tuple[str, tuple[str, ...]]:
    """Return the body that a host of the same dialect is sent, and what was lost."""
    request, lost = readable_by(model_id, request)
    upstream_id = model_id.partition("/")[2]
    encoded = upstream_dialect(dialect).encode_request(request, upstream_id, frozenset())
    return encoded.body.decode(), (*lost, *encoded.losses)


@pytest.mark.proves("wire.signature-maker")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("dialect", "made_by", "asked"),
    [
        (Dialect.ANTHROPIC, CLAUDE, CLAUDE),
        (Dialect.ANTHROPIC, CLAUDE, OTHER_CLAUDE),
        (Dialect.ANTHROPIC, CLAUDE, RESOLD),
        (Dialect.ANTHROPIC, RESOLD, CLAUDE),
        (Dialect.ANTHROPIC, DEEP, DEEPER),
        (Dialect.GEMINI, GEMINI, GEMINI),
        (Dialect.GEMINI, RELAYED, RELAYED),
    ],
)
def test_its_maker_gets_a_signature_back_as_it_was(
    dialect: Dialect, made_by: str, asked: str, streamed: bool
) -> None:
    turn = _answered(dialect, made_by, streamed=streamed)
    sent, lost = _sent(dialect, _asked_again(dialect, turn), asked)
    assert f'"{SIGNATURE}"' in sent
    assert "Two numbers." in sent
    assert lost == ()
    assert dialect is Dialect.GEMINI or "cache_control" in sent


@pytest.mark.proves("wire.signature-maker")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("dialect", "made_by", "asked"),
    [
        (Dialect.ANTHROPIC, DEEP, CLAUDE),
        (Dialect.ANTHROPIC, CLAUDE, DEEP),
        (Dialect.ANTHROPIC, DEEP, "ollama-cloud/kimi"),
        (Dialect.GEMINI, RELAYED, GEMINI),
        (Dialect.GEMINI, GEMINI, RELAYED),
    ],
)
def test_another_vendor_is_sent_the_conversation_without_it_and_that_is_recorded(
    dialect: Dialect, made_by: str, asked: str, streamed: bool
) -> None:
    turn = _answered(dialect, made_by, streamed=streamed)
    sent, lost = _sent(dialect, _asked_again(dialect, turn), asked)
    assert SIGNATURE not in sent
    assert "Two numbers." not in sent
    assert "Adding." in sent
    assert any("other vendors' models" in loss for loss in lost)
    assert dialect is Dialect.GEMINI or "cache_control" in sent


@pytest.mark.proves("wire.signature-maker")
@pytest.mark.parametrize("asked", [CLAUDE, DEEP])
def test_hidden_reasoning_goes_back_to_its_maker_alone(asked: str) -> None:
    turn: list[dict[str, Any]] = [
        {"type": "redacted_thinking", "data": marked(HIDDEN, DEEP, Dialect.ANTHROPIC)},
        {"type": "tool_use", "id": "c1", "name": "add", "input": {}},
    ]
    sent, lost = _sent(Dialect.ANTHROPIC, _asked_again(Dialect.ANTHROPIC, turn), asked)
    assert (f'"data":"{HIDDEN}"' in sent) is (asked == DEEP)
    assert bool(lost) is (asked != DEEP)


def test_a_turn_of_foreign_reasoning_alone_is_left_out() -> None:
    turn = [{"type": "redacted_thinking", "data": marked(HIDDEN, DEEP, Dialect.ANTHROPIC)}]
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "assistant", "content": turn}, {"role": "user", "content": "Hi"}],
    }
    request = caller_dialect(Dialect.ANTHROPIC).decode_request(json.dumps(body).encode())
    sent, _ = _sent(Dialect.ANTHROPIC, request, CLAUDE)
    assert json.loads(sent)["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.proves("wire.signature-maker")
def test_who_has_nothing_foreign_is_sent_the_very_same() -> None:
    request = caller_dialect(Dialect.ANTHROPIC).decode_request(_ASKED)
    assert readable_by(CLAUDE, request) == (request, ())
    assert readable_by(DEEP, request)[0] is request


@pytest.mark.proves("wire.signature-maker")
def test_a_request_that_was_made_here_loses_foreign_signatures_too() -> None:
    thought = ReasoningPart(
        text="hm", signature=SIGNATURE, dialect=Dialect.ANTHROPIC, signer="deepseek"
    )
    request = caller_dialect(Dialect.ANTHROPIC).decode_request(_ASKED)
    message = msgspec.structs.replace(request.messages[0], content=(thought,))
    request = msgspec.structs.replace(request, messages=(message,), verbatim=None)
    read, lost = readable_by(CLAUDE, request)
    assert read.messages[0].content == (ReasoningPart(text="hm"),)
    assert len(lost) == 1
    assert readable_by(DEEP, request) == (request, ())


@given(
    signature=st.binary(min_size=1, max_size=40).map(lambda raw: b64encode(raw).decode()),
    provider=st.from_regex(r"[a-z][a-z0-9._-]{0,40}", fullmatch=True),
    dialect=st.sampled_from([Dialect.ANTHROPIC, Dialect.GEMINI]),
)
def test_a_marked_signature_is_base64_and_says_who_made_it(
    signature: str, provider: str, dialect: Dialect
) -> None:
    text = marked(signature, f"{provider}/m", dialect)
    b64decode(text, validate=True)
    bare, signer = read_signature(text)
    own = {Dialect.ANTHROPIC: "anthropic", Dialect.GEMINI: "google"}[dialect]
    assert (bare, signer or own) == (signature, provider)


@pytest.mark.parametrize("text", ["", "S", "eW1lcmE6", "eW1lcmE6!!!!", "eW1lcmE6" + "A" * 400])
def test_what_only_looks_marked_is_left_as_it_is(text: str) -> None:
    assert read_signature(text) == (text, None)


@pytest.mark.parametrize(
    ("model_id", "signer"),
    [(CLAUDE, "anthropic"), (RESOLD, "anthropic"), (DEEP, "deepseek"), (RELAYED, "relay")],
)
def test_claude_signs_alike_wherever_it_is_served(model_id: str, signer: str) -> None:
    assert signer_of(model_id) == signer
