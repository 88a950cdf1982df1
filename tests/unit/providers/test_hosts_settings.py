"""Hosts of the user's own, from four lines of TOML to a call; and where calls can never go."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.raw_server import Call, raw_server
from ymera.app import App
from ymera.core.access import LOCAL_OWNER
from ymera.core.chat import ChatRequest
from ymera.core.embedding import EmbeddingRequest
from ymera.core.errors import ConfigError
from ymera.core.model import Dialect, ModelKind, Provider, Quirk
from ymera.core.route import ExclusionReason
from ymera.providers.hosts import Host, calls_loopback_port, resolve_host
from ymera.wire import openai_chat

SAID = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}


@pytest.fixture
async def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[list[App]]:
    monkeypatch.setenv("YMERA_LOCAL__ENABLED", "false")
    monkeypatch.setenv("YMERA_CONFIG", str(tmp_path / "ymera.toml"))
    apps: list[App] = []
    yield apps
    for app in apps:
        await app.close()


def app_of(opened: list[App], tmp_path: Path, toml: str) -> App:
    (tmp_path / "ymera.toml").write_text(toml, encoding="utf-8")
    opened.append(App.create())
    return opened[-1]


async def says_yes(call: Call) -> None:
    body = {"data": [{"embedding": [1.0]}]} if "/embeddings" in call.head else SAID
    await call.answer(json.dumps(body).encode(), "content-type: application/json")


def asked(**fields: object) -> ChatRequest:
    message = {"role": "user", "content": "hi"}
    return openai_chat.decode_request(json.dumps({"messages": [message], **fields}).encode())


@pytest.mark.proves("providers.four-lines")
async def test_a_user_adds_a_host_with_four_lines_of_toml(
    opened: list[App], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw_server(says_yes) as server:
        lines = (
            "[providers.my-host]",
            f'base_url = "{server.url}"',
            'models = ["big"]',
            "free = true",
        )
        monkeypatch.setenv("MY_HOST_API_KEY", "k-4711")
        app = app_of(opened, tmp_path, "\n".join(lines))
        reply = await app.gateway.handle(asked(model="my-host/big"), LOCAL_OWNER)
        answer = await reply.answer()

    assert len(lines) == 4
    assert answer.text == "yes"
    assert server.calls[0].head.startswith("POST /v1/x/chat/completions ")
    assert "authorization: Bearer k-4711\r\n" in server.calls[0].head
    assert json.loads(server.calls[0].body)["model"] == "big"


async def test_a_host_of_ones_own_makes_vectors(opened: list[App], tmp_path: Path) -> None:
    async with raw_server(says_yes) as server:
        app = app_of(
            opened,
            tmp_path,
            f'[providers.mine]\nbase_url = "{server.url}"\nembedding_models = ["e5"]\n'
            "free = true\nkeyless = true\n",
        )
        done = await app.embedder.embed(EmbeddingRequest(model="e5", inputs=("a",)), LOCAL_OWNER)

    assert done.answer.dimensions == 1
    assert done.trace.model is not None
    assert (done.trace.model.id, done.trace.model.kind) == ("mine/e5", ModelKind.EMBEDDING)
    assert "authorization" not in server.calls[0].head.lower()


REDIRECTING = (
    *("base_url", "api_base", "api_key", "url", "host", "endpoint", "endpoints", "address"),
    *("provider", "providers", "route", "routes", "fallbacks", "models", "proxy", "headers"),
    *("extra_headers", "extra_body", "extra_query", "organization", "deployment", "region"),
    *("plugins", "transforms", "webhook", "callback_url", "x-ymera-base-url", "dialect", "flags"),
)


@pytest.mark.proves("providers.address-from-settings")
async def test_no_field_of_a_request_decides_where_it_goes(
    opened: list[App], tmp_path: Path
) -> None:
    async def refuse(call: Call) -> None:
        raise AssertionError(call.head)

    async with raw_server(says_yes) as server, raw_server(refuse) as elsewhere:
        app = app_of(
            opened,
            tmp_path,
            f'[providers.mine]\nbase_url = "{server.url}"\nmodels = ["m"]\n'
            'embedding_models = ["e"]\nfree = true\nkeyless = true\n',
        )
        for name in REDIRECTING:
            for value in (elsewhere.url, {"url": elsewhere.url}, [elsewhere.url]):
                request = asked(model="mine/m", **{name: value})
                await (await app.gateway.handle(request, LOCAL_OWNER)).answer()
                raw = json.dumps({"model": "mine/e", "input": "a", name: value}).encode()
                wished = openai_chat_embedding(raw)
                await app.embedder.embed(wished, LOCAL_OWNER)

        assert elsewhere.calls == []
        assert len(server.calls) == 2 * 3 * len(REDIRECTING)


def openai_chat_embedding(body: bytes) -> EmbeddingRequest:
    from ymera.wire.embedding import embedding_caller

    return embedding_caller(Dialect.OPENAI_CHAT).decode_request(body)


def row(opened: list[App], tmp_path: Path, toml: str, provider: str) -> Provider:
    return app_of(opened, tmp_path, toml).catalog.providers[provider]


def urls(provider: Provider) -> list[str]:
    environ = dict.fromkeys(provider.key_env, "k")
    host = resolve_host(provider, environ, consent=True)
    assert isinstance(host, Host)
    return [endpoint.base_url for endpoint in host.endpoints]


@pytest.mark.proves("providers.dialects")
async def test_an_address_replaces_every_one_of_a_known_host(
    opened: list[App], tmp_path: Path
) -> None:
    toml = '[providers.google]\nbase_url = "http://127.0.0.1:9/v1"\n'
    google = row(opened, tmp_path, toml, "google")

    assert urls(google) == ["http://127.0.0.1:9/v1"]
    assert google.endpoints[0].dialect is Dialect.OPENAI_CHAT
    assert google.endpoints[0].auth_header == "Authorization"


@pytest.mark.proves("providers.dialects")
@pytest.mark.parametrize(
    ("toml", "header", "url"),
    [
        ('dialect = "gemini"', "x-goog-api-key", "https://generativelanguage.googleapis.com"),
        (
            'dialect = "gemini"\nbase_url = "http://127.0.0.1:9"',
            "x-goog-api-key",
            "http://127.0.0.1:9",
        ),
        ('dialect = "anthropic"\nbase_url = "http://127.0.0.1:9"', "x-api-key", "http://127.0.0.1:9"),
    ],
)  # fmt: skip
async def test_a_dialect_may_be_named(
    opened: list[App], tmp_path: Path, toml: str, header: str, url: str
) -> None:
    google = row(opened, tmp_path, f"[providers.google]\n{toml}\n", "google")

    assert urls(google) == [url]
    assert google.endpoints[0].auth_header == header


async def test_a_dialect_without_address_is_a_configuration_error(
    opened: list[App], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="'groq'") as caught:
        row(opened, tmp_path, '[providers.groq]\ndialect = "gemini"\n', "groq")

    assert caught.value.param == "providers.groq.dialect"
    assert "openai-chat" in (caught.value.hint or "")


@pytest.mark.proves("providers.flags")
async def test_flags_may_be_set_and_cleared(opened: list[App], tmp_path: Path) -> None:
    toml = '[providers.groq]\nflags = ["no-seed", "think-tags"]\n[providers.ovhcloud]\nflags = []\n'
    app = app_of(opened, tmp_path, toml)

    groq, ovh = app.catalog.providers["groq"], app.catalog.providers["ovhcloud"]
    assert groq.flags == {Quirk.NO_SEED, Quirk.THINK_TAGS}
    assert ovh.flags == frozenset()
    with pytest.raises(ConfigError, match=r"providers\.groq\.flags"):
        app_of(opened, tmp_path, '[providers.groq]\nflags = ["quick"]\n')


async def test_an_own_host_named_like_anothers_key_is_not_sent_that_key(
    opened: list[App], tmp_path: Path
) -> None:
    toml = '[providers.gemini]\nbase_url = "http://127.0.0.1:9/v1"\nmodels = ["m"]\nfree = true\n'

    assert row(opened, tmp_path, toml, "gemini").key_env == ()


@pytest.mark.proves("providers.never-itself")
async def test_a_server_at_our_own_port_is_not_asked_unless_it_is_named(
    opened: list[App], tmp_path: Path
) -> None:
    models = 'models = ["m"]\n'
    taken = app_of(opened, tmp_path, f"[providers.llamacpp]\n{models}")
    moved = app_of(opened, tmp_path, f"[server]\nport = 9\n[providers.llamacpp]\n{models}")
    url = 'base_url = "http://127.0.0.1:8080/v1"\n'
    named = app_of(opened, tmp_path, f"[providers.llamacpp]\n{url}{models}")

    reason, detail = taken.snapshot().availability["llamacpp/m"]
    assert reason is ExclusionReason.NOT_CALLABLE
    assert "8080" in detail
    assert "llamacpp/m" not in moved.snapshot().availability
    assert "llamacpp/m" not in named.snapshot().availability
    llamacpp = taken.catalog.providers["llamacpp"]
    assert calls_loopback_port(llamacpp, {}, 8080)
    assert not calls_loopback_port(llamacpp, {}, 8081)
