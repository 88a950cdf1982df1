"""The official OpenAI SDK gets its vectors from `ymera serve`, and these from a host elsewhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from tests.support.server import RunningServer, serving

pytestmark = pytest.mark.proves("server.embeddings")


class Host(BaseHTTPRequestHandler):
    """A host of the OpenAI dialect; each text's vector holds its length."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one request."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        vectors = [[len(text) / 8, 0.25, -1.0] for text in asked["input"]]
        answer = {
            "object": "list",
            "model": asked["model"],
            "data": [
                {"object": "embedding", "index": index, "embedding": vector}
                for index, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": 5, "total_tokens": 5},
        }
        body = json.dumps(answer).encode()
        known = asked["model"] == "e5" and self.path == "/v1/embeddings"
        self.send_response(200 if known else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as host:
        thread = threading.Thread(target=host.serve_forever, daemon=True)
        thread.start()
        settings = {
            "YMERA_LOCAL__ENABLED": "false",
            "YMERA_DATA_DIR": str(tmp_path_factory.mktemp("data")),
            "YMERA_PROVIDERS__FAR__BASE_URL": f"http://127.0.0.1:{host.server_port}/v1",
            "YMERA_PROVIDERS__FAR__EMBEDDING_MODELS": '["e5", "gone"]',
            "YMERA_PROVIDERS__FAR__FREE": "true",
            "YMERA_PROVIDERS__FAR__KEYLESS": "true",
        }
        with serving(settings) as running:
            yield running
        host.shutdown()
        thread.join()


@pytest.fixture
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_the_sdk_reads_base64_which_it_asks_for_by_itself(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="far/e5", input=["ab", "abcd"])

    assert [each.embedding for each in answer.data] == [[0.25, 0.25, -1.0], [0.5, 0.25, -1.0]]
    assert [each.index for each in answer.data] == [0, 1]
    assert (answer.model, answer.object) == ("far/e5", "list")
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (5, 5)


def test_the_sdk_reads_numbers_of_a_single_text_by_the_models_bare_name(
    client: openai.OpenAI,
) -> None:
    raw = client.embeddings.with_raw_response.create(
        model="e5", input="ab", encoding_format="float"
    )

    assert raw.parse().data[0].embedding == [0.25, 0.25, -1.0]
    assert raw.headers["x-ymera-model"] == "far/e5"
    assert raw.headers["x-ymera-cost-usd"] == "0"


def test_its_errors_are_the_sdks_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.embeddings.create(model="text-embedding-nope", input="a")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError, match="tokens") as tokens:
        client.embeddings.create(model="far/e5", input=[1, 2, 3])
    assert tokens.value.param == "input"
    with pytest.raises(openai.APIStatusError) as gone:
        client.embeddings.create(model="far/gone", input="a")
    assert gone.value.status_code == 502
