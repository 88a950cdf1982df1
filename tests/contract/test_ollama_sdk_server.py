"""The official Ollama SDK takes `ymera serve` for an Ollama server."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import ollama
import pytest

from tests.support.hosted import hosting
from tests.support.server import RunningServer, serving
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, ImagePart, Role, ToolCall, prompt_text
from ymera.core.usage import Usage

pytestmark = pytest.mark.proves("server.ollama-sdk")

USAGE = Usage(input_tokens=12, output_tokens=34)
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


def answer(request: ChatRequest) -> ChatAnswer:
    """Stand in for a model: what it says depends on what reached it."""
    last = request.messages[-1]
    finish, text, reasoning = FinishReason.STOP, f"You asked: {prompt_text(request)}", ""
    calls: tuple[ToolCall, ...] = ()
    if last.role is Role.TOOL:
        text = f"{last.text} came from {last.tool_call_id}"
    elif request.tools:
        finish, text = FinishReason.TOOL_CALLS, ""
        calls = (ToolCall(id="call_of_host", name="add", arguments='{"a":2,"b":3}'),)
    elif any(isinstance(part, ImagePart) for part in last.content):
        text = "a picture of one pixel"
    elif request.response_format is not None:
        text = '{"age":22}'
    elif request.sampling.reasoning_effort is not None:
        reasoning = f"thought with {request.sampling.reasoning_effort} effort"
    if request.sampling.max_tokens == 1:
        finish = FinishReason.LENGTH
    return ChatAnswer(
        text=text, reasoning=reasoning, finish_reason=finish, tool_calls=calls, usage=USAGE
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("data")
    with hosting(answer) as hosted:
        able = {f"YMERA_PROVIDERS__STAGE__{name}": "true" for name in ("TOOLS", "JSON_SCHEMA")}
        settings = {**hosted.only(), **able, "YMERA_DATA_DIR": str(data)}
        with serving(settings) as running:
            yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.url) as client:
        yield client


def test_it_chats(client: ollama.Client) -> None:
    reply = client.chat(model="auto", messages=[{"role": "user", "content": "Say hello"}])
    assert reply.message.content == "You asked: Say hello"
    assert reply.model == "stage/actor"
    assert (reply.done, reply.done_reason) == (True, "stop")
    assert (reply.prompt_eval_count, reply.eval_count) == (12, 34)
    assert reply.total_duration is not None
    assert reply.eval_duration is not None
    assert 0 < reply.eval_duration <= reply.total_duration
    assert reply.created_at is not None
    assert reply.created_at.endswith("Z")


def test_it_streams_piece_by_piece_with_usage(client: ollama.Client) -> None:
    pieces = list(
        client.chat(
            model="auto", messages=[{"role": "user", "content": "Say good day"}], stream=True
        )
    )
    assert "".join(piece.message.content or "" for piece in pieces) == "You asked: Say good day"
    assert len(pieces) > 2
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    last = pieces[-1]
    assert (last.done_reason, last.prompt_eval_count, last.eval_count) == ("stop", 12, 34)
    assert last.prompt_eval_duration is not None
    assert last.total_duration is not None
    assert 0 < last.prompt_eval_duration <= last.total_duration


def test_streaming_is_what_it_does_when_nothing_is_said(server: RunningServer) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    raw = httpx.post(f"{server.url}/api/chat", json=body)
    assert raw.headers["content-type"].startswith("application/x-ndjson")
    assert raw.text.count("\n") > 2
    assert raw.headers["x-ymera-model"] == "stage/actor"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_tools_go_round(client: ollama.Client, stream: bool) -> None:
    asked: list[dict[str, object]] = [{"role": "user", "content": "add 2 and 3"}]
    parts = (
        list(client.chat(model="auto", messages=asked, tools=[ADD], stream=True))
        if stream
        else [client.chat(model="auto", messages=asked, tools=[ADD])]
    )
    (call,) = [call for part in parts for call in part.message.tool_calls or ()]
    assert (call.function.name, dict(call.function.arguments)) == ("add", {"a": 2, "b": 3})
    assert parts[-1].done_reason == "stop"

    turn = {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]}
    result = {"role": "tool", "tool_name": "add", "content": "5"}
    reply = client.chat(model="auto", messages=[*asked, turn, result], tools=[ADD])
    assert reply.message.content == "5 came from call_0"  # the SDK keeps no ids


@pytest.mark.parametrize(("think", "effort"), [(True, "medium"), ("high", "high"), (False, "none")])
def test_thinking_is_kept_apart(client: ollama.Client, think: bool | str, effort: str) -> None:
    asked = [{"role": "user", "content": "Why?"}]
    reply = client.chat(model="auto", messages=asked, think=think)
    streamed = list(client.chat(model="auto", messages=asked, think=think, stream=True))
    assert reply.message.thinking == f"thought with {effort} effort"
    assert "".join(part.message.thinking or "" for part in streamed) == reply.message.thinking
    assert "".join(part.message.content or "" for part in streamed) == "You asked: Why?"


def test_a_schema_reaches_the_model(client: ollama.Client) -> None:
    asked = [{"role": "user", "content": "How old?"}]
    assert client.chat(model="auto", messages=asked, format=SCHEMA).message.content == '{"age":22}'
    assert client.generate(model="auto", prompt="How old?", format="json").response == '{"age":22}'


def test_images_reach_the_model(client: ollama.Client) -> None:
    turn = {"role": "user", "content": "What is it?", "images": [PIXEL]}
    reply = client.chat(model="stage/actor", messages=[turn])
    assert reply.message.content == "a picture of one pixel"
    made = client.generate(model="stage/actor", prompt="What is it?", images=[PIXEL])
    assert made.response == "a picture of one pixel"


def test_it_generates(client: ollama.Client) -> None:
    reply = client.generate(
        model="stage/actor:latest",
        prompt="Say hello",
        system="Be brief.",
        options={"num_predict": 1, "num_ctx": 8192},
    )
    assert reply.response == "You asked: Say hello"
    assert (reply.done, reply.done_reason, reply.eval_count) == (True, "length", 34)
    pieces = list(client.generate(model="auto:latest", prompt="Say good day", stream=True))
    assert "".join(piece.response or "" for piece in pieces) == "You asked: Say good day"
    assert pieces[-1].done


def test_loading_a_model_ahead_asks_none(client: ollama.Client) -> None:
    loaded = client.generate(model="auto", prompt="")
    assert (loaded.response, loaded.done, loaded.done_reason) == ("", True, "load")
    unloaded = list(client.chat(model="stage/actor", messages=[], keep_alive=0, stream=True))
    assert [part.done_reason for part in unloaded] == ["unload"]
    with pytest.raises(ollama.ResponseError, match="not found"):
        client.generate(model="nobody", prompt="")


@pytest.mark.proves("server.ollama-models")
def test_it_lists_and_shows_models(client: ollama.Client) -> None:
    listed = client.list().models
    names = [model.model for model in listed]
    assert names[:5] == ["auto", "free", "fast", "best", "cheapest"]
    assert "stage/actor" in names
    assert all(model.digest and len(model.digest) == 64 for model in listed)
    assert all(model.modified_at for model in listed)

    shown = client.show("stage/actor:latest")
    assert shown.capabilities == ["completion", "tools"]
    assert client.show("auto").capabilities == ["completion", "tools"]
    known = client.show("ollama/gemma4:31b")
    assert known.modelinfo is not None
    assert known.modelinfo["gemma.context_length"] == 262144
    assert client.ps().models == []


@pytest.mark.proves("server.error-dialect")
def test_its_errors_are_the_sdks_own(client: ollama.Client, server: RunningServer) -> None:
    asked = [{"role": "user", "content": "hi"}]
    with pytest.raises(ollama.ResponseError, match="no-such-model") as caught:
        client.chat(model="no-such-model", messages=asked)
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="no-such-model") as caught:
        list(client.chat(model="no-such-model", messages=asked, stream=True))
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        client.show("no-such-model")
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="`raw`") as caught:
        client.generate(model="auto", prompt="hi", raw=True)
    assert caught.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="ymera models pull"):
        client.pull("llama3.2")
    wrong_method = httpx.get(f"{server.url}/api/chat")
    assert wrong_method.status_code == 405
    assert "GET /api/chat" in wrong_method.json()["error"]
    foreign = httpx.get(f"{server.url}/api/tags", headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert "evil.example" in foreign.json()["error"]


def test_its_version_is_one_that_clients_take(server: RunningServer) -> None:
    version = httpx.get(f"{server.url}/api/version").json()["version"]
    assert tuple(map(int, version.split("."))) >= (0, 6, 4)
