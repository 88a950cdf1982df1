"""`/api/runs` over the scripted double and an agent of the user's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.asgi import Answer, Client
from tests.support.runs import give_agent, until
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.server.asgi import Server
from ymera.testing.scripted import ScriptedProvider


class Stage:
    """An app over a provider that can be held up."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.provider = ScriptedProvider(delay=self._wait)
        self.app = App.create(providers={"stage": self.provider})

    async def _wait(self, number: int) -> None:
        await self.gate.wait()

    async def __call__(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send one request."""
        sent = b"" if body is None else msgspec.json.encode(body)
        own = {"host": "127.0.0.1:8080", "content-type": "application/json", **(headers or {})}
        return await Client(Server(self.app)).send(method, path, sent, own)

    async def begin(self, **more: object) -> str:
        """Begin a run of the poet and return its id."""
        answer = await self(
            "POST",
            "/api/runs",
            {"agent": "poet", "task": "the sea", "strategy": "multi_model", **more},
        )
        assert answer.status == 202, answer.body
        run_id: str = msgspec.json.decode(answer.body)["id"]
        assert answer.headers["location"] == f"/api/runs/{run_id}"
        return run_id


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    give_agent(Path(os.environ["XDG_CONFIG_HOME"]))
    made = Stage()
    yield made
    await made.app.close()


def events_in(answer: Answer) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = answer.body.decode().strip().split("\n\n")
    found = []
    for frame in frames:
        fields = dict(line.split(": ", 1) for line in frame.splitlines())
        data = msgspec.json.decode(fields["data"])
        assert (fields["id"], fields["event"]) == (str(data["seq"]), data["kind"])
        found.append(data)
    return found


NO_UTF8 = msgspec.Raw(b'{"agent":"poet","task":"\xff"}')


@pytest.mark.proves("server.runs")
async def test_a_run_is_begun_followed_and_read(stage: Stage) -> None:
    run_id = await stage.begin(parameters={"metre": "iambic"}, budget={"calls": 7, "usd": "0"})
    events = events_in(await stage("GET", f"/api/runs/{run_id}/events"))
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    assert (events[0]["kind"], events[-1]["kind"]) == ("run.started", "run.done")
    shown = msgspec.json.decode((await stage("GET", f"/api/runs/{run_id}")).body)
    assert (shown["state"], shown["successful_phases"], shown["cost_usd"]) == ("done", 3, "0")
    assert shown["result"].startswith("You asked: Polish")
    assert "iambic" in shown["phases"]["plan"]["artefact"]["text"]
    listed = msgspec.json.decode((await stage("GET", "/api/runs")).body)["data"]
    assert [each["id"] for each in listed] == [run_id]


@pytest.mark.proves("server.runs", "runs.events")
async def test_events_are_taken_up_after_the_last_one_seen(stage: Stage) -> None:
    run_id = await stage.begin()
    events = events_in(await stage("GET", f"/api/runs/{run_id}/events"))
    path = f"/api/runs/{run_id}/events"
    rest = events_in(await stage("GET", path, headers={"last-event-id": "3"}))
    assert rest == events[3:]
    last = str(events[-1]["seq"])
    over = await stage("GET", path, headers={"last-event-id": last})
    assert (over.status, over.body) == (204, b"")


@pytest.mark.proves("server.runs", "runs.cancel")
async def test_a_run_is_cancelled_resumed_and_deleted(stage: Stage) -> None:
    stage.gate.clear()
    run_id = await stage.begin()
    await until(lambda: bool(stage.provider.requests))
    busy = await stage("DELETE", f"/api/runs/{run_id}")
    assert (busy.status, busy.error["code"]) == (400, "invalid_request")
    cancelled = await stage("POST", f"/api/runs/{run_id}/cancel")
    assert msgspec.json.decode(cancelled.body)["state"] == "cancelled"
    stage.gate.set()
    resumed = await stage("POST", f"/api/runs/{run_id}/resume")
    assert resumed.status == 202
    events = events_in(await stage("GET", f"/api/runs/{run_id}/events"))
    kinds = [each["kind"] for each in events]
    assert kinds.index("run.cancelled") < kinds.index("run.resumed") < kinds.index("run.done")
    again = await stage("POST", f"/api/runs/{run_id}/resume", {"from_phase": "polish"})
    assert again.status == 202
    await stage.app.runs.wait(run_id)
    assert (await stage("DELETE", f"/api/runs/{run_id}")).status == 204
    assert (await stage("GET", f"/api/runs/{run_id}")).status == 404


@pytest.mark.proves("server.runs")
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/runs", None, 400, "invalid_request"),
        ("POST", "/api/runs", {"agent": "poet"}, 400, "invalid_request"),
        ("POST", "/api/runs", NO_UTF8, 400, "invalid_request"),
        ("POST", "/api/runs", {"agent": "poet", "task": "x", "rush": True}, 400, "invalid_request"),
        ("POST", "/api/runs", {"agent": "nobody", "task": "x"}, 404, "model_not_found"),
        ("POST", "/api/runs", {"agent": "poet", "task": " "}, 400, "invalid_request"),
        (
            "POST",
            "/api/runs",
            {"agent": "poet", "task": "x", "strategy": "?"},
            400,
            "invalid_request",
        ),
        (
            "POST",
            "/api/runs",
            {"agent": "poet", "task": "x", "budget": {"calls": 0}},
            400,
            "invalid_request",
        ),
        (
            "POST",
            "/api/runs",
            {"agent": "poet", "task": "x", "budget": {"usd": "NaN"}},
            400,
            "invalid_request",
        ),
        ("POST", "/api/runs/run_x/resume", {"budget": {"usd": "NaN"}}, 400, "invalid_request"),
        ("POST", "/api/runs/run_x/resume", {"budget": {"calls": -1}}, 400, "invalid_request"),
        ("GET", "/api/runs/run_x", None, 404, "run_not_found"),
        ("GET", "/api/runs/run_x/events", None, 404, "run_not_found"),
        ("POST", "/api/runs/run_x/resume", None, 404, "run_not_found"),
        ("POST", "/api/runs/run_x/cancel", None, 404, "run_not_found"),
        ("DELETE", "/api/runs/run_x", None, 404, "run_not_found"),
        ("PUT", "/api/runs/run_x", None, 405, "invalid_request"),
    ],
)
async def test_what_does_not_fit_is_answered_in_the_dialect(
    stage: Stage, method: str, path: str, body: object, status: int, code: str | None
) -> None:
    answer = await stage(method, path, body)
    assert answer.status == status, answer.body
    assert answer.error["code"] == code
    assert answer.error["message"]
    assert stage.provider.requests == []


@pytest.mark.proves("server.runs")
async def test_a_bad_event_number_is_refused(stage: Stage) -> None:
    run_id = await stage.begin()
    await stage.app.runs.wait(run_id)
    answer = await stage("GET", f"/api/runs/{run_id}/events", headers={"last-event-id": "-1"})
    assert answer.status == 400


@pytest.mark.proves("server.runs")
async def test_a_number_of_thousands_of_digits_is_only_a_large_one(stage: Stage) -> None:
    run_id = await stage.begin()
    await stage.app.runs.wait(run_id)
    headers = {"last-event-id": "9" * 5000}
    answer = await stage("GET", f"/api/runs/{run_id}/events", headers=headers)
    assert answer.status == 204


@pytest.mark.proves("runs.resume", "server.runs")
async def test_a_server_that_starts_carries_on_what_the_last_one_left(stage: Stage) -> None:
    stage.gate.clear()
    run_id = await stage.begin()
    await until(lambda: bool(stage.provider.requests))
    await stage.app.close()
    stage.gate.set()
    assert await stage.app.running.resume_pending() == (run_id,)
    result = await stage.app.runs.wait(run_id)
    assert result.state.value == "done"
