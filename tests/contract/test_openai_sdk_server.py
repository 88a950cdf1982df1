"""The official OpenAI SDK takes `ymera serve` for an OpenAI server."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.support.server import SCRIPTED, RunningServer, serving

pytestmark = pytest.mark.proves("server.openai-sdk")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("data")
    with serving({**SCRIPTED, "YMERA_DATA_DIR": str(data)}) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_it_chats(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": "Say hello"}]
    )
    assert answer.choices[0].message.content == "You asked: Say hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "stage/actor"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_it_streams_piece_by_piece_with_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": "Say good day"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [
        c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content
    ]
    assert "".join(pieces) == "You asked: Say good day"
    assert len(pieces) > 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None


@pytest.mark.proves("server.models")
def test_it_lists_models_with_the_aliases_first(client: openai.OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert ids[:5] == ["auto", "free", "fast", "best", "cheapest"]
    assert "stage/actor" in ids
    assert len(ids) == len(set(ids))
    assert client.models.retrieve("stage/actor").id == "stage/actor"


@pytest.mark.proves("server.error-dialect")
def test_its_errors_are_the_sdks_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(
            model="no-such-model", messages=[{"role": "user", "content": "hi"}]
        )
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert caught.value.request_id
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")
    with pytest.raises(openai.BadRequestError, match="empty"):
        client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "  "}])


@pytest.mark.proves("server.headers")
def test_answers_say_what_was_done(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="auto",
        messages=[{"role": "user", "content": "Say hello"}],
        extra_headers={"x-ymera-task-type": "translation", "x-ymera-prefer": "fast"},
    )
    headers = raw.headers
    assert headers["x-ymera-model"] == "stage/actor"
    assert headers["x-ymera-provider"] == "stage"
    assert headers["x-ymera-attempts"] == "1"
    assert headers["x-ymera-cost-usd"] == "0"
    assert float(headers["x-ymera-overhead-ms"]) > 0
    assert headers["x-request-id"].startswith("req_")
