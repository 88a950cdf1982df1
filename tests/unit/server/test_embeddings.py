"""Vectors over HTTP: shapes, headers and refusals; a double stands for the far host alone."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.support.asgi import JSON_HEADERS, Answer, Client
from ymera.app import App
from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest, pack, unpack
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Model
from ymera.core.ports import Deadlines
from ymera.core.usage import Usage
from ymera.server.asgi import Server
from ymera.testing.scripted import ScriptedProvider

TOML = """
[local]
enabled = false
[providers.stage]
kind = "scripted"
models = ["actor"]
embedding_models = ["e5"]
"""


class Vectors(ScriptedProvider):
    """Makes a vector of each text's length; fails on the text `fail`, hangs on `wait`."""

    def __init__(self) -> None:
        super().__init__()
        self.wishes: list[EmbeddingRequest] = []
        self.reached, self.cancelled = asyncio.Event(), asyncio.Event()

    async def embed(
        self, request: EmbeddingRequest, model: Model, deadlines: Deadlines
    ) -> EmbeddingAnswer:
        """Return the vectors."""
        self.wishes.append(request)
        if request.inputs == ("wait",):
            self.reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        if request.inputs == ("fail",):
            raise ProviderError("It is busy.", kind=ProviderErrorKind.UPSTREAM_BUSY)
        vectors = tuple(pack([float(len(text)), 0.5]) for text in request.inputs)
        return EmbeddingAnswer(vectors=vectors, usage=Usage(input_tokens=len(vectors)))


@pytest.fixture
def far() -> Vectors:
    return Vectors()


@pytest.fixture
async def client(
    far: Vectors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Client]:
    (tmp_path / "ymera.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.setenv("YMERA_CONFIG", str(tmp_path / "ymera.toml"))
    async with App.create(providers={"stage": far}) as app:
        yield Client(Server(app))


def body(**fields: object) -> bytes:
    return msgspec.json.encode({"model": "stage/e5", "input": ["ab", "c"], **fields})


async def post(
    client: Client, path: str, body: bytes, headers: dict[str, str] | None = None
) -> Answer:
    fresh = Client(client.server)
    return await fresh.send("POST", path, body, {**JSON_HEADERS, **(headers or {})})


@pytest.mark.proves("server.embeddings")
async def test_vectors_come_as_numbers_or_as_base64(client: Client) -> None:
    plain = await post(client, "/v1/embeddings", body())
    packed = await post(client, "/v1/embeddings", body(encoding_format="base64"))

    assert plain.status == packed.status == 200
    assert msgspec.json.decode(plain.body) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [2.0, 0.5]},
            {"object": "embedding", "index": 1, "embedding": [1.0, 0.5]},
        ],
        "model": "stage/e5",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    data = msgspec.json.decode(packed.body)["data"]
    assert [unpack(b64decode(each["embedding"])) for each in data] == [[2.0, 0.5], [1.0, 0.5]]
    assert plain.headers["x-ymera-model"] == "stage/e5"
    assert plain.headers["x-ymera-attempts"] == "1"
    assert plain.headers["x-ymera-cost-usd"] == "0"
    assert plain.headers["x-request-id"].startswith("req_")


@pytest.mark.proves("server.embeddings")
async def test_ollamas_route_does_the_same(client: Client) -> None:
    named = {"model": "e5:latest"}
    answer = await post(client, "/api/embed", body(**named))
    failed = await post(client, "/api/embed", body(model="nope"))

    decoded = msgspec.json.decode(answer.body)
    assert (answer.status, decoded["embeddings"]) == (200, [[2.0, 0.5], [1.0, 0.5]])
    assert decoded["prompt_eval_count"] == 2
    assert failed.status == 404
    assert isinstance(msgspec.json.decode(failed.body)["error"], str)


@pytest.mark.proves("server.embeddings")
@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"input": [1, 2]}, 400, "unsupported", "input"),
        ({"input": ""}, 400, "invalid_request", "input"),
        ({"model": "auto"}, 404, "model_not_found", "model"),
        ({"model": "stage/actor"}, 404, "model_not_found", "model"),
        ({"input": "x" * 100_001}, 413, "context_length_exceeded", "messages"),
        ({"input": "fail"}, 503, "provider_error", None),
    ],
)
async def test_what_goes_wrong_is_told_in_the_dialect(
    client: Client, fields: dict[str, object], status: int, code: str, param: str | None
) -> None:
    answer = await post(client, "/v1/embeddings", body(**fields))

    assert (answer.status, answer.error["code"], answer.error["param"]) == (status, code, param)
    assert answer.headers["x-request-id"].startswith("req_")


async def test_another_method_is_told_apart_from_an_unknown_path(client: Client) -> None:
    assert (await client.send("GET", "/v1/embeddings")).status == 405


async def test_privacy_is_heard_in_headers(client: Client, far: Vectors) -> None:
    headers = {"x-ymera-private": "true", "x-ymera-no-store": "1"}
    refused = await post(client, "/v1/embeddings", body(), headers)
    wrong = await post(client, "/v1/embeddings", body(), {"x-ymera-private": "perhaps"})

    assert refused.status == 403
    assert "may train" in refused.error["message"]
    assert wrong.status == 400
    assert far.wishes == []


async def test_fields_for_the_upstream_reach_it(client: Client, far: Vectors) -> None:
    await post(client, "/v1/embeddings", body(dimensions=2, input_type="query"))

    assert far.wishes[0].dimensions == 2
    assert far.wishes[0].extra == {"input_type": msgspec.Raw(b'"query"')}


async def test_a_provider_that_makes_no_vectors_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ymera.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.setenv("YMERA_CONFIG", str(tmp_path / "ymera.toml"))
    async with App.create(providers={"stage": ScriptedProvider()}) as app:
        answer = await post(Client(Server(app)), "/v1/embeddings", body())

    assert (answer.status, answer.error["code"]) == (400, "provider_error")
    assert "makes no vectors" in answer.error["message"]


@pytest.mark.proves("server.disconnect")
@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/embed"])
async def test_a_client_that_leaves_cancels_the_upstream_call(
    client: Client, far: Vectors, path: str
) -> None:
    serving = asyncio.ensure_future(client.send("POST", path, body(input="wait"), JSON_HEADERS))
    await asyncio.wait_for(far.reached.wait(), 30)
    client.leave.set()
    await asyncio.wait_for(far.cancelled.wait(), 30)
    await serving
