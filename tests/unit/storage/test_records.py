"""The store of request records, through the database it really writes."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert

from tests.support.records import NOON, answered, record
from ymera.core.errors import ConfigError, InvalidRequest, MachineError
from ymera.core.record import Attempt
from ymera.storage.records import SqlRecordStore
from ymera.storage.rows import (
    RecordDetail,
    RequestSummary,
    StoredCandidate,
    StoredPlan,
    StoredRequest,
    to_row,
)
from ymera.storage.schema import requests


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "not" / "yet" / "records.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqlRecordStore]:
    with closing(SqlRecordStore(file)) as opened:
        yield opened


FULL = RequestSummary(
    id="req-1",
    at=NOON,
    principal="alice",
    requested_model="auto",
    model_id="local/tiny",
    provider="local",
    task_type="code_generation",
    complexity="simple",
    error_code=None,
    attempts=2,
    latency_s=0.8,
    ttft_s=0.25,
    overhead_s=0.002,
    input_tokens=11,
    output_tokens=22,
    cached_tokens=3,
    reasoning_tokens=4,
    cost_usd=Decimal("0.001234"),
    stream=True,
    agent="coding_agent",
    private=False,
    prompt_chars=40,
    answer_chars=80,
)


@pytest.mark.proves("engine.records", "storage.round-trip")
def test_a_stored_request_comes_back_whole(store: SqlRecordStore) -> None:
    request = answered()
    store.write_batch([request])

    assert store.get("req-1") == StoredRequest(
        summary=FULL,
        detail=RecordDetail(
            plan=StoredPlan(
                policy="auto",
                selector="free_first",
                est_input_tokens=12,
                est_output_tokens=256,
                candidates=(
                    StoredCandidate(
                        model_id="local/tiny",
                        score=0.5,
                        terms={"quality": 0.5},
                        reason="It is free.",
                    ),
                ),
                exclusions={"no_key": 2, "context": 1},
            ),
            attempts=request.attempts,
        ),
        prompt=None,
        answer=None,
    )
    assert store.recent() == [FULL]


@pytest.mark.proves("core.unknown-cost")
def test_what_is_unknown_stays_unknown(store: SqlRecordStore) -> None:
    store.write_batch([record(error_code="rate_limit_exceeded")])

    (summary,) = store.recent()

    assert summary.cost_usd is None
    assert (summary.input_tokens, summary.model_id, summary.task_type) == (None, None, None)
    assert summary.error_code == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("spent", "stored"),
    [("0", "0"), ("0.0000001", "0.000001"), ("0.0000011", "0.000002"), ("12.5", "12.5")],
)
def test_money_spent_is_rounded_up_to_micro_dollars(
    store: SqlRecordStore, spent: str, stored: str
) -> None:
    store.write_batch([answered(cost_usd=Decimal(spent))])
    assert store.recent()[0].cost_usd == Decimal(stored)


@pytest.mark.proves("storage.private-text")
def test_the_text_of_a_private_request_is_never_stored(store: SqlRecordStore, file: Path) -> None:
    store.write_batch(
        [
            answered("open", prompt="the question", answer="the reply"),
            answered("closed", private=True, prompt="my secret question", answer="its reply"),
        ]
    )
    store.close()

    opened, closed = store.get("open"), store.get("closed")
    assert opened is not None
    assert (opened.prompt, opened.answer) == ("the question", "the reply")
    assert closed is not None
    assert (closed.prompt, closed.answer) == (None, None)
    assert b"my secret" not in file.read_bytes()


@pytest.mark.proves("storage.paging")
def test_pages_run_from_the_last_written_back_without_gap_or_overlap(
    store: SqlRecordStore,
) -> None:
    store.write_batch([record(f"req-{number}") for number in range(7)])

    pages = [[summary.id for summary in store.recent(3)]]
    while pages[-1]:
        pages.append([summary.id for summary in store.recent(3, before_id=pages[-1][-1])])

    assert pages == [["req-6", "req-5", "req-4"], ["req-3", "req-2", "req-1"], ["req-0"], []]


@pytest.mark.proves("storage.batches")
@pytest.mark.parametrize("count", [1, 7, 8, 63, 64, 65, 201])
def test_a_batch_of_any_size_is_written_whole_and_in_order(
    store: SqlRecordStore, count: int
) -> None:
    ids = [f"req-{at}" for at in range(count)]
    store.write_batch([answered(id_) for id_ in ids])
    assert [each.id for each in store.recent(limit=1_000)] == ids[::-1]
    assert store.totals().requests == count


@pytest.mark.proves("storage.batches")
def test_what_other_databases_are_given_reads_the_same(store: SqlRecordStore) -> None:
    store.write_batch([answered("req-1")])
    with store.database().writing() as connection:  # SQLite has a faster way of its own
        connection.execute(insert(requests), [to_row(answered("req-2"))])
    mine, other = store.get("req-1"), store.get("req-2")
    assert mine is not None
    assert other is not None
    assert other.detail == mine.detail
    assert msgspec.structs.replace(other.summary, id="req-1") == mine.summary


def test_a_page_before_an_unknown_request_is_an_error(store: SqlRecordStore) -> None:
    with pytest.raises(InvalidRequest, match="No request has the id 'gone'") as caught:
        store.recent(before_id="gone")
    assert caught.value.hint


def test_an_id_used_twice_finds_the_last_request_and_spoils_no_batch(
    store: SqlRecordStore,
) -> None:
    store.write_batch([record("same", requested_model="first"), record("same")])

    found = store.get("same")

    assert found is not None
    assert found.summary.requested_model == "auto"
    assert store.get("other") is None


def test_text_that_a_database_may_refuse_is_stored_legibly(store: SqlRecordStore) -> None:
    broken = Attempt(
        model_id="a/x",
        provider="a",
        started_at=NOON,
        latency_s=0.1,
        error_code="transient",
        error="\ud800" + "x" * 5_000,
    )
    store.write_batch(
        [record(requested_model="x" * 100_000, prompt="nul \x00 \ud800 é", attempts=(broken,))]
    )

    found = store.get("req-1")

    assert found is not None
    assert found.prompt == "nul \ufffd ? é"
    assert found.summary.requested_model == "x" * 200
    assert found.detail.attempts[0].error == "?" + "x" * 999


@pytest.mark.proves("storage.retention")
def test_old_requests_are_deleted_in_batches_and_newer_ones_stay(store: SqlRecordStore) -> None:
    store.write_batch([record(f"req-{minute}", minutes=minute) for minute in range(10)])

    deleted = store.delete_before(NOON + timedelta(minutes=7), batch=3)

    assert deleted == 7
    assert [summary.id for summary in store.recent()] == ["req-9", "req-8", "req-7"]
    assert store.delete_before(NOON + timedelta(minutes=7)) == 0


def test_constructing_a_store_touches_nothing(store: SqlRecordStore, file: Path) -> None:
    store.close()
    assert not file.parent.exists()


def test_the_file_is_readable_by_its_owner_alone(store: SqlRecordStore, file: Path) -> None:
    store.open()
    store.write_batch([record()])

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}

    assert set(modes.values()) == {0o600}
    assert "records.db-wal" in modes


def test_a_batch_of_none_opens_nothing(store: SqlRecordStore, file: Path) -> None:
    store.write_batch([])
    assert not file.exists()


def test_threads_that_open_the_store_at_once_lose_nothing(store: SqlRecordStore) -> None:
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        barrier.wait(10)
        store.write_batch([record(f"req-{number}")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert {summary.id for summary in store.recent()} == {f"req-{number}" for number in range(4)}


@pytest.mark.proves("storage.damaged")
def test_a_corrupt_file_is_an_error_that_says_what_to_do(store: SqlRecordStore, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is no database " * 100)

    with pytest.raises(MachineError) as caught:
        store.open()

    assert str(file) in caught.value.message
    assert caught.value.hint == "The file is damaged: move it away and a new one will be made."
    assert file.read_bytes() == b"this is no database " * 100


def test_a_damaged_row_is_an_error_that_says_what_to_do(store: SqlRecordStore, file: Path) -> None:
    store.write_batch([record()])
    store.close()
    with sqlite3.connect(file) as connection:
        connection.execute("""UPDATE ymera_requests SET detail = '{"attempts": 1}'""")
    connection.close()

    with pytest.raises(MachineError, match="cannot be used") as caught:
        store.get("req-1")
    assert "damaged" in str(caught.value.hint)


@pytest.mark.proves("data.unwritable")
def test_a_place_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(MachineError) as caught:
        SqlRecordStore(tmp_path / "file" / "records.db").open()

    assert "YMERA_DATA_DIR" in str(caught.value.hint)


def test_a_database_held_by_another_process_is_an_error_that_says_so(
    store: SqlRecordStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ymera.storage.database._BUSY_TIMEOUT_S", 0.0)
    store.open()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(MachineError) as caught:
        store.write_batch([record(prompt="not to be quoted")])
    other.close()

    assert "Another process holds it" in str(caught.value.hint)
    assert "not to be quoted" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    ["no url", "postgresql+nosuch://me:hunter2@db/x", "sqlite://", "sqlite:///:memory:"],
)
def test_an_unusable_url_is_a_configuration_error_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SqlRecordStore(url).open()
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


def test_a_sqlite_url_names_a_file(tmp_path: Path) -> None:
    with closing(SqlRecordStore(f"sqlite:///{tmp_path}/by-url.db")) as store:
        store.write_batch([record()])
    assert (tmp_path / "by-url.db").exists()
