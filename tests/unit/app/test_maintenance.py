"""Jobs that run now and then, and the removal of what is too old."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.records import NOON, answered
from ymera.app.maintenance import Job, Maintenance
from ymera.app.retention import Retention
from ymera.core.errors import MachineError
from ymera.storage.feedback import Feedback, SqlFeedbackStore
from ymera.storage.records import SqlRecordStore

DAY = timedelta(days=1)


def test_each_job_runs_at_the_start_and_then_when_it_is_due() -> None:
    now, done = 100.0, []
    jobs = (
        Job(name="often", period_s=10, action=lambda: done.append("often")),
        Job(name="rarely", period_s=60, action=lambda: done.append("rarely")),
    )
    maintenance = Maintenance(jobs, monotonic=lambda: now)
    assert maintenance.run_due() == 10
    assert done == ["often", "rarely"]
    now = 109.9
    assert maintenance.run_due() == pytest.approx(0.1)
    now = 110.0
    maintenance.run_due()
    assert done == ["often", "rarely", "often"]
    now = 160.0
    maintenance.run_due()
    assert done == ["often", "rarely", "often", "often", "rarely"]


def test_a_failing_job_is_said_once_and_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    now, done = 0.0, []

    def fail() -> None:
        raise MachineError("The disk is full.", hint="Free some disk space.")

    jobs = (
        Job(name="Tidying", period_s=1, action=fail),
        Job(name="ok", period_s=1, action=lambda: done.append(1)),
    )
    maintenance = Maintenance(jobs, monotonic=lambda: now)
    with caplog.at_level(logging.WARNING):
        for now in (0.0, 1.0, 2.0):  # noqa: B007 - the clock reads it
            maintenance.run_due()
    assert done == [1, 1, 1]
    assert [each.getMessage() for each in caplog.records] == [
        "Tidying failed: The disk is full. Free some disk space."
    ]


@pytest.mark.proves("retention.off-path")
async def test_the_first_request_starts_the_thread_and_closing_ends_it() -> None:
    ran = threading.Event()
    names: list[str] = []

    def note() -> None:
        names.append(threading.current_thread().name)
        ran.set()

    maintenance = Maintenance([Job(name="x", period_s=3600, action=note)], monotonic=lambda: 0.0)
    await maintenance.close()  # nothing was started: nothing to end
    maintenance.emit(answered())
    assert ran.wait(30)
    maintenance.emit(answered())
    await maintenance.close()
    assert names == ["ymera-maintenance"]
    assert "ymera-maintenance" not in {thread.name for thread in threading.enumerate()}
    maintenance.emit(answered())
    await maintenance.close()
    assert names == ["ymera-maintenance"]  # not due yet


class Kept:
    """A data directory with records, ratings and audit files, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = NOON
        self.days = 30
        self.records = SqlRecordStore(root / "records.db")
        self.feedback = SqlFeedbackStore(self.records)
        self.audit = root / "audit"
        self.audit.mkdir()

    def retention(self) -> Retention:
        """Return a new one, as a new process would have it."""
        return Retention(
            root=self.root,
            database=self.root / "records.db",
            stores=(self.records, self.feedback),
            audit_logs=self.audit,
            days=lambda: self.days,
            now=lambda: self.now,
        )

    def add(self, age: timedelta) -> str:
        """Add a record, its rating and an audit file of that age; return the record's id."""
        at = NOON - age
        id_ = f"r{at.isoformat()}"
        self.records.write_batch([answered(id_, at=at)])
        self.feedback.put(Feedback(request_id=id_, at=at, rating=3))
        (self.audit / f"audit-{at.date()}.jsonl").touch()
        return id_


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.records.close()


@pytest.mark.proves("retention.exact", "config.leaves-matter")
def test_what_is_older_than_the_configured_days_goes_and_nothing_else(kept: Kept) -> None:
    second = timedelta(seconds=1)
    gone = [kept.add(30 * DAY + second), kept.add(400 * DAY)]
    stays = [kept.add(30 * DAY - second), kept.add(DAY), kept.add(timedelta(0))]
    other = kept.audit / "audit-notes.jsonl"
    other.touch()
    assert kept.retention().prune_when_due() is True
    assert [each.id for each in kept.records.recent()][::-1] == stays
    assert [kept.feedback.get(id_) for id_ in gone] == [None, None]
    assert all(kept.feedback.get(id_) for id_ in stays)
    days = sorted(path.name for path in kept.audit.iterdir())
    assert days == [
        f"audit-{(NOON - 30 * DAY).date()}.jsonl",  # part of this day is within the 30 days
        f"audit-{(NOON - DAY).date()}.jsonl",
        f"audit-{NOON.date()}.jsonl",
        other.name,
    ]


@pytest.mark.proves("retention.exact")
def test_it_is_done_once_a_day_whichever_process_comes_first(kept: Kept) -> None:
    kept.add(DAY)
    assert kept.retention().prune_when_due() is True
    kept.now += DAY - timedelta(seconds=1)
    assert kept.retention().prune_when_due() is False
    kept.now += timedelta(seconds=1)
    assert kept.retention().prune_when_due() is True
    kept.now -= 400 * DAY  # the clock was put right
    assert kept.retention().prune_when_due() is True


@pytest.mark.proves("config.leaves-matter")
def test_fewer_days_take_effect_at_the_next_look(kept: Kept) -> None:
    kept.add(10 * DAY)
    kept.retention().prune_when_due()
    kept.days = 5
    assert kept.retention().prune_when_due() is True
    assert kept.records.recent() == []


def test_no_database_is_made_to_find_nothing_in_it(kept: Kept) -> None:
    assert kept.retention().prune_when_due() is True
    assert not (kept.root / "records.db").exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"at":1}'])
def test_a_damaged_stamp_only_means_that_it_is_done_again(kept: Kept, content: bytes) -> None:
    (kept.root / "retention.json").write_bytes(content)
    assert kept.retention().prune_when_due() is True
    assert kept.retention().prune_when_due() is False


@pytest.mark.proves("retention.exact")
@given(age_s=st.floats(0, 86_400 * 60), days=st.integers(1, 40))
def test_todays_audit_file_and_what_is_within_the_days_always_stay(
    tmp_path_factory: pytest.TempPathFactory, age_s: float, days: int
) -> None:
    audit = tmp_path_factory.mktemp("audit")
    written: datetime = NOON - timedelta(seconds=age_s)
    file = audit / f"audit-{written.date()}.jsonl"
    file.touch()
    retention = Retention(
        root=audit,
        database=audit / "none.db",
        stores=(),
        audit_logs=audit,
        days=lambda: days,
        now=lambda: NOON,
    )
    retention.prune_when_due()
    assert file.exists() == (written.date() >= (NOON - days * DAY).date())
