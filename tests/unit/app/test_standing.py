"""Closed providers, several keys and cool-downs in a whole app, over restarts and edits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import ymera.app.closures as closures_module
from ymera.app import App
from ymera.app.closures import ClosedProviders
from ymera.app.credentials import Credentials, number_of, slot_of
from ymera.catalog.load import load
from ymera.core.errors import MachineError, NoRoute, ProviderError
from ymera.core.route import ExclusionReason
from ymera.engine.orchestrator import AIRequest
from ymera.security.private_files import replace_private
from ymera.testing import Fault, Simulator

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEYS = ("sim-first-key", "sim-second-key")
Create = Callable[[], App]


def closures(path: Path) -> ClosedProviders:
    return ClosedProviders(path / "providers" / "closed.json", now=lambda: NOW)


# --- the file ----------------------------------------------------------------------------------


@pytest.mark.proves("money.closed-stays")
def test_a_closed_provider_is_closed_for_whoever_starts_later(tmp_path: Path) -> None:
    closures(tmp_path).close("groq", "It billed.")
    later = closures(tmp_path)
    assert later.why("groq") == "Closed since 2026-11-23 12:00 UTC: It billed."
    assert later.why("cerebras") is None
    assert later.open("groq")
    assert not later.open("groq")
    assert closures(tmp_path).why("groq") is None


@pytest.mark.proves("money.closed-stays")
def test_processes_at_the_same_time_lose_none_of_each_others_closures(tmp_path: Path) -> None:
    first, second = closures(tmp_path), closures(tmp_path)
    first.close("a", "x")
    second.close("b", "y")
    assert closures(tmp_path).rows().keys() == {"a", "b"}
    assert first.why("b") is None
    assert first.refresh() == ()
    assert first.why("b") is not None
    second.open("a")
    assert first.refresh() == ("a",)
    assert first.why("a") is None
    assert first.refresh() == ()


def test_what_closed_it_first_stays_the_reason(tmp_path: Path) -> None:
    held = closures(tmp_path)
    held.close("a", "first")
    held.close("a", "second")
    assert held.rows()["a"].why == "first"


@pytest.mark.proves("money.closed-stays")
def test_a_damaged_list_opens_nobody(tmp_path: Path) -> None:
    held = closures(tmp_path)
    held.close("a", "x")
    file = tmp_path / "providers" / "closed.json"
    file.write_bytes(b'{"closed":')
    with pytest.raises(MachineError, match="damaged"):
        held.refresh()
    assert held.why("a") is not None
    with pytest.raises(MachineError, match="damaged"):
        closures(tmp_path)


@pytest.mark.proves("money.closed-stays")
def test_a_provider_is_closed_here_even_where_nothing_can_be_written(tmp_path: Path) -> None:
    held = closures(tmp_path)
    (tmp_path / "providers").write_bytes(b"in the way")
    held.close("a", "x")
    assert held.why("a") is not None


class Slow:
    """A disk that takes its time, in the place of `replace_private`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        monkeypatch.setattr(closures_module, "replace_private", self)

    def __call__(self, path: Path, data: bytes) -> None:
        assert threading.current_thread() is not threading.main_thread()
        assert self.go_on.wait(30)
        replace_private(path, data)


@pytest.mark.proves("money.closing-aside")
async def test_a_closing_holds_at_once_and_a_slow_disk_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Slow(monkeypatch)
    held = closures(tmp_path)
    held.close("a", "It billed.")
    assert held.why("a") is not None
    assert held.rows().keys() == {"a"}
    held.close("b", "It billed, too.")
    assert held.refresh() == ()
    assert held.rows().keys() == {"a", "b"}
    assert closures(tmp_path).rows() == {}
    disk.go_on.set()
    await held.written()
    assert closures(tmp_path).rows().keys() == {"a", "b"}
    assert held.refresh() == ()
    assert held.rows().keys() == {"a", "b"}


@pytest.mark.proves("money.closing-aside")
async def test_a_closing_that_could_not_be_written_is_written_once_that_is_possible(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = closures(tmp_path)
    in_the_way = tmp_path / "providers"
    in_the_way.write_bytes(b"")
    held.close("a", "It billed.")
    await held.written()
    assert "Closed, but only here: a." in caplog.text
    in_the_way.unlink()
    assert held.refresh() == ()
    await held.written()
    assert closures(tmp_path).why("a") is not None


@pytest.mark.proves("money.closing-aside")
def test_a_process_that_ends_right_after_closing_a_provider_leaves_it_closed(
    tmp_path: Path,
) -> None:
    code = f"""
import asyncio, datetime, pathlib
from ymera.app.closures import ClosedProviders

async def main():
    now = lambda: datetime.datetime.now(datetime.UTC)
    ClosedProviders(pathlib.Path({str(tmp_path)!r}) / "providers" / "closed.json", now=now).close(
        "a", "It billed."
    )

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert closures(tmp_path).why("a") is not None


@pytest.mark.proves("money.closed-stays")
def test_who_was_opened_elsewhere_is_told_though_a_closing_was_written_meanwhile(
    tmp_path: Path,
) -> None:
    server = closures(tmp_path)
    server.close("a", "It billed.")
    closures(tmp_path).open("a")
    server.close("b", "It billed.")
    assert server.why("a") is None
    assert server.refresh() == ("a",)
    assert server.refresh() == ()


# --- keys --------------------------------------------------------------------------------------


@pytest.mark.proves("keys.several")
def test_stored_keys_lie_under_the_variable_of_their_number() -> None:
    stored = {"groq": "gsk_one", slot_of("groq", 2): "gsk_two", slot_of("groq", 9): "gsk_nine"}
    environ = {"GROQ_API_KEY_2": "gsk_exported"}
    found = Credentials(environ, stored, load())
    assert [found.get(f"GROQ_API_KEY{n}") or None for n in ("", "_2", "_3", "_9")] == [
        "gsk_one",
        "gsk_exported",
        None,
        "gsk_nine",
    ]
    assert [number_of(slot) for slot in stored] == [("groq", 1), ("groq", 2), ("groq", 9)]
    assert "gsk_" not in repr(found)


@pytest.fixture
async def host(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(
        keys=frozenset(KEYS), faults={"dear": Fault.COSTS, "empty": Fault.NO_CREDIT}
    ) as simulator:
        for name, value in {
            "YMERA_LOCAL__ENABLED": "false",
            "YMERA_PERFORMANCE__ENABLE_CACHING": "false",
            "YMERA_PROVIDERS__HOST__BASE_URL": simulator.base_url,
            "YMERA_PROVIDERS__HOST__MODELS": '["m", "dear", "empty"]',
            "YMERA_PROVIDERS__HOST__FREE": "true",
            "YMERA_PROVIDERS__HOST__KEY_ENV": "HOST_KEY",
        }.items():
            monkeypatch.setenv(name, value)
        yield simulator


@pytest.fixture
async def create() -> AsyncIterator[Create]:
    apps: list[App] = []

    def created() -> App:
        apps.append(App.create())
        return apps[-1]

    yield created
    for app in apps:
        await app.close()


async def ask(app: App, model: str = "host/m") -> str | None:
    answer = await app.orchestrator.ask(AIRequest(prompt="Say hello", model=model))
    await asyncio.sleep(0)
    return answer.model


def keys_seen(simulator: Simulator) -> list[str]:
    return [each.headers["authorization"].removeprefix("Bearer ") for each in simulator.seen]


@pytest.mark.proves("keys.several", "keys.rotation")
async def test_two_keys_of_the_environment_take_turns(
    host: Simulator, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_KEY", KEYS[0])
    monkeypatch.setenv("HOST_KEY_2", KEYS[1])
    app = create()
    for _ in range(4):
        await ask(app)
    assert keys_seen(host) == [*KEYS, *KEYS]
    await app.close()
    stored = [app.records.get(row.id) for row in app.records.recent()]
    used = [each.detail.attempts[0].key_id for each in stored if each is not None]
    assert sorted(map(str, used)) == ["HOST_KEY", "HOST_KEY", "HOST_KEY_2", "HOST_KEY_2"]


@pytest.mark.proves("keys.several", "keys.next-on-failure")
async def test_a_refused_key_gives_way_to_the_next_and_is_back_once_it_is_changed(
    host: Simulator, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_KEY_2", KEYS[1])
    app = create()
    app.securing.vault.set("host", "sim-mistyped-key")
    app.reload()
    for _ in range(3):
        await ask(app)
    assert keys_seen(host) == ["sim-mistyped-key", KEYS[1], KEYS[1], KEYS[1]]
    app.securing.vault.set("host", KEYS[0])
    app.reload()
    await ask(app)
    assert keys_seen(host)[-1] == KEYS[0]


@pytest.mark.proves("health.key-benched")
async def test_with_its_only_key_refused_a_model_is_not_asked_again(
    host: Simulator, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_KEY", "sim-mistyped-key")
    app = create()
    with pytest.raises(ProviderError, match="401"):
        await ask(app)
    with pytest.raises(NoRoute, match="until it is changed") as caught:
        await ask(app)
    assert len(host.seen) == 1
    assert "ymera keys set host" in (caught.value.hint or "")
    (exclusion,) = [each for each in caught.value.exclusions if each.model_id == "host/m"]
    assert exclusion.reason is ExclusionReason.KEY


# --- money -------------------------------------------------------------------------------------


@pytest.mark.proves("money.reported-cost", "money.closed-stays")
async def test_a_provider_that_billed_stays_closed_over_a_restart_until_it_is_opened(
    host: Simulator, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_KEY", KEYS[0])
    app = create()
    answer = await app.orchestrator.ask(AIRequest(prompt="Say hello", model="host/dear"))
    assert answer.cost == Decimal("0.01")
    await app.standings.closures.written()
    for asked in (app, create()):
        with pytest.raises(NoRoute, match=r"Closed since .* reported a cost of \$0\.01"):
            await ask(asked)
    assert len(host.seen) == 1
    other = create()
    other.standings.closures.open("host")
    app.reload()
    assert await ask(app) == "host/m"
    assert [row.model_id for row in app.standings.health.rows(NOW)] == []


@pytest.mark.proves("money.out-of-credit")
async def test_a_402_closes_the_provider_and_opening_it_also_frees_its_key(
    host: Simulator, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_KEY", KEYS[0])
    app = create()
    with pytest.raises(ProviderError, match="402"):
        await ask(app, "host/empty")
    with pytest.raises(NoRoute, match="asked for credit"):
        await ask(app)
    await app.standings.closures.written()
    create().standings.closures.open("host")
    app.reload()
    assert await ask(app) == "host/m"
    assert len(host.seen) == 2


@pytest.mark.proves("engine.passed-over")
async def test_explaining_a_route_names_the_key_and_who_is_closed(
    host: Simulator, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    del host
    monkeypatch.setenv("HOST_KEY", KEYS[0])
    app = create()
    plan = app.orchestrator.route(AIRequest(prompt="Say hello"))
    assert {each.key_id for each in plan.candidates} == {"HOST_KEY"}
    app.standings.closures.close("host", "It billed.")
    plan = app.orchestrator.route(AIRequest(prompt="Say hello"))
    assert plan.candidates == ()
    reasons = {each.model_id: each.reason for each in plan.exclusions}
    assert reasons["host/m"] is ExclusionReason.CLOSED
