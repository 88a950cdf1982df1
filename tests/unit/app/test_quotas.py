"""Quotas of an installation: catalogue, settings, book and store together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from queue import Queue

import msgspec
import pytest

from tests.support.engine import FakeTime
from tests.support.records import answered
from ymera.app.overlay import with_own_hosts
from ymera.app.quotas import Quotas, zone
from ymera.catalog.load import load
from ymera.config.hosts import ProviderSettings
from ymera.core.errors import MachineError
from ymera.core.model import Model, Quirk
from ymera.core.quota import MeterState, Need, PoolKey, QuotaMetric, QuotaRow, QuotaWindow
from ymera.storage.quota import SqlQuotaStore
from ymera.storage.records import SqlRecordStore

CATALOG = load()
GROQ = CATALOG.get("groq/openai/gpt-oss-20b")
MODEL_POOL = PoolKey("groq", "account", GROQ.id)
ONE = Need(input_tokens=100, output_tokens=100)


def no_keys(_provider: str) -> Sequence[str]:
    return ()


class Desk:
    """Quotas over one data directory."""

    def __init__(self, path: Path) -> None:
        self.time = FakeTime()
        self.path = path
        self.open: list[SqlRecordStore] = []

    def quotas(self) -> Quotas:
        records = SqlRecordStore(self.path / "records.db")
        self.open.append(records)
        return Quotas(SqlQuotaStore(records), clock=self.time.clock(), keys=no_keys)

    def call(self, quotas: Quotas, model: Model = GROQ) -> None:
        now = self.time.clock().now()
        quotas.book.reserve(quotas.pools(model, None), ONE, now)

    def used(self, quotas: Quotas) -> int:
        rows = quotas.rows([GROQ])
        return next(r.used for r in rows if _is(r, QuotaMetric.REQUESTS, QuotaWindow.DAY))


def _is(row: QuotaRow, metric: QuotaMetric, window: QuotaWindow) -> bool:
    return (row.metric, row.window) == (metric, window)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    for records in made.open:
        records.close()


@pytest.mark.proves("quota.kept")
async def test_what_was_used_is_known_after_a_restart(desk: Desk) -> None:
    before = desk.quotas()
    for _ in range(3):
        desk.call(before)
    await before.close()
    await before.close()
    assert desk.used(desk.quotas()) == 3


@pytest.mark.proves("quota.two-processes")
async def test_two_processes_learn_of_each_other_with_their_next_writing(desk: Desk) -> None:
    mine, other = desk.quotas(), desk.quotas()
    desk.call(mine)
    desk.call(other)
    desk.call(other)
    await other.close()
    await mine.close()
    mine.flush()  # takes in what the store held when it was written
    assert desk.used(mine) == 3
    await mine.close()
    assert desk.used(desk.quotas()) == 3


async def test_changes_are_written_by_a_thread_while_requests_go_on(desk: Desk) -> None:
    quotas = desk.quotas()
    desk.call(quotas)
    quotas.emit(answered())
    desk.call(quotas)
    quotas.emit(answered())  # a moment later: not yet again
    await quotas.close()
    assert desk.used(desk.quotas()) == 2


class Told(SqlQuotaStore):
    """A store that tells when it has written."""

    def __init__(self, records: SqlRecordStore) -> None:
        super().__init__(records)
        self.written: Queue[int] = Queue()

    def add(self, changes: Sequence[MeterState], now: datetime) -> list[MeterState]:
        held = super().add(changes, now)
        self.written.put(len(held))
        return held


@pytest.mark.proves("quota.kept")
async def test_the_last_of_a_burst_is_written_though_no_request_follows(desk: Desk) -> None:
    waiting: list[tuple[float, Callable[[], None]]] = []
    records = SqlRecordStore(desk.path / "records.db")
    desk.open.append(records)
    store = Told(records)
    quotas = Quotas(
        store,
        clock=desk.time.clock(),
        keys=no_keys,
        later=lambda delay_s, action: waiting.append((delay_s, action)),
    )
    for _ in range(4):
        desk.call(quotas)
        quotas.emit(answered())
    [(delay_s, _)] = waiting  # one for all of them
    assert 0 < delay_s <= 2
    while waiting:
        waiting.pop()[1]()  # again and again while the thread is at an earlier writing
    for _ in range(2):
        store.written.get(timeout=10)
    assert desk.used(desk.quotas()) == 4  # as another process sees it
    await quotas.close()


async def test_nothing_is_read_or_written_where_nothing_is_counted(desk: Desk) -> None:
    quotas = desk.quotas()
    assert quotas.pools(CATALOG.get("ollama/qwen3:8b"), None) == ()
    quotas.emit(answered())
    await quotas.close()
    assert not (desk.path / "records.db").exists()


class Broken(SqlQuotaStore):
    """A store whose disk is full until it is mended."""

    full = True

    def load(self) -> list[MeterState]:
        raise MachineError("No space left.")

    def add(self, changes: Sequence[MeterState], now: datetime) -> list[MeterState]:
        if self.full:
            raise MachineError("No space left.")
        return super().add(changes, now)


@pytest.mark.proves("quota.kept")
async def test_what_cannot_be_written_is_written_later_and_said_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    records = SqlRecordStore(desk.path / "records.db")
    desk.open.append(records)
    store = Broken(records)
    quotas = Quotas(store, clock=desk.time.clock(), keys=no_keys)
    for _ in range(3):
        desk.call(quotas)
        await quotas.close()
    assert len(caplog.records) == 1
    store.full = False
    await quotas.close()
    assert desk.used(desk.quotas()) == 3


@pytest.mark.proves("quota.keys-share")
def test_keys_share_a_quota_unless_the_settings_say_otherwise(desk: Desk) -> None:
    quotas = desk.quotas()
    assert quotas.pools(GROQ, "GROQ_API_KEY_2") == (MODEL_POOL,)
    quotas.configure(CATALOG, {"groq": ProviderSettings(keys_share_quota=False)})
    assert quotas.pools(GROQ, "GROQ_API_KEY_2") == (PoolKey("groq", "GROQ_API_KEY_2", GROQ.id),)


@pytest.mark.proves("quota.own-hosts")
def test_what_the_settings_say_of_a_host_of_ones_own_bounds_its_models_together(
    desk: Desk,
) -> None:
    host = ProviderSettings(
        base_url="https://llm.example.com/v1", models=("big", "small"), free=True, rpm=3, tpd=50_000
    )
    catalog = with_own_hosts(CATALOG, {"my-host": host})
    quotas = desk.quotas()
    quotas.configure(catalog, {"my-host": host})
    big, small = catalog.get("my-host/big"), catalog.get("my-host/small")
    pool = PoolKey("my-host")
    assert quotas.pools(big, "MY_HOST_API_KEY") == quotas.pools(small, "MY_HOST_API_KEY") == (pool,)
    now = desk.time.clock().now()
    for model in (big, small, big):
        pools = quotas.pools(model, None)
        assert quotas.book.check(pools, Need(input_tokens=100), now) is None
        quotas.book.reserve(pools, Need(input_tokens=100), now)
    shortage = quotas.book.check(quotas.pools(small, None), Need(input_tokens=100), now)
    assert shortage is not None
    assert (shortage.metric, shortage.window, shortage.limit) == (
        QuotaMetric.REQUESTS,
        QuotaWindow.MINUTE,
        3,
    )
    more = host.model_copy(update={"rpm": 5})
    quotas.configure(catalog, {"my-host": more})
    assert quotas.book.check((pool,), Need(input_tokens=100), now) is None, "uses stay"
    assert {row.metric: row.used for row in quotas.rows([big])}[QuotaMetric.REQUESTS] == 3
    large = quotas.book.check((pool,), Need(input_tokens=60_000), now + timedelta(minutes=2))
    assert large is not None
    assert large.never


@pytest.mark.proves("quota.own-hosts")
def test_what_the_settings_say_of_a_known_host_holds_besides_its_models_own_limits(
    desk: Desk,
) -> None:
    quotas = desk.quotas()
    quotas.configure(CATALOG, {"groq": ProviderSettings(rpm=500)})
    rows = {(row.pool.model, row.metric, row.window): row.limit for row in quotas.rows([GROQ])}
    assert rows[None, QuotaMetric.REQUESTS, QuotaWindow.MINUTE] == 500
    assert rows[GROQ.id, QuotaMetric.REQUESTS, QuotaWindow.DAY] == GROQ.free.limits.rpd


def test_new_settings_keep_what_was_used(desk: Desk) -> None:
    quotas = desk.quotas()
    desk.call(quotas)
    quotas.configure(CATALOG, {})
    assert desk.used(quotas) == 1


def test_failed_calls_count_where_the_row_says_so(desk: Desk) -> None:
    quotas = desk.quotas()
    flagged = msgspec.structs.replace(GROQ, flags=frozenset({Quirk.COUNTS_FAILED}))
    assert not quotas.counts_failed(GROQ)
    assert quotas.counts_failed(flagged)


def test_a_machine_without_time_zones_still_has_days() -> None:
    assert str(zone("America/Los_Angeles")) in {"America/Los_Angeles", "UTC-08:00"}
    assert str(zone("Nowhere/Nothing")) == "UTC"
