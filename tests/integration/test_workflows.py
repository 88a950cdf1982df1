"""Whole ways through the server: begin, watch, cancel, rate and look back."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from tests.support.actors import capable
from tests.support.hosted import Hosted, hosting
from tests.support.scenario import records
from tests.support.server import RunningServer, serving
from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest, prompt_text

pytestmark = pytest.mark.proves("document.workflows")

CODER = "stage/qwen3-coder-480b-a35b"
MODELS = '["qwen3-coder-480b-a35b", "llama-3.2-1b-instruct"]'
TASK = {"agent": "coding_agent", "task": "Create a REST API", "strategy": "multi_model"}


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    id: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Api:
    """Speaks JSON with a server."""

    server: RunningServer

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and decoded body."""
        with closing(self._connection()) as connection:
            answer = self._send(connection, method, path, body)
            text = answer.read()
            return answer.status, json.loads(text) if text else None

    def begin(self, **changes: object) -> str:
        """Begin a run and return its id."""
        status, begun = self("POST", "/api/runs", {**TASK, **changes})
        assert status == 202, begun
        return str(begun["id"])

    def events(self, run_id: str, after: int | None = None) -> list[Event]:
        """Return a run's events up to its end."""
        headers = {} if after is None else {"last-event-id": str(after)}
        with closing(self._connection()) as connection:
            connection.request("GET", f"/api/runs/{run_id}/events", headers=headers)
            answer = connection.getresponse()
            assert answer.headers["content-type"].startswith("text/event-stream")
            return list(_events(answer))

    def _connection(self) -> HTTPConnection:
        return HTTPConnection(urlsplit(self.server.url).netloc, timeout=60)

    @staticmethod
    def _send(connection: HTTPConnection, method: str, path: str, body: object) -> HTTPResponse:
        encoded = None if body is None else json.dumps(body)
        connection.request(method, path, encoded, {"content-type": "application/json"})
        return connection.getresponse()


def _events(answer: HTTPResponse) -> Iterator[Event]:
    for block in answer.read().decode().split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))


@pytest.fixture
def host() -> Iterator[Hosted]:
    with hosting(capable) as hosted:
        yield hosted


@pytest.fixture
def api(host: Hosted) -> Iterator[Api]:
    with serving(host.only("stage", MODELS)) as server:
        yield Api(server)


def test_a_run_is_begun_watched_and_read(api: Api) -> None:
    run_id = api.begin(parameters={"language": "python"})
    events = api.events(run_id)
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    kinds = [event.kind for event in events]
    assert kinds[0] == "run.started"
    assert kinds[-1] == "run.done"
    places = {(e.kind, e.data["phase"]): e.id for e in events if e.data.get("phase")}
    assert places["phase.done", "plan"] < places["phase.started", "generate"]
    assert places["phase.done", "generate"] < places["phase.started", "review"]
    later = api.events(run_id, after=3)
    assert later == events[3:]
    status, run = api("GET", f"/api/runs/{run_id}")
    assert (status, run["state"], run["cost_usd"]) == (200, "done", "0")
    assert ast.parse(run["result"]).body
    assert run["phases"]["generate"]["model"] == CODER
    status, listed = api("GET", "/api/runs")
    assert [each["id"] for each in listed["data"]] == [run_id]


def test_several_runs_at_once_do_not_mix(api: Api, host: Hosted) -> None:
    animals = ("heron", "osprey", "zebra", "badger")
    with ThreadPoolExecutor(len(animals)) as pool:
        ids = list(pool.map(lambda name: api.begin(task=f"Create an API for a {name}"), animals))
        list(pool.map(api.events, ids))
    runs = [api("GET", f"/api/runs/{run_id}")[1] for run_id in ids]
    assert [run["state"] for run in runs] == ["done"] * 4
    for prompt in (prompt_text(request) for request in host.asked):
        assert sum(name in prompt for name in animals) == 1
    assert sum(run["spend"]["calls"] for run in runs) == len(host.asked)


def test_a_cancelled_run_ends_at_once_and_can_be_carried_on() -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def slow(request: ChatRequest) -> ChatAnswer:
        if "whole program" in prompt_text(request):
            asked.set()
            may_answer.wait(60)
        return capable(request)

    with hosting(slow) as host, serving(host.only("stage", MODELS)) as server:
        api = Api(server)
        run_id = api.begin()
        try:
            assert asked.wait(60)
            status, cancelled = api("POST", f"/api/runs/{run_id}/cancel")
        finally:
            may_answer.set()
        assert (status, cancelled["state"]) == (200, "cancelled")
        assert api.events(run_id)[-1].kind == "run.cancelled"
        before = len(host.asked)
        assert api("POST", f"/api/runs/{run_id}/resume")[0] == 202
        assert api.events(run_id, after=0)[-1].kind == "run.done"
        again = [prompt_text(request) for request in host.asked[before:]]
        assert not any("short plan" in prompt for prompt in again)
        status, run = api("GET", f"/api/runs/{run_id}")
        assert ast.parse(run["result"]).body


def test_what_a_phase_wrote_can_be_rated_like_any_answer(api: Api) -> None:
    run_id = api.begin()
    api.events(run_id)
    _, run = api("GET", f"/api/runs/{run_id}")
    request_id = run["phases"]["generate"]["request_ids"][-1]
    status, rated = api("POST", "/api/feedback", {"request_id": request_id, "rating": 5})
    assert (status, rated["model"]) == (200, CODER)
    assert api.server.stop() == 0
    (row,) = [row for row in records() if row["id"] == request_id]
    assert (row["agent"], row["model_id"]) == ("coding_agent", CODER)


def test_what_cannot_be_begun_is_refused_with_a_reason(api: Api, host: Hosted) -> None:
    for changes, status, word in (
        ({"agent": "codding_agent"}, 404, "coding_agent"),
        ({"parameters": {"lanugage": "python"}}, 400, "language"),
        ({"task": " "}, 400, "empty"),
        ({"budget": {"calls": 1}}, 400, "budget"),
        ({"strategy": "all_models"}, 400, "strategy"),
    ):
        answered, told = api("POST", "/api/runs", {**TASK, **changes})
        assert answered == status, told
        assert word in json.dumps(told)
    assert api("GET", "/api/runs/run_unknown")[0] == 404
    assert host.asked == []


def test_a_removed_run_is_gone_and_its_requests_are_still_counted(api: Api) -> None:
    run_id = api.begin()
    api.events(run_id)
    assert api("DELETE", f"/api/runs/{run_id}")[0] == 204
    assert api("GET", f"/api/runs/{run_id}")[0] == 404
    _, dashboard = api("GET", "/api/metrics")
    assert dashboard["usage"]["top_agents"][0][0] == "coding_agent"
    assert dashboard["usage"]["run_requests"] > 0


def test_an_agent_and_a_model_answer_the_same_client_side_by_side(api: Api) -> None:
    client = openai.OpenAI(base_url=f"{api.server.url}/v1", api_key="unused", max_retries=0)
    question: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": "Create a REST API in Python"}
    ]
    with client, ThreadPoolExecutor(2) as pool:
        by_name = {
            name: pool.submit(client.chat.completions.create, model=name, messages=question)
            for name in ("coding_agent", "auto")
        }
        answers = {name: answer.result(60) for name, answer in by_name.items()}
    assert ast.parse(answers["coding_agent"].choices[0].message.content or "").body
    assert answers["auto"].model == CODER
    assert answers["coding_agent"].id != answers["auto"].id
