"""Stored keys in effect: under the environment's, in a running app, tried before they are kept."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from tests.support.apps import Create, creating
from tests.support.server import SCRIPTED
from ymera.app.credentials import Credentials, try_key
from ymera.catalog.load import load
from ymera.core.route import ExclusionReason
from ymera.engine.orchestrator import AIRequest
from ymera.testing.simulator import Fault, Simulator

MODEL = "groq/openai/gpt-oss-120b"


@pytest.fixture
async def create(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Create]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    async with creating() as created:
        yield created


@pytest.mark.proves("keys.environment-wins")
def test_a_stored_key_stands_in_for_a_variable_that_is_not_set() -> None:
    catalog = load()
    environ = {"OTHER": "x", "GROQ_API_KEY": " "}
    keys = Credentials(environ, {"groq": "gsk_stored", "nobody": "x", "local": "y"}, catalog)
    assert keys["GROQ_API_KEY"] == "gsk_stored"
    assert dict(keys) == {"OTHER": "x", "GROQ_API_KEY": "gsk_stored"}
    assert len(keys) == 2
    assert keys.get("MISSING") is None or keys.get("MISSING") == ""
    assert "gsk_stored" not in repr(keys)
    environ["GROQ_API_KEY"] = "gsk_exported"
    assert keys["GROQ_API_KEY"] == "gsk_exported"
    second = Credentials({"GOOGLE_API_KEY": "exported"}, {"google": "stored"}, catalog)
    assert "stored" not in second.values(), "another variable of the same provider is set"


@pytest.mark.proves("keys.live")
async def test_a_key_takes_effect_in_a_running_app_and_leaves_it_again(create: Create) -> None:
    app, other_process = create(), create()
    assert app.snapshot().availability[MODEL][0] is ExclusionReason.NO_KEY
    upstreams = app._upstreams
    app.reload()
    assert app._upstreams is upstreams, "nothing changed"
    other_process.securing.vault.set("groq", "gsk_example-key")
    app.reload()
    assert MODEL not in app.snapshot().availability
    assert app._upstreams is not upstreams, "clients hold the key they were made with"
    other_process.securing.vault.remove("groq")
    app.reload()
    assert app.snapshot().availability[MODEL][0] is ExclusionReason.NO_KEY


@pytest.mark.proves("keys.live", "document.key-rotation")
async def test_a_replaced_key_is_the_one_that_is_sent(create: Create) -> None:
    async with Simulator() as simulator:
        app = create(providers__groq__base_url=simulator.base_url)
        for key in ("gsk_first-key", "gsk_second-key"):
            app.securing.vault.set("groq", key)
            app.reload()
            assert (
                await app.orchestrator.ask(AIRequest(prompt=f"hi {key[:6]}", model=MODEL))
            ).success
            assert simulator.seen[-1].headers["authorization"] == f"Bearer {key}"


@pytest.mark.proves("keys.unreadable-vault")
async def test_an_unreadable_vault_costs_the_stored_keys_and_nothing_else(
    create: Create, caplog: pytest.LogCaptureFixture
) -> None:
    create().securing.vault.set("groq", "gsk_example-key")
    app = create()
    (app.paths.encryption / "key_encryption_keys.json").unlink()
    with caplog.at_level(logging.ERROR):
        again = create()
    assert "is lost" in caplog.text
    assert MODEL in again.snapshot().availability
    assert (await again.orchestrator.ask(AIRequest(prompt="hi"))).success


@pytest.mark.proves("keys.trial")
@pytest.mark.parametrize(
    ("faults", "keys", "verdict", "says"),
    [
        ({}, {"gsk_example-key"}, "accepted", "accepted it"),
        ({}, {"another"}, "refused", "refused it"),
        ({"*": Fault.DAY}, set(), "accepted", "knows it"),
        ({"*": Fault.GONE}, set(), "untested", "not tested"),
    ],
)
async def test_a_key_is_tried_with_one_cheap_call(
    create: Create, faults: dict[str, Fault], keys: set[str], verdict: str, says: str
) -> None:
    app = create()
    names = [m.upstream_id for m in app.catalog.models if m.provider == "groq"]
    by_name = dict.fromkeys(names, faults["*"]) if faults else {}
    async with Simulator(faults=by_name, keys=frozenset(keys)) as simulator:
        app = create(providers__groq__base_url=simulator.base_url)
        trial = await try_key(
            app.catalog.providers["groq"],
            "gsk_example-key",
            catalog=app.catalog,
            settings=app.settings,
            environ={"GROQ_API_KEY": "gsk_the-old-one"},
        )
        assert (trial.verdict, says in trial.detail) == (verdict, True), trial
        assert len(simulator.seen) == 1
        assert simulator.seen[0].headers["authorization"] == "Bearer gsk_example-key"
        assert b'"max_tokens":1' in simulator.seen[0].body.replace(b" ", b"").replace(
            b"max_completion_tokens", b"max_tokens"
        )


@pytest.mark.proves("keys.trial")
async def test_offline_and_paid_providers_are_not_tested_and_say_so(create: Create) -> None:
    async with Simulator() as gone:
        address = gone.base_url
    app = create(providers__groq__base_url=address)
    for provider, says in {"groq": "not tested: offline", "anthropic": "no free model"}.items():
        trial = await try_key(
            app.catalog.providers[provider],
            "any-key",
            catalog=app.catalog,
            settings=app.settings,
            environ={},
        )
        assert trial.verdict == "untested"
        assert says in trial.detail
