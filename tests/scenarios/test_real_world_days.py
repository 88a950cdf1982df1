"""What people do over a day: they rate answers, and look back at what it came to."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import openai
import pytest

from tests.support.hosted import hosting, say
from tests.support.scenario import records
from tests.support.server import RunningServer, serving

pytestmark = pytest.mark.proves("document.real-world")

TWINS = '["north-7b", "south-7b"]'
"""Nothing is known of either, so nothing but experience tells them apart."""


def post(server: RunningServer, path: str, body: object) -> tuple[int, dict[str, object]]:
    """Return status and decoded body of a JSON request."""
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:
        headers = {"content-type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        decoded: dict[str, object] = json.loads(answer.read())
        return answer.status, decoded


def ask(client: openai.OpenAI, question: str, model: str = "auto") -> tuple[str, str]:
    """Return which model answered, and the request's id."""
    raw = client.chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        extra_headers={"x-ymera-task-type": "chat"},
    )
    return raw.headers["x-ymera-model"], raw.headers["x-request-id"]


def sdk(server: RunningServer) -> openai.OpenAI:
    """Return the official client of a server."""
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)


def rate(server: RunningServer, request_id: str, rating: int | str) -> dict[str, object]:
    """Rate one answer."""
    status, rated = post(server, "/api/feedback", {"request_id": request_id, "rating": rating})
    assert status == 200, rated
    return rated


def first_choice(server: RunningServer) -> str:
    """Return the model that would be asked now."""
    _, plan = post(server, "/api/route", {"prompt": "And a name for a horse?", "task_type": "chat"})
    candidates = plan["candidates"]
    assert isinstance(candidates, list)
    assert len(candidates) == 2
    return str(candidates[0]["model"])


@pytest.mark.proves("document.training-selection")
def test_ratings_decide_between_models_that_are_equal_otherwise() -> None:
    with hosting(lambda request: say(f"{request.model} says hello.")) as host:
        settings = host.only("stage", TWINS)
        with serving(settings) as today, sdk(today) as client:
            before = first_choice(today)
            other = ({"stage/north-7b", "stage/south-7b"} - {before}).pop()
            for number in range(4):
                for model in (before, other):
                    answered, id_ = ask(client, f"A name for cat number {number}?", model)
                    assert answered == model
                    rated = rate(today, id_, "fail" if model == before else 5)
                    assert rated["model"] == model
            assert first_choice(today) == other
            assert ask(client, "And a name for a dog?")[0] == other
            status, refused = post(today, "/api/feedback", {"request_id": "req_0", "rating": 1})
            assert status == 404
            assert "req_0" in json.dumps(refused)
            assert today.stop() == 0
        with serving(settings) as tomorrow:
            assert first_choice(tomorrow) == other


@pytest.mark.proves("document.training-selection")
def test_after_one_bad_answer_the_other_model_is_asked() -> None:
    with (
        hosting(lambda request: say(f"{request.model} says hello.")) as host,
        serving(host.only("stage", TWINS)) as server,
        sdk(server) as client,
    ):
        first, _ = ask(client, "A name for a cat?")
        again, id_ = ask(client, "A name for a dog?")
        assert again == first
        rate(server, id_, 1)
        assert ask(client, "A name for a horse?")[0] != first


@pytest.mark.proves("document.metrics-success", "document.metrics-errors")
def test_at_the_end_of_the_day_the_numbers_are_those_of_the_day() -> None:
    with (
        hosting(lambda _request: say("Yes.", input_tokens=10, output_tokens=5)) as host,
        serving(host.only()) as server,
        sdk(server) as client,
    ):
        for number in range(3):
            ask(client, f"Is {number} a number?")
        with pytest.raises(openai.NotFoundError):
            ask(client, "hi", "nobody")
        with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:
            connection.request("GET", "/api/metrics")
            dashboard = json.loads(connection.getresponse().read())
        assert server.stop() == 0
    assert dashboard["overview"]["total_requests"] == 4
    assert dashboard["overview"]["success_rate"] == 0.75
    assert dashboard["usage"]["top_models"] == [["stage:actor", 3]]
    assert dashboard["usage"]["top_agents"] == [["direct", 4]]
    assert dashboard["errors"] == {"model_not_found": 1}
    assert dashboard["tokens"]["input"] == 30
    assert [row["error_code"] for row in records()] == [None, None, None, "model_not_found"]
