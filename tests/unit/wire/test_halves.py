"""Characters that an upstream cuts in two reach the caller whole; no answer fails for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.answer import AnswerBuilder, ChatAnswer, ChatEvent
from ymera.core.errors import ProviderError
from ymera.core.model import Dialect
from ymera.wire.dialects import UPSTREAM_DIALECTS, upstream_dialect

_DIALECTS = sorted(UPSTREAM_DIALECTS)
_ODD = "\U0010f000\U0010f03d\U0010f7ff\U0010ffff"
_TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from('😀🇩🇪👩‍🚀é\\"\n' + _ODD),
    ),
    min_size=1,
    max_size=24,
)


def _units(text: str) -> list[str]:
    """Return the halves and whole characters that UTF-16 makes of a text."""
    raw = text.encode("utf-16-le")
    return [raw[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(raw), 2)]


def _pieces(text: str, cuts: Iterable[int]) -> list[str]:
    units = _units(text)
    places = [0, *sorted({cut % (len(units) + 1) for cut in cuts}), len(units)]
    pieces = ["".join(units[a:b]) for a, b in pairwise(places)]
    return [_paired(piece) for piece in pieces]


def _paired(piece: str) -> str:
    """Join what stands together, so that a piece has halves only at its ends."""
    return piece.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _openai(field: str, piece: str) -> object:
    delta: dict[str, object] = {field: piece}
    if field == "arguments":
        delta = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", field: piece}}]}
    return {"choices": [{"index": 0, "delta": delta, "logprobs": {"content": [{"token": piece}]}}]}


def _anthropic(field: str, piece: str) -> object:
    name = {"content": "text", "reasoning_content": "thinking", "arguments": "partial_json"}[field]
    return {"type": "content_block_delta", "index": 0, "delta": {name: piece}}


def _gemini(field: str, piece: str) -> object:
    part = {"text": piece, "thought": field == "reasoning_content"}
    return {"candidates": [{"content": {"parts": [part]}}]}


def _ollama(field: str, piece: str) -> object:
    name = {"content": "content", "reasoning_content": "thinking"}[field]
    return {"message": {"role": "assistant", name: piece}, "done": False}


_CHUNKS: dict[Dialect, Callable[[str, str], object]] = {
    Dialect.OPENAI_CHAT: _openai,
    Dialect.ANTHROPIC: _anthropic,
    Dialect.GEMINI: _gemini,
    Dialect.OLLAMA: _ollama,
}
_ENDS: dict[Dialect, bytes] = {
    Dialect.OPENAI_CHAT: b"[DONE]",
    Dialect.ANTHROPIC: b'{"type":"message_stop"}',
    Dialect.GEMINI: b'{"candidates":[{"finishReason":"STOP"}]}',
    Dialect.OLLAMA: b'{"message":{"content":""},"done":true}',
}
_CALL = (
    b'{"type":"content_block_start","index":0,'
    b'"content_block":{"type":"tool_use","id":"c","name":"f"}}'
)


def _encoded(chunk: object, *, ascii_only: bool) -> bytes:
    text = json.dumps(chunk, ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass")


def _built(events: Iterable[ChatEvent]) -> ChatAnswer:
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


def _streamed(
    dialect: Dialect, field: str, pieces: Iterable[str], *, ascii_only: bool = True
) -> ChatAnswer:
    decoder = upstream_dialect(dialect).stream_decoder(())
    events: list[ChatEvent] = []
    if field == "arguments" and dialect is Dialect.ANTHROPIC:
        events += decoder.feed(_CALL)
    for piece in pieces:
        events += decoder.feed(_encoded(_CHUNKS[dialect](field, piece), ascii_only=ascii_only))
    return _built([*events, *decoder.feed(_ENDS[dialect])])


@pytest.mark.proves("wire.half-characters")
@pytest.mark.parametrize("dialect", _DIALECTS)
@given(
    text=_TEXTS,
    cuts=st.lists(st.integers(0, 60), max_size=12),
    field=st.sampled_from(["content", "reasoning_content"]),
    ascii_only=st.booleans(),
)
def test_any_split_of_any_text_gives_the_same_text(
    dialect: Dialect, text: str, cuts: list[int], field: str, ascii_only: bool
) -> None:
    answer = _streamed(dialect, field, _pieces(text, cuts), ascii_only=ascii_only)
    assert (answer.text if field == "content" else answer.reasoning) == text


@pytest.mark.proves("wire.half-characters")
@pytest.mark.parametrize("dialect", [Dialect.OPENAI_CHAT, Dialect.ANTHROPIC])
@given(text=_TEXTS, cuts=st.lists(st.integers(0, 60), max_size=12))
def test_any_split_of_any_arguments_gives_the_same_arguments(
    dialect: Dialect, text: str, cuts: list[int]
) -> None:
    arguments = json.dumps({"a": text}, ensure_ascii=False)
    answer = _streamed(dialect, "arguments", _pieces(arguments, cuts))
    assert [(call.id, call.name) for call in answer.tool_calls] == [("c", "f")]
    assert json.loads(answer.tool_calls[0].arguments) == {"a": text}


@pytest.mark.proves("wire.half-characters")
@pytest.mark.parametrize("dialect", _DIALECTS)
@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["a\ud83d"], "a\ufffd"),
        (["\ude00b"], "\ufffdb"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["\ud83d", "\ud83d", "\ude00"], "\ufffd😀"),
        (["\ud83d", "", "\ude00"], "😀"),
    ],
)
def test_a_half_that_stays_alone_is_shown_as_what_it_is(
    dialect: Dialect, pieces: list[str], shown: str
) -> None:
    assert _streamed(dialect, "content", pieces).text == shown


def _plain(dialect: Dialect, text: str) -> bytes:
    wholes: dict[Dialect, object] = {
        Dialect.OPENAI_CHAT: {"choices": [{"message": {"content": text}}]},
        Dialect.ANTHROPIC: {
            "type": "message",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
        },
        Dialect.GEMINI: [
            {"candidates": [{"content": {"parts": [{"text": text}]}}]},
            {"candidates": [{"finishReason": "STOP"}]},
        ],
        Dialect.OLLAMA: {"message": {"content": text}, "done": True},
    }
    return json.dumps(wholes[dialect]).encode()


@pytest.mark.proves("wire.half-characters")
@pytest.mark.parametrize("dialect", _DIALECTS)
def test_a_plain_answer_with_half_a_character_is_an_answer(dialect: Dialect) -> None:
    body = _plain(dialect, "a\ud83d \\u \\ud83d 😀")
    answer = _built(upstream_dialect(dialect).decode_answer(body, ()))
    assert answer.text == "a\ufffd \\u \\ud83d 😀"


@pytest.mark.parametrize("dialect", _DIALECTS)
@pytest.mark.parametrize("data", [b'{"\\ud83d"', b"\\ud83d", b'["\\ud83d"]'])
def test_what_is_no_json_is_still_refused(dialect: Dialect, data: bytes) -> None:
    with pytest.raises(ProviderError, match="upstream sent"):
        upstream_dialect(dialect).stream_decoder(()).feed(data)
