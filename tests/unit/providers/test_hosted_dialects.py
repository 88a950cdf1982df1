"""Hosts of several dialects, reasoning in tags, wishes a model cannot fulfil, and vectors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.support.chat import make_model, make_request
from tests.support.raw_server import Behaviour, Call, RawServer, raw_server
from ymera.core.answer import AnswerBuilder, ChatEvent, RequestAdapted
from ymera.core.chat import ChatRequest
from ymera.core.embedding import EmbeddingRequest, unpack
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Dialect, Endpoint, Model, Provider, ProviderKind, Quirk
from ymera.core.ports import Deadlines, EmbeddingProvider
from ymera.providers.hosted import HostAddress, HostedProvider
from ymera.providers.hosts import connect_host
from ymera.providers.transport import HttpTransport
from ymera.wire import openai_chat
from ymera.wire.dialects import upstream_dialect

KEY = "canary-key-0815"
QUICK = Deadlines(connect_s=5, first_byte_s=5, idle_s=5, total_s=5)
SAID = {"choices": [{"message": {"content": "<think>hm</think>\n\nyes"}, "finish_reason": "stop"}]}
OLLAMA_SAID = {"message": {"role": "assistant", "content": "own"}, "done": True}
VECTOR = {"data": [{"embedding": [1, 2]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    made = HttpTransport()
    yield made
    await made.close()


def says(answer: object, status: int = 200) -> Behaviour:
    async def behave(call: Call) -> None:
        kind = "content-type: application/json"
        await call.answer(json.dumps(answer).encode(), kind, status=status)

    return behave


async def by_path(call: Call) -> None:
    answer = OLLAMA_SAID if "/api/chat" in call.head else SAID
    await call.answer(json.dumps(answer).encode(), "content-type: application/json")


def root(server: RawServer) -> str:
    return server.url.removesuffix("/v1/x")


def asked_for(server: RawServer) -> list[str]:
    return [call.head.split(" ")[1] for call in server.calls]


async def ask(
    provider: HostedProvider, request: ChatRequest, model: Model | None = None
) -> list[ChatEvent]:
    found = model or make_model()
    return [event async for batch in provider.stream(request, found, QUICK) for event in batch]


def provider_at(
    url: str, transport: HttpTransport, *, flags: frozenset[Quirk] = frozenset()
) -> HostedProvider:
    headers = {"authorization": f"Bearer {KEY}"}
    return HostedProvider("sim", openai_chat.UPSTREAM, url, headers, transport, flags=flags)


def caller(dialect: Dialect | None) -> ChatRequest:
    """Return a request of a caller that speaks `dialect`; None: one made here."""
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"reasoning_effort":"low"}'
    request = openai_chat.decode_request(body)
    if dialect is None or request.verbatim is None:
        return msgspec.structs.replace(request, verbatim=None)
    verbatim = msgspec.structs.replace(request.verbatim, dialect=dialect)
    return msgspec.structs.replace(request, verbatim=verbatim)


@pytest.mark.proves("providers.own-dialect")
@pytest.mark.parametrize(
    ("dialect", "path"),
    [
        (None, "/api/chat"),
        (Dialect.OLLAMA, "/api/chat"),
        (Dialect.OPENAI_CHAT, "/v1/chat/completions"),
        (Dialect.ANTHROPIC, "/api/chat"),
    ],
)
async def test_a_host_is_asked_in_the_callers_dialect_or_in_its_preferred_one(
    transport: HttpTransport, dialect: Dialect | None, path: str
) -> None:
    async with raw_server(by_path) as server:
        also = [HostAddress(openai_chat.UPSTREAM, f"{root(server)}/v1/", {"x-of": "chat"})]
        ollama = upstream_dialect(Dialect.OLLAMA)
        provider = HostedProvider(
            "sim", ollama, root(server), {"x-of": "own"}, transport, also=also
        )
        await ask(provider, caller(dialect))

    assert asked_for(server) == [path]
    assert ("x-of: chat" in server.calls[0].head) is (path != "/api/chat")


async def test_a_row_brings_its_endpoints(transport: HttpTransport) -> None:
    async with raw_server(by_path) as server:
        row = Provider(
            id="sim",
            name="Sim",
            kind=ProviderKind.HOSTED,
            dialects=(Dialect.OLLAMA, Dialect.OPENAI_CHAT),
            key_env=("SIM_KEY",),
            endpoints=(
                Endpoint(dialect=Dialect.OLLAMA, base_url=root(server), headers={"X-Extra": "1"}),
                Endpoint(
                    dialect=Dialect.OPENAI_CHAT,
                    base_url=f"{root(server)}/v1",
                    auth_header="X-Key",
                    auth_format="{key}",
                ),
            ),
        )
        environ = {"SIM_KEY": "one", "SIM_KEY_2": "two"}
        await ask(connect_host(row, environ, transport), caller(Dialect.OLLAMA))
        second = connect_host(row, environ, transport, key_id="SIM_KEY_2")
        await ask(second, caller(Dialect.OPENAI_CHAT))

    heads = [call.head.lower() for call in server.calls]
    assert "authorization: bearer one\r\n" in heads[0]
    assert "x-extra: 1\r\n" in heads[0]
    assert "x-key: two\r\n" in heads[1]
    assert "authorization" not in heads[1]


@pytest.mark.proves("providers.no-secrets")
async def test_no_key_of_any_endpoint_appears_in_an_error(transport: HttpTransport) -> None:
    told = {"error": {"message": f"bad {KEY} and other-key-4711"}}
    async with raw_server(says(told, status=400)) as server:
        also = [
            HostAddress(upstream_dialect(Dialect.OLLAMA), root(server), {"x-key": "other-key-4711"})
        ]
        headers = {"authorization": f"Bearer {KEY}"}
        chat = openai_chat.UPSTREAM
        provider = HostedProvider("sim", chat, root(server), headers, transport, also=also)
        with pytest.raises(ProviderError) as caught:
            await ask(provider, make_request(stream=False))

    assert "canary" not in caught.value.message
    assert "4711" not in caught.value.message


@pytest.mark.proves("wire.think-tags")
@pytest.mark.parametrize("of_model", [False, True])
async def test_reasoning_in_tags_is_told_apart_where_the_flag_says_so(
    transport: HttpTransport, of_model: bool
) -> None:
    flag = frozenset({Quirk.THINK_TAGS})
    model = msgspec.structs.replace(make_model(), flags=flag if of_model else frozenset())
    async with raw_server(says(SAID)) as server:
        provider = provider_at(root(server), transport, flags=frozenset() if of_model else flag)
        flagged = await ask(provider, make_request(stream=False), model)
        plain = await ask(provider_at(root(server), transport), make_request(stream=False))

    assert (told(flagged).reasoning, told(flagged).text) == ("hm", "yes")
    assert (told(plain).reasoning, told(plain).text) == ("", "<think>hm</think>\n\nyes")


@pytest.mark.proves("wire.think-tags")
async def test_reasoning_in_tags_is_told_apart_while_it_is_streamed(
    transport: HttpTransport,
) -> None:
    async def behave(call: Call) -> None:
        pieces = ("<thi", "nk>h", "m</", "think>", "\n", "yes")
        lines = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
        lines.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})  # type: ignore[dict-item]
        body = b"".join(b"data: %b\n\n" % json.dumps(line).encode() for line in lines)
        await call.answer(body + b"data: [DONE]\n\n", "content-type: text/event-stream")

    async with raw_server(behave) as server:
        flags = frozenset({Quirk.THINK_TAGS})
        events = await ask(provider_at(root(server), transport, flags=flags), make_request())

    assert (told(events).reasoning, told(events).text) == ("hm", "yes")


def told(events: list[ChatEvent]):  # type: ignore[no-untyped-def]
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


@pytest.mark.proves("wire.reasoning-effort")
@pytest.mark.parametrize("dialect", [None, Dialect.OPENAI_CHAT, Dialect.ANTHROPIC])
@pytest.mark.parametrize("reasons", [True, False, None])
async def test_a_model_known_not_to_think_is_not_told_to(
    transport: HttpTransport, dialect: Dialect | None, reasons: bool | None
) -> None:
    model = msgspec.structs.replace(make_model(), reasoning=reasons)
    async with raw_server(says(SAID)) as server:
        events = await ask(provider_at(root(server), transport), caller(dialect), model)

    sent = json.loads(server.calls[0].body)
    losses = [event.losses for event in events if isinstance(event, RequestAdapted)]
    if reasons is False:
        assert "reasoning_effort" not in sent
        assert losses == [
            ("reasoning_effort was left out: the model does not think before it answers.",)
        ]
    else:
        assert (sent["reasoning_effort"], losses) == ("low", [])
    assert sent["messages"] == [{"role": "user", "content": "hi"}]


async def test_without_the_wish_to_think_the_callers_body_stays_as_it_was(
    transport: HttpTransport,
) -> None:
    request = openai_chat.decode_request(
        b'{"model":"m","messages":[{"role":"user","content":"hi","mine":1}],'
        b'"reasoning_effort":"low","temperature":0.20}'
    )
    model = msgspec.structs.replace(make_model(), reasoning=False)
    async with raw_server(says(SAID)) as server:
        await ask(provider_at(root(server), transport), request, model)

    assert b'"mine":1' in server.calls[0].body
    assert b'"temperature":0.20' in server.calls[0].body


# --- vectors ---------------------------------------------------------------------------------


@pytest.mark.proves("providers.embed")
async def test_a_host_is_asked_for_vectors(transport: HttpTransport) -> None:
    async with raw_server(says(VECTOR)) as server:
        provider = provider_at(root(server), transport)
        answer = await provider.embed(
            EmbeddingRequest(model="x", inputs=("a",), dimensions=2), make_model(), QUICK
        )

    assert isinstance(provider, EmbeddingProvider)
    assert [unpack(vector) for vector in answer.vectors] == [[1.0, 2.0]]
    assert answer.usage is not None
    assert answer.usage.input_tokens == 3
    assert asked_for(server) == ["/embeddings"]
    assert f"authorization: Bearer {KEY}" in server.calls[0].head
    assert json.loads(server.calls[0].body)["model"] == "sim-small"


async def test_what_headers_say_of_limits_comes_with_the_vectors(transport: HttpTransport) -> None:
    async def behave(call: Call) -> None:
        limits = ("x-ratelimit-limit-requests: 9", "x-ratelimit-remaining-requests: 8")
        await call.answer(json.dumps(VECTOR).encode(), "content-type: application/json", *limits)

    async with raw_server(behave) as server:
        answer = await provider_at(root(server), transport).embed(
            EmbeddingRequest(model="x", inputs=("a",)), make_model(), QUICK
        )

    assert [(each.limit, each.remaining) for each in answer.limits] == [(9, 8)]


@pytest.mark.proves("providers.embed")
@pytest.mark.parametrize(
    ("dialect", "path", "answer"),
    [
        (Dialect.OLLAMA, "/api/embed", {"embeddings": [[1, 2]]}),
        (
            Dialect.GEMINI,
            "/v1beta/models/sim-small:batchEmbedContents",
            {"embeddings": [{"values": [1, 2]}]},
        ),
    ],
)
async def test_vectors_come_in_the_hosts_preferred_dialect(
    transport: HttpTransport, dialect: Dialect, path: str, answer: object
) -> None:
    async with raw_server(says(answer)) as server:
        provider = HostedProvider(
            "sim",
            upstream_dialect(dialect),
            root(server),
            {},
            transport,
            also=[HostAddress(openai_chat.UPSTREAM, f"{root(server)}/v1", {})],
        )
        found = await provider.embed(
            EmbeddingRequest(model="x", inputs=("a",)), make_model(), QUICK
        )

    assert [unpack(vector) for vector in found.vectors] == [[1.0, 2.0]]
    assert asked_for(server) == [path]


@pytest.mark.proves("providers.embed", "providers.no-secrets")
@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        ({"error": {"message": f"bad key {KEY}"}}, 401, ProviderErrorKind.AUTH),
        ({"error": {"message": "rate limit", "code": "rate_limit_exceeded"}}, 429, None),
        ({"data": []}, 200, ProviderErrorKind.BAD_ANSWER),
    ],
)
async def test_a_failure_is_a_provider_error(
    transport: HttpTransport, answer: object, status: int, kind: ProviderErrorKind | None
) -> None:
    async with raw_server(says(answer, status)) as server:
        with pytest.raises(ProviderError) as caught:
            await provider_at(root(server), transport).embed(
                EmbeddingRequest(model="x", inputs=("a",)), make_model(), QUICK
            )

    assert kind is None or caught.value.kind is kind
    assert KEY not in f"{caught.value!r}"


async def test_a_host_without_such_a_dialect_makes_no_vectors(transport: HttpTransport) -> None:
    wire = upstream_dialect(Dialect.ANTHROPIC)
    provider = HostedProvider("sim", wire, "http://127.0.0.1:1", {}, transport)

    with pytest.raises(ProviderError, match="embeddings") as caught:
        await provider.embed(EmbeddingRequest(model="x", inputs=("a",)), make_model(), QUICK)
    assert caught.value.kind is ProviderErrorKind.CAPABILITY
