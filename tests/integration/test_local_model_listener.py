"""Who can talk to the child's own port."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import local_model
from ymera.providers.local_process import LocalProcess
from ymera.providers.local_settings import LocalSettings
from ymera.providers.pull import model_path

CHAT = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1})
FOREIGN = {"Host": "evil.example", "Origin": "http://evil.example"}


@pytest.fixture(scope="module")
def child() -> Iterator[LocalProcess]:
    weights = local_model.model().weights
    assert weights is not None
    path = model_path(weights, local_model.pulled())
    process = LocalProcess.launch(path, LocalSettings(context_tokens=256, slots=1))
    process.wait_ready()
    yield process
    process.stop()


def call(
    child: LocalProcess, method: str, path: str, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(_port(child)[0], _port(child)[1], timeout=60)
    try:
        body = CHAT if method == "POST" else None
        sent = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, body=body, headers=sent)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def _port(child: LocalProcess) -> tuple[str, int]:
    url = urlsplit(child.base_url)
    assert url.hostname is not None
    assert url.port is not None
    return url.hostname, url.port


def _chat(child: LocalProcess) -> str:
    return urlsplit(child.base_url).path + "/chat/completions"


def _key(child: LocalProcess) -> dict[str, str]:
    return {"Authorization": f"Bearer {child.key}"}


def test_with_the_key_it_answers_under_the_files_name(child: LocalProcess) -> None:
    status, _headers, body = call(child, "POST", _chat(child), _key(child))

    assert status == 200
    assert json.loads(body)["model"] == "SmolLM2-135M-Instruct.Q4_1"


@pytest.mark.proves("local.port-locked")
@pytest.mark.parametrize("headers", [{}, FOREIGN, {"Authorization": "Bearer guessed"}])
def test_without_the_key_nothing_is_answered(child: LocalProcess, headers: dict[str, str]) -> None:
    status, _headers, body = call(child, "POST", _chat(child), headers)

    assert status == 401
    assert b"choices" not in body


@pytest.mark.proves("local.port-locked")
def test_the_key_without_the_random_path_is_not_enough(child: LocalProcess) -> None:
    status, _headers, _body = call(child, "POST", "/v1/chat/completions", _key(child))

    assert status == 404


@pytest.mark.proves("local.port-locked")
@pytest.mark.parametrize(
    "page", ["", "health", "models", "props", "slots", "metrics", "tokenize", "lora-adapters"]
)
@pytest.mark.parametrize("under_prefix", [True, False])
def test_no_other_page_says_anything_without_the_key(
    child: LocalProcess, page: str, under_prefix: bool
) -> None:
    prefix = urlsplit(child.base_url).path.removesuffix("/v1") if under_prefix else ""

    status, _headers, body = call(child, "GET", f"{prefix}/{page}")

    assert status in {401, 404}
    assert b"smol" not in body.lower()


@pytest.mark.proves("local.port-locked")
@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_no_web_page_is_allowed_to_read_it(child: LocalProcess, method: str) -> None:
    preflight = {
        **FOREIGN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }

    _status, headers, _body = call(child, method, _chat(child), preflight)

    allowed = {name: text for name, text in headers.items() if name.startswith("Access-Control")}
    assert set(allowed.values()) <= {"", "false"}


@pytest.mark.parametrize("page", ["slots", "metrics"])
def test_slots_and_metrics_are_off_even_with_the_key(child: LocalProcess, page: str) -> None:
    prefix = urlsplit(child.base_url).path.removesuffix("/v1")

    status, _headers, _body = call(child, "GET", f"{prefix}/{page}", _key(child))

    assert status == 501


def test_it_listens_on_loopback_only(child: LocalProcess) -> None:
    port = _port(child)[1]
    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    ]

    assert listening == [f"0100007F:{port:04X}"]
