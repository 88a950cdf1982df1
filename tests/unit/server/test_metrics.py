"""`/metrics`, `/api/metrics`, `/api/feedback` and `/api/route` at the server's edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.asgi import Answer, Client
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.server.asgi import Server


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    made = App.create()
    yield made
    await made.close()


async def send(app: App, method: str, path: str, body: object = None) -> Answer:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await Client(Server(app)).send(method, path, b"" if body is None else data)


def decoded(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    found: dict[str, Any] = msgspec.json.decode(answer.body)
    return found


async def chat(app: App, text: str = "Say hello", **more: object) -> Answer:
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], **more}
    answer = await send(app, "POST", "/v1/chat/completions", body)
    await asyncio.sleep(0)  # its record reaches the sinks
    return answer


@pytest.mark.proves("server.metrics", "metrics.document-keys")
async def test_the_dashboard_counts_what_the_server_answered(app: App) -> None:
    await chat(app)
    await chat(app, model="nope")
    data = decoded(await send(app, "GET", "/api/metrics"))
    assert data["overview"]["total_requests"] == 2
    assert data["overview"]["success_rate"] == 0.5
    assert data["usage"]["top_models"] == [["stage:actor", 1]]
    assert data["usage"]["top_agents"] == [["direct", 2]]
    assert data["errors"] == {"model_not_found": 1}


@pytest.mark.proves("server.metrics", "metrics.prometheus")
async def test_prometheus_reads_the_same_counts(app: App) -> None:
    for _ in range(3):
        await chat(app)
    answer = await send(app, "GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in parse(answer.body.decode())}
    counted = {tuple(s.labels.values()): s.value for s in families["ymera_requests"].samples}
    assert sum(counted.values()) == 3
    dashboard = decoded(await send(app, "GET", "/api/metrics"))
    assert dashboard["overview"]["total_requests"] == 3


@pytest.mark.proves("metrics.exact")
async def test_64_callers_at_once_are_counted_alike_everywhere(app: App) -> None:
    answers = await asyncio.gather(*(chat(app, f"Say hello {n}") for n in range(64 * 4)))
    ids = {answer.headers["x-request-id"] for answer in answers}
    await app.close()
    stored = {each.id for each in app.records.recent(1_000)}
    now = app.observing.metrics.snapshot()
    assert stored == ids
    assert now.requests == now.succeeded == now.duration_s.count == len(ids) == 256
    rows = app.observing.experience.rows()
    assert sum(stats.executions for stats in rows.values()) == 256
    lines = sum(len(file.read_bytes().splitlines()) for file in app.paths.audit_logs.iterdir())
    assert lines == 256
    app.records.close()


@pytest.mark.proves("config.leaves-matter")
@pytest.mark.parametrize("path", ["/metrics", "/api/metrics"])
async def test_metrics_that_are_switched_off_are_no_zeros(
    app: App, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("YMERA_MONITORING__ENABLE_METRICS", "false")
    async with App.create() as without:
        answer = await send(without, "GET", path)
    assert answer.status == 400
    assert "enable_metrics" in answer.error["message"]


@pytest.mark.proves("feedback.stored", "server.feedback")
async def test_an_answer_can_be_rated_by_the_id_in_its_header(app: App) -> None:
    id_ = (await chat(app)).headers["x-request-id"]
    body = {"request_id": id_, "rating": "fail", "comment": "wrong"}
    assert decoded(await send(app, "POST", "/api/feedback", body)) == {
        "request_id": id_,
        "rating": 1.0,
        "replaced": None,
        "model": "stage/actor",
    }
    again = decoded(await send(app, "POST", "/api/feedback", {"request_id": id_, "rating": 4}))
    assert (again["rating"], again["replaced"]) == (4.0, 1.0)
    stored = app.observing.feedback.get(id_)
    assert stored is not None
    assert stored.rating == 4
    (stats,) = app.observing.experience.rows().values()
    assert (stats.ratings, stats.avg_rating) == (1, 4.0)


@pytest.mark.proves("feedback.unknown-request", "server.feedback")
async def test_feedback_for_an_unknown_request_is_a_404_with_a_hint(app: App) -> None:
    answer = await send(app, "POST", "/api/feedback", {"request_id": "req_no", "rating": 3})
    assert answer.status == 404
    assert answer.error["code"] == "request_not_found"
    assert "ymera logs" in answer.error["message"]


@pytest.mark.proves("feedback.ratings", "server.feedback")
@pytest.mark.parametrize(
    "body",
    [
        *({"request_id": "r", "rating": rating} for rating in (0, 6, "good", True, None, [5])),
        {"rating": 5},
        {"request_id": "r"},
        {"request_id": 7, "rating": 5},
        {"request_id": "r", "rating": 5, "stars": 5},
        *(b"", b"{", b"[]", b"\xff", b"[" * 100_000),
    ],
)
async def test_wrong_feedback_is_a_400_that_says_what_is_wrong(app: App, body: object) -> None:
    answer = await send(app, "POST", "/api/feedback", body)
    assert answer.status == 400
    assert "rating" in answer.error["message"]
    assert app.observing.experience.rows() == {}


@pytest.mark.proves("server.route")
async def test_route_explains_and_asks_nothing(app: App) -> None:
    asked = {"prompt": "Write a SQL query", "task_type": "database_query", "model": "fast"}
    plan = decoded(await send(app, "POST", "/api/route", asked))
    assert [each["model"] for each in plan["candidates"]] == ["stage/actor"]
    assert plan["task"]["type"] == "database_query"
    assert plan["policy"]["name"] == "fast"
    assert {"model", "reason", "detail"} <= set(plan["exclusions"][0])
    await asyncio.sleep(0)
    assert app.observing.metrics.snapshot().requests == 0


@pytest.mark.proves("server.route")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": " "}, 400),
        ({}, 400),
        ({"prompt": "x", "task_type": "nope"}, 400),
        ({"prompt": "x", "model": "nope"}, 404),
        ({"prompt": "x", "colour": "red"}, 400),
        ({"prompt": "x" * 11_000_000}, 413),
    ],
)
async def test_a_wrong_question_about_the_route_gets_its_status(
    app: App, body: object, status: int
) -> None:
    assert (await send(app, "POST", "/api/route", body)).status == status


async def test_the_methods_of_these_routes_are_told(app: App) -> None:
    assert (await send(app, "GET", "/api/feedback")).status == 405
    assert (await send(app, "POST", "/api/metrics", {})).status == 405
