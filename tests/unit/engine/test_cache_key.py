"""Requests share an answer only when nothing that a model may be sent differs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engine import ask
from ymera.core.access import LOCAL_OWNER
from ymera.core.chat import ChatRequest, Message, RequestHints, Role, TextPart
from ymera.core.errors import RequestError
from ymera.core.model import Dialect
from ymera.engine.cache import cache_key
from ymera.wire.dialects import caller_dialect

_UNKNOWN = {"mode": "a", "parts": [1, {"deep": True}], "of": None}
_IMAGE = "data:image/png;base64,iVBORw0KGgo="

_BODIES: dict[Dialect, dict[str, object]] = {
    Dialect.OPENAI_CHAT: {
        "model": "auto",
        "messages": [
            {"role": "system", "content": "Be brief.", "unknown": _UNKNOWN},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hi", "unknown": _UNKNOWN},
                    {"type": "image_url", "image_url": {"url": _IMAGE, "unknown": 1}},
                ],
            },
        ],
        "temperature": 0,
        "response_format": {"type": "json_object", "unknown": 1},
        "unknown": _UNKNOWN,
    },
    Dialect.OPENAI_RESPONSES: {
        "model": "auto",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "Hi", "unknown": _UNKNOWN}],
        "temperature": 0,
        "text": {"verbosity": "low"},
        "unknown": _UNKNOWN,
    },
    Dialect.ANTHROPIC: {
        "model": "auto",
        "max_tokens": 10,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi", "unknown": _UNKNOWN}]}
        ],
        "temperature": 0,
        "unknown": _UNKNOWN,
    },
    Dialect.GEMINI: {
        "model": "auto",
        "contents": [{"role": "user", "parts": [{"text": "Hi", "unknown": _UNKNOWN}]}],
        "generationConfig": {"temperature": 0, "unknown": _UNKNOWN},
        "safetySettings": [{"category": "A", "threshold": "B"}],
    },
    Dialect.OLLAMA: {
        "model": "auto",
        "messages": [{"role": "user", "content": "Hi", "unknown": _UNKNOWN}],
        "options": {"temperature": 0, "mirostat": 1},
        "keep_alive": "5m",
        "unknown": _UNKNOWN,
    },
}
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**31), 2**31), st.text(max_size=4), st.just(_IMAGE)
)


def _places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    yield path
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _places(each, (*path, name))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _places(each, (*path, at))


def _with(value: object, path: tuple[object, ...], change: object) -> object:
    if not path:
        if isinstance(value, dict):
            return {**value, "one_more": change}
        return [*value, change] if isinstance(value, list) else change
    if isinstance(value, dict):
        return {k: _with(v, path[1:], change) if k == path[0] else v for k, v in value.items()}
    assert isinstance(value, list)
    return [_with(v, path[1:], change) if k == path[0] else v for k, v in enumerate(value)]


def _decoded(dialect: Dialect, body: object) -> ChatRequest:
    return caller_dialect(dialect).decode_request(json.dumps(body).encode())


@pytest.mark.proves("cache.exact")
@pytest.mark.parametrize("dialect", _BODIES)
@given(data=st.data())
def test_whatever_changes_in_a_body_changes_the_key(dialect: Dialect, data: st.DataObject) -> None:
    body = _BODIES[dialect]
    path = data.draw(st.sampled_from(list(_places(body))))
    changed = _with(body, path, data.draw(_SCALARS))
    try:
        other = _decoded(dialect, changed)
    except RequestError:
        return
    key = cache_key(other, LOCAL_OWNER)
    same = json.dumps(changed, sort_keys=True) == json.dumps(body, sort_keys=True)
    assert (key == cache_key(_decoded(dialect, body), LOCAL_OWNER)) is same


@pytest.mark.proves("cache.exact")
@pytest.mark.parametrize("dialect", _BODIES)
def test_the_same_body_has_the_same_key_streamed_or_not(dialect: Dialect) -> None:
    body = _BODIES[dialect]
    key = cache_key(_decoded(dialect, body), LOCAL_OWNER)
    assert key is not None
    assert key == cache_key(_decoded(dialect, dict(reversed(body.items()))), LOCAL_OWNER)
    if dialect is not Dialect.GEMINI:  # there the path says it
        streamed = _decoded(dialect, {**body, "stream": True})
        assert key == cache_key(streamed, LOCAL_OWNER)
        assert streamed.stream


@pytest.mark.proves("cache.exact")
def test_what_was_changed_on_the_way_counts_beside_the_body() -> None:
    came = _decoded(Dialect.OPENAI_CHAT, _BODIES[Dialect.OPENAI_CHAT])
    redacted = (Message(role=Role.USER, content=(TextPart("[redacted]"),)),)
    changed = msgspec.structs.replace(came, messages=redacted)
    keys = {cache_key(each, LOCAL_OWNER) for each in (came, changed)}
    assert len(keys) == 2


@pytest.mark.proves("cache.exact")
@pytest.mark.parametrize(
    "changes",
    [
        {"tool_choice": "none"},
        {"parallel_tools": True},
        {"hints": RequestHints(use_tools=("*",))},
        {"hints": RequestHints(avoid_models={"a/m": "failed"})},
    ],
    ids=str,
)
def test_what_only_the_library_says_counts_too(changes: dict[str, object]) -> None:
    other = msgspec.structs.replace(ask(), **changes)
    assert cache_key(other, LOCAL_OWNER) != cache_key(ask(), LOCAL_OWNER)


def test_text_that_no_upstream_could_be_sent_is_not_cached() -> None:
    assert cache_key(ask("half \ud83d"), LOCAL_OWNER) is None
