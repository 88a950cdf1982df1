"""The wired whole: what settings change, what is stored, what a reload takes in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.apps import Create, creating
from tests.support.engine import ask
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.core.access import LOCAL_OWNER, Principal, PrincipalKind
from ymera.core.answer import TextDelta
from ymera.core.chat import RequestHints
from ymera.core.errors import ConfigError, InvalidRequest, RateLimited, TooLong
from ymera.core.route import ExclusionReason
from ymera.engine.orchestrator import AIRequest
from ymera.testing.scripted import ScriptedProvider


@pytest.fixture
async def create(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Create]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    async with creating() as created:
        yield created


def audit_lines(app: App) -> list[dict[str, object]]:
    files = sorted(app.paths.audit_logs.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.mark.proves("engine.records", "engine.audit", "engine.metrics")
async def test_every_request_leaves_a_record_an_audit_line_and_counts(create: Create) -> None:
    app = create()
    answer = await app.orchestrator.ask(AIRequest(prompt="Say hello"))
    failed = await app.orchestrator.execute(AIRequest(prompt="hi", model="nope"))
    await app.close()
    stored = app.records.recent()
    assert [each.id for each in stored] == [failed.request_id, answer.request_id]
    assert [each.error_code for each in stored] == ["model_not_found", None]
    lines = audit_lines(app)
    assert [line["request_id"] for line in lines] == [answer.request_id, failed.request_id]
    assert "Say hello" not in json.dumps(lines)
    counts = app.observing.metrics.snapshot()
    assert (counts.requests, counts.succeeded, counts.failed) == (2, 1, 1)
    assert counts.errors == {"model_not_found": 1}


@pytest.mark.proves("engine.private-by-default", "config.leaves-matter")
async def test_text_is_stored_only_when_switched_on(create: Create) -> None:
    for switched_on in (False, True):
        app = create(monitoring__store_prompts=switched_on)
        answer = await app.orchestrator.ask(AIRequest(prompt="Say hello"))
        await app.close()
        stored = app.records.get(answer.request_id or "")
        assert stored is not None
        assert (stored.prompt == "Say hello") is switched_on


@pytest.mark.proves("config.leaves-matter")
async def test_audit_log_and_metrics_can_be_switched_off(create: Create) -> None:
    app = create(monitoring__enable_audit_log=False, monitoring__enable_metrics=False)
    await app.orchestrator.ask(AIRequest(prompt="Say hello"))
    await app.close()
    assert audit_lines(app) == []
    assert app.observing.metrics.snapshot().requests == 0
    assert len(app.records.recent()) == 1


@pytest.mark.proves("config.leaves-matter")
async def test_input_validation_and_its_limit_can_be_changed(create: Create) -> None:
    with pytest.raises(TooLong):
        await create(security__max_input_length=3).orchestrator.ask(AIRequest(prompt="four"))
    app = create(security__max_input_length=3, security__enable_input_validation=False)
    assert (await app.orchestrator.ask(AIRequest(prompt="four"))).success


@pytest.mark.proves("config.leaves-matter", "engine.rate-limit")
async def test_the_hourly_limit_of_a_user_is_the_configured_one(create: Create) -> None:
    app = create(security__rate_limit_per_hour=1)
    await app.orchestrator.ask(AIRequest(prompt="one", user="ann"))
    with pytest.raises(RateLimited):
        await app.orchestrator.ask(AIRequest(prompt="two", user="ann"))
    assert (await app.orchestrator.ask(AIRequest(prompt="two"))).success


@pytest.mark.proves("config.leaves-matter")
async def test_model_settings_shape_the_plan(create: Create) -> None:
    request = ask("zzzz")
    assert create(models__max_retries=0).gateway.route(request).policy.max_candidates == 1
    assert create(models__max_retries=3).gateway.route(request).policy.max_candidates == 4
    assert create(models__prefer_free=False).gateway.route(request).policy.prefer_free is False
    revenue = ask("Write a sql query for monthly revenue per customer in 2025")
    vague = create(models__default_complexity="complex").gateway.route(revenue)
    assert vague.profile.complexity == "complex"
    budget = create(budget__max_usd_per_request="0.5").gateway.route(request).policy
    assert budget.max_cost_usd == Decimal("0.5")


@pytest.mark.proves("config.leaves-matter")
def test_hosted_calls_get_the_configured_time(create: Create) -> None:
    app = create(performance__timeout_seconds=7)
    upstreams = app._upstreams
    assert upstreams is not None
    assert upstreams.deadlines(stream=False).total_s == 7
    assert upstreams.deadlines(stream=True).idle_s == 7


@pytest.mark.proves("config.leaves-matter", "engine.concurrency")
def test_the_number_of_upstream_calls_is_the_configured_one(create: Create) -> None:
    app = create(performance__max_concurrent_requests=2)
    assert app.gateway._attempts._gate._limit == 2


async def test_a_key_in_the_environment_makes_a_host_callable(
    create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = "groq/openai/gpt-oss-120b"
    assert create().snapshot().availability[model_id][0] is ExclusionReason.NO_KEY
    monkeypatch.setenv("GROQ_API_KEY", "gsk_test")
    assert model_id not in create().snapshot().availability


def test_servers_of_ones_own_count_only_when_said_to_run(create: Create) -> None:
    model_id = "ollama/gemma4:31b"
    reason, detail = create().snapshot().availability[model_id]
    assert reason is ExclusionReason.NOT_CALLABLE
    assert "providers.ollama.enabled" in detail
    assert model_id not in create(providers__ollama__enabled=True).snapshot().availability


def test_keyless_hosts_need_consent(create: Create) -> None:
    model_id = next(m.id for m in create().catalog.models if m.provider == "ovhcloud")
    assert create().snapshot().availability[model_id][0] is ExclusionReason.NO_CONSENT
    app = create(keyless_consent=["ovhcloud"])
    assert model_id not in app.snapshot().availability


def test_a_host_of_ones_own_needs_address_and_models(create: Create) -> None:
    with pytest.raises(ConfigError, match="mine") as caught:
        create(providers__mine__free=True)
    assert "base_url" in (caught.value.hint or "")


@pytest.mark.proves("config.live-reload")
async def test_an_edited_file_takes_effect_and_a_broken_one_does_not(
    create: Create, clean_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = clean_environment / "ymera.toml"
    file.write_text("[security]\nmax_input_length = 50\n")
    app = create()
    assert app.settings.security.max_input_length == 50
    assert app.reload() is False

    file.write_text("[security]\nmax_input_length = 3\n# longer than before\n")
    assert app.reload() is True
    with pytest.raises(TooLong):
        await app.gateway.handle(ask("four"), LOCAL_OWNER)

    file.write_text("[security]\nmax_input_length = 'no'\n")
    assert app.reload() is False
    assert app.settings.security.max_input_length == 3
    assert "max_input_length" in caplog.text
    assert any(line.get("action") == "config.reloaded" for line in audit_lines(app))


@pytest.mark.proves("config.live-reload", "engine.rate-limit")
async def test_a_reload_forgets_no_callers_count(create: Create, clean_environment: Path) -> None:
    file = clean_environment / "ymera.toml"
    file.write_text("[security]\nrate_limit_per_hour = 1\n")
    app = create()
    ann = Principal(id="ann", kind=PrincipalKind.USER)
    await (await app.gateway.handle(ask(), ann)).answer()
    file.write_text("[security]\nrate_limit_per_hour = 1\n[models]\nmax_retries = 1\n")
    assert app.reload() is True
    with pytest.raises(RateLimited):
        await app.gateway.handle(ask(), ann)


@pytest.mark.proves("config.live-reload")
async def test_a_reload_keeps_upstreams_it_does_not_change_and_closes_those_it_does(
    create: Create, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = clean_environment / "ymera.toml"
    file.write_text("[models]\nmax_retries = 1\n")
    app = create()
    first = app._upstreams
    file.write_text("[models]\nmax_retries = 2\n# changed\n")
    assert app.reload() is True
    assert app._upstreams is first
    assert first is not None

    request, model = ask(stream=True), app.catalog.get("stage/actor")
    async with aclosing(first.call(request, model)) as events:
        file.write_text("[performance]\ntimeout_seconds = 7\n")
        assert app.reload() is True
        assert app._upstreams is not first
        (retiring,) = app._retiring
        assert not retiring.done()
        assert isinstance((await anext(aiter(events)))[0], TextDelta)
    await asyncio.wait_for(retiring, 10)
    assert first._made == {}


@pytest.mark.proves("config.live-reload")
async def test_a_call_that_comes_after_a_reload_closed_its_upstreams_is_served_and_closed(
    create: Create, clean_environment: Path
) -> None:
    app = create()
    old, request, model = app._upstreams, ask(stream=True), app.catalog.get("stage/actor")
    assert old is not None
    (clean_environment / "ymera.toml").write_text("[performance]\ntimeout_seconds = 7\n")
    assert app.reload() is True
    await asyncio.wait_for(asyncio.gather(*app._retiring), 10)
    async with aclosing(old.call(request, model)) as events:  # it had waited in line for its slot
        assert isinstance((await anext(aiter(events)))[0], TextDelta)
        assert old._made != {}
    assert old._made == {}


@pytest.mark.proves("config.live-reload")
async def test_upstreams_stay_open_for_the_next_candidate_of_a_request_under_way(
    create: Create, clean_environment: Path
) -> None:
    app = create()
    old, request, model = app._upstreams, ask(stream=True), app.catalog.get("stage/actor")
    assert old is not None
    async with aclosing(old.call(request, model)):
        (clean_environment / "ymera.toml").write_text("[performance]\ntimeout_seconds = 7\n")
        assert app.reload() is True
        await asyncio.sleep(0)
    async with aclosing(old.call(request, model)) as events:
        for _ in range(5):
            await asyncio.sleep(0)
        assert old._made != {}
        assert isinstance((await anext(aiter(events)))[0], TextDelta)
    (retiring,) = app._retiring
    await asyncio.wait_for(retiring, 10)
    assert old._made == {}


async def test_closing_writes_records_out_even_when_a_provider_will_not_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stuck(ScriptedProvider):
        async def close(self) -> None:
            raise OSError("stuck")

    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    app = App.create()
    answer = await app.orchestrator.ask(AIRequest(prompt="Say hello"))
    assert app._upstreams is not None
    app._upstreams._made["stage", None] = Stuck()
    with pytest.raises(OSError, match="stuck"):
        await app.close()
    assert [each.id for each in app.records.recent()] == [answer.request_id]
    app.records.close()


@pytest.mark.proves("config.leaves-matter")
async def test_the_default_model_is_the_configured_one(create: Create) -> None:
    app = create(models__default_model="stage/actor")
    assert app.orchestrator.route(AIRequest(prompt="hi")).policy.only_model == "stage/actor"
    named = AIRequest(prompt="hi", model="fast")
    assert app.orchestrator.route(named).policy.name == "fast"


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"temperature": 99}, {"temperature": -1}])
async def test_a_number_out_of_its_range_is_named(create: Create, wrong: dict[str, int]) -> None:
    request = AIRequest(prompt="hi", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest) as caught:
        await create().orchestrator.ask(request)
    assert caught.value.param in wrong


def test_a_model_that_appears_on_disk_is_taken_in(
    create: Create, small_model_dir: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "models"
    empty.mkdir()
    app = create(local__enabled=True, local__models_dir=str(empty))
    model_id = "local/smollm2-135m"
    assert app.snapshot().availability[model_id][0] is ExclusionReason.NOT_PULLED
    for file in small_model_dir.iterdir():
        (empty / file.name).symlink_to(file.resolve())
    app.reload()
    assert model_id not in app.snapshot().availability


async def test_a_private_request_asks_only_who_does_not_train(
    create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_test")
    monkeypatch.setenv("GEMINI_API_KEY", "AIza_test")
    app = create(models__max_retries=20)
    plan = app.gateway.route(ask(hints=RequestHints(private=True)))
    providers = {candidate.model.provider for candidate in plan.candidates}
    assert "groq" in providers
    assert "google" not in providers
