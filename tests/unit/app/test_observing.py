"""What the app learns, counts and keeps while it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.apps import Create, creating
from tests.support.phases import phase, run_of
from tests.support.records import answered
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.app.observing import rating_of
from ymera.core.errors import InvalidRequest, UnknownRequest
from ymera.engine.orchestrator import AIRequest
from ymera.learning.table import Key

TWO_MODELS = {
    **SCRIPTED,
    "YMERA_PROVIDERS__STAGE__MODELS": '["ann", "bob"]',
    "YMERA_PERFORMANCE__ENABLE_CACHING": "false",
}


@pytest.fixture
async def create(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Create]:
    for name, value in TWO_MODELS.items():
        monkeypatch.setenv(name, value)
    async with creating() as created:
        yield created


async def ask(app: App, **more: object) -> str:
    request = AIRequest(prompt="Say hello", task_type="chat", **more)  # type: ignore[arg-type]
    answer = await app.orchestrator.ask(request)
    await asyncio.sleep(0)  # the record reaches the sinks when the reply has left
    return answer.request_id or ""


def first_choice(app: App) -> str:
    plan = app.orchestrator.route(AIRequest(prompt="Say hello", task_type="chat"))
    return plan.candidates[0].model.id


@pytest.mark.proves("learning.router", "routing.experience")
async def test_ratings_change_which_model_is_asked_and_the_plan_says_so(create: Create) -> None:
    app = create()
    assert first_choice(app) == "stage/ann"
    for _ in range(12):
        app.observing.rate(await ask(app, model="stage/ann"), rating_of("fail"))
    plan = app.orchestrator.route(AIRequest(prompt="Say hello", task_type="chat"))
    assert [each.model.id for each in plan.candidates] == ["stage/bob", "stage/ann"]
    assert plan.candidates[1].terms["experience"] < 0
    assert "experience -0.0" in plan.candidates[1].reason
    elsewhere = app.orchestrator.route(AIRequest(prompt="2 + 2?", task_type="reasoning"))
    assert elsewhere.candidates[0].model.id == "stage/ann"  # another task: nothing learned


@pytest.mark.proves("learning.persisted", "learning.router")
async def test_what_one_app_learned_the_next_one_uses(create: Create) -> None:
    first = create()
    for _ in range(10):
        first.observing.rate(await ask(first, model="stage/bob"), 5.0)
    assert first_choice(first) == "stage/bob"
    await first.close()
    assert first_choice(create()) == "stage/bob"
    assert (first.paths.ai_performance / "experience.json").exists()


@pytest.mark.proves("feedback.stored", "learning.every-request")
async def test_a_rating_is_stored_and_taught_and_a_second_one_replaces_it(create: Create) -> None:
    app = create()
    id_ = await ask(app)
    first = app.observing.rate(id_, 2.0, "no\x00pe, key sk-abcdefgh12345678")
    second = app.observing.rate(id_, 5.0, "better")
    assert (first.replaced, second.replaced) == (None, 2.0)
    assert first.model == "stage/ann"
    stored = app.observing.feedback.get(id_)
    assert stored is not None
    assert (stored.rating, stored.comment) == (5.0, "better")
    stats = app.observing.experience.rows()[Key("direct", "chat", "stage/ann")]
    assert (stats.executions, stats.ratings, stats.avg_rating) == (1, 1, 5.0)


@pytest.mark.proves("feedback.no-secrets")
async def test_a_comment_keeps_no_credential_and_a_private_request_keeps_no_comment(
    create: Create,
) -> None:
    app = create()
    id_ = await ask(app)
    app.observing.rate(id_, 1, "my key sk-abcdefgh12345678 leaked")
    stored = app.observing.feedback.get(id_)
    assert stored is not None
    assert stored.comment == "my key sk-*** leaked"
    app.observing.experience.emit(answered("req-private", private=True))
    app.observing.rate("req-private", 5, "about my tax")
    private = app.observing.feedback.get("req-private")
    assert private is not None
    assert (private.rating, private.comment) == (5.0, None)


@pytest.mark.proves("feedback.after-restart")
async def test_an_answer_of_an_earlier_process_can_be_rated(create: Create) -> None:
    first = create()
    id_ = await ask(first)
    await first.close()
    later = create()
    assert later.observing.rate(id_, 4).model == "stage/ann"
    stats = later.observing.experience.rows()[Key("direct", "chat", "stage/ann")]
    assert (stats.executions, stats.ratings) == (1, 1)


@pytest.mark.proves("feedback.unknown-request")
async def test_feedback_for_an_unknown_request_is_refused_and_teaches_nothing(
    create: Create,
) -> None:
    app = create()
    with pytest.raises(UnknownRequest, match="req_nobody") as caught:
        app.observing.rate("req_nobody", 5)
    assert "ymera logs" in (caught.value.hint or "")
    assert app.observing.feedback.get("req_nobody") is None
    assert app.observing.experience.rows() == {}


async def test_a_request_that_nobody_answered_can_be_rated_but_teaches_nothing(
    create: Create,
) -> None:
    app = create()
    failed = await app.orchestrator.execute(AIRequest(prompt="hi", model="nope"))
    await app.close()
    assert app.observing.rate(failed.request_id or "", 1).model is None
    assert app.observing.experience.rows() == {}


@pytest.mark.proves("feedback.ratings")
@pytest.mark.parametrize(
    ("said", "rating"),
    [
        *[(1, 1.0), (5, 5.0), (3.5, 3.5), ("pass", 5.0), ("FAIL", 1.0)],
        *[(0, None), (6, None), (True, None), (None, None), (float("nan"), None), ([], None)],
        *[("", None), ("3", None), ("good", None)],
    ],
)
def test_a_rating_is_a_number_from_1_to_5_or_pass_or_fail(
    said: object, rating: float | None
) -> None:
    if rating is not None:
        assert rating_of(said) == rating
        return
    with pytest.raises(InvalidRequest) as caught:
        rating_of(said)
    assert caught.value.param == "rating"
    assert "pass" in (caught.value.hint or "")


@pytest.mark.proves("config.leaves-matter")
async def test_metrics_can_be_switched_off_while_learning_goes_on(create: Create) -> None:
    app = create(monitoring__enable_metrics=False)
    await ask(app)
    assert app.observing.metrics.snapshot().requests == 0
    assert len(app.observing.experience.rows()) == 1


@pytest.mark.proves("learning.rejected")
async def test_an_answer_that_failed_its_checks_counts_against_its_model(create: Create) -> None:
    app = create()
    spec = run_of(phase("write"))
    app.observing.rejected(spec, spec.phases[0], "a/m", 0.5)
    (row,) = app.observing.experience.rows().items()
    assert row[0] == ("test_agent", "chat", "a/m")
    assert (row[1].executions, row[1].successes) == (1, 0)
