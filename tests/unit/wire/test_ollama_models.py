"""What Ollama's dialect says of models, and requests that only load one."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from ymera.wire.ollama.load import LoadRequest, encode_loaded, load_request
from ymera.wire.ollama.models import ModelCard, encode_running, encode_shown, encode_tags

AT = datetime(2026, 11, 22, 14, tzinfo=UTC)
PLAIN = ModelCard(name="auto")
WHOLE = ModelCard(
    name="local/tiny",
    family="qwen",
    context_window=8192,
    capabilities=("completion", "tools"),
    size_bytes=7,
    sha256="ab" * 32,
)


@pytest.mark.proves("server.ollama-models")
def test_a_list_has_a_row_for_each_name() -> None:
    plain, whole = msgspec.json.decode(encode_tags([PLAIN, WHOLE], AT))["models"]
    assert (plain["name"], plain["model"], plain["size"]) == ("auto", "auto", 0)
    assert len(plain["digest"]) == 64
    assert plain["modified_at"] == "2026-11-22T14:00:00Z"
    assert plain["details"]["families"] is None
    assert (whole["size"], whole["digest"]) == (7, "ab" * 32)
    assert (whole["details"]["format"], whole["details"]["families"]) == ("gguf", ["qwen"])


@pytest.mark.proves("server.ollama-models")
def test_loaded_models_are_told_with_their_context() -> None:
    (row,) = msgspec.json.decode(encode_running([WHOLE]))["models"]
    assert (row["name"], row["context_length"], row["size_vram"]) == ("local/tiny", 8192, 0)


@pytest.mark.proves("server.ollama-models")
def test_a_context_that_is_not_known_is_not_told() -> None:
    plain = msgspec.json.decode(encode_shown(PLAIN, AT))
    whole = msgspec.json.decode(encode_shown(WHOLE, AT))
    assert not [name for name in plain["model_info"] if name.endswith("context_length")]
    assert whole["model_info"]["qwen.context_length"] == 8192
    assert whole["capabilities"] == ["completion", "tools"]


@pytest.mark.proves("server.ollama-load")
@pytest.mark.parametrize(
    "fields",
    [
        {"model": "m", "prompt": "hi"},
        {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
        {"model": "m", "images": ["x"]},
        {"model": "m", "suffix": "end"},
        {"model": ""},
        {"prompt": ""},
        {"model": "m", "prompt": 7},
        {"model": "m", "system": "x" * 5000},
    ],
)
def test_a_request_with_a_question_is_no_request_to_load(fields: dict[str, object]) -> None:
    assert load_request(msgspec.json.encode(fields)) is None


@pytest.mark.proves("server.ollama-load")
@pytest.mark.parametrize(
    ("keep_alive", "unload"), [(None, False), ("5m", False), (-1, False), (0, True), ("0s", True)]
)
def test_a_time_of_nothing_unloads(keep_alive: object, unload: bool) -> None:
    body = msgspec.json.encode({"model": "m", "keep_alive": keep_alive})
    wanted = load_request(body)
    assert wanted == LoadRequest(model="m", unload=unload)
    told = msgspec.json.decode(encode_loaded(wanted, AT, chat=False))
    assert told["done_reason"] == ("unload" if unload else "load")
