"""What no waiting mends is told once: the official SDKs do not ask again on their own."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx2 as httpx
import ollama
import openai
import pytest

from tests.support.server import SCRIPTED, RunningServer, serving

PAID = {
    "YMERA_PROVIDERS__DEAR__BASE_URL": "http://127.0.0.1:9/v1",
    "YMERA_PROVIDERS__DEAR__MODELS": '["m"]',
    "YMERA_PROVIDERS__DEAR__KEYLESS": "true",
}
NO_KEY = "groq/openai/gpt-oss-20b"
CASES = [
    ("dear/m", {}, 402, "no_free_route", "budget"),
    ("auto", {"x-ymera-private": "true"}, 403, "no_private_route", "not private"),
    (NO_KEY, {}, 424, "no_route", "GROQ_API_KEY"),
]

pytestmark = pytest.mark.proves("server.lasting-refusals")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("data")
    with serving({**SCRIPTED, **PAID, "YMERA_DATA_DIR": str(data), "GROQ_API_KEY": ""}) as running:
        yield running


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def http(asked: list[str]) -> Iterator[httpx.Client]:
    hooks = {"request": [lambda request: asked.append(request.url.path)]}
    with httpx.Client(event_hooks=hooks) as client:
        yield client


@pytest.mark.parametrize(("model", "headers", "status", "code", "hint"), CASES)
def test_openai_asks_once(
    server: RunningServer,
    http: httpx.Client,
    asked: list[str],
    model: str,
    headers: dict[str, str],
    status: int,
    code: str,
    hint: str,
) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", http_client=http)
    for ask in (client.chat.completions.create, client.responses.create):
        asked.clear()
        said = {"input": "hi"} if "responses" in str(ask) else {}
        said = said or {"messages": [{"role": "user", "content": "hi"}]}  # type: ignore[dict-item]
        with pytest.raises(openai.APIStatusError) as caught:
            ask(model=model, extra_headers=headers, **said)  # type: ignore[call-overload]
        assert (caught.value.status_code, caught.value.code) == (status, code)
        assert hint in str(caught.value)
        assert "retry-after" not in caught.value.response.headers
        assert len(asked) == 1


@pytest.mark.parametrize(("model", "headers", "status", "code", "hint"), CASES)
def test_anthropic_asks_once(
    server: RunningServer,
    http: httpx.Client,
    asked: list[str],
    model: str,
    headers: dict[str, str],
    status: int,
    code: str,
    hint: str,
) -> None:
    client = anthropic.Anthropic(base_url=server.url, api_key="unused", http_client=http)
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(
            model=model,
            max_tokens=9,
            messages=[{"role": "user", "content": "hi"}],
            extra_headers=headers,
        )
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    word = {402: "billing_error", 403: "permission_error", 424: "invalid_request_error"}[status]
    assert caught.value.body["error"]["type"] == word
    assert caught.value.body["error"]["details"]["error_code"] == code
    assert hint in str(caught.value)
    assert len(asked) == 1


@pytest.mark.parametrize(("model", "headers", "status", "code", "hint"), CASES)
def test_ollama_is_told_what_to_do(
    server: RunningServer, model: str, headers: dict[str, str], status: int, code: str, hint: str
) -> None:
    del code
    with (
        ollama.Client(host=server.url, headers=headers) as client,
        pytest.raises(ollama.ResponseError, match=hint) as caught,
    ):
        client.chat(model=model, messages=[{"role": "user", "content": "hi"}])
    assert caught.value.status_code == status
