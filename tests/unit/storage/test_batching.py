"""The batching sink: nothing blocks, nothing raises, nothing is lost silently."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.records import record
from ymera.core.errors import MachineError
from ymera.core.record import RequestRecord
from ymera.storage.batching import BatchingSink
from ymera.storage.records import SqlRecordStore

WAIT_S = 30.0


class Collector:
    """A writer that keeps the ids of its batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()

    def __call__(self, records: Sequence[RequestRecord]) -> None:
        self.batches.append([each.id for each in records])
        self.threads.add(threading.current_thread().name)

    @property
    def ids(self) -> list[str]:
        return [id_ for batch in self.batches for id_ in batch]


class Gate:
    """A writer that waits until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _records: Sequence[RequestRecord]) -> None:
        self.entered.set()
        self.opened.wait(WAIT_S)


def emit_all(sink: BatchingSink, *ids: str) -> None:
    for id_ in ids:
        sink.emit(record(id_))


@pytest.mark.proves("storage.batches")
async def test_records_reach_every_writer_in_order_in_one_batch_by_another_thread() -> None:
    first, second = Collector(), Collector()
    sink = BatchingSink([first, second], interval_s=WAIT_S)  # `close` ends the wait

    emit_all(sink, "a", "b", "c")
    await sink.close()

    assert first.batches == second.batches == [["a", "b", "c"]]
    assert first.threads == {"ymera-records"}


async def test_a_batch_is_bounded_and_a_backlog_is_not_waited_for() -> None:
    gate, collector = Gate(), Collector()
    sink = BatchingSink([gate, collector], max_batch=3, interval_s=0)
    sink.emit(record("first"))
    gate.entered.wait(WAIT_S)
    emit_all(sink, *"abcdefg")

    gate.opened.set()
    await sink.close()

    assert collector.batches == [["first"], ["a", "b", "c"], ["d", "e", "f"], ["g"]]


@pytest.mark.proves("storage.never-blocks")
async def test_what_does_not_fit_is_dropped_counted_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate, collector = Gate(), Collector()
    sink = BatchingSink([gate, collector], capacity=2, interval_s=0)
    sink.emit(record("held"))
    gate.entered.wait(WAIT_S)

    emit_all(sink, "a", "b", "lost", "lost")
    gate.opened.set()
    await sink.close()

    assert sink.dropped == 2
    assert collector.ids == ["held", "a", "b"]
    assert [entry.levelname for entry in caplog.records] == ["WARNING"]


@pytest.mark.proves("storage.slows-before-losing")
async def test_new_requests_wait_while_records_pile_up_and_go_on_when_they_are_written() -> None:
    gate, collector = Gate(), Collector()
    sink = BatchingSink([gate, collector], crowded_at=3, interval_s=0, patience_s=WAIT_S)
    sink.emit(record("held"))
    gate.entered.wait(WAIT_S)

    emit_all(sink, "a", "b")
    assert not sink.crowded()
    sink.emit(record("c"))
    assert sink.crowded()
    waiting = [asyncio.create_task(sink.thinned()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)

    gate.opened.set()
    await asyncio.wait_for(asyncio.gather(*waiting), WAIT_S)
    assert not sink.crowded()
    await sink.close()
    assert (collector.ids, sink.dropped) == (["held", "a", "b", "c"], 0)


@pytest.mark.proves("storage.slows-before-losing")
async def test_a_request_does_not_wait_forever_for_a_disk_that_stands_still() -> None:
    gate = Gate()
    sink = BatchingSink([gate], crowded_at=1, interval_s=0, patience_s=0.01)
    sink.emit(record("held"))
    gate.entered.wait(WAIT_S)
    sink.emit(record("a"))

    await asyncio.wait_for(sink.thinned(), WAIT_S)

    assert sink.crowded()
    gate.opened.set()
    await sink.close()


@pytest.mark.proves("storage.slows-before-losing")
async def test_a_record_with_stored_text_counts_as_several() -> None:
    gate = Gate()
    sink = BatchingSink([gate], crowded_at=5, capacity=6, interval_s=0)
    sink.emit(record("held"))
    gate.entered.wait(WAIT_S)

    sink.emit(record("a", prompt="x" * 1_900, answer="y" * 2_100))
    assert sink.crowded()
    emit_all(sink, "b", "lost")

    gate.opened.set()
    await sink.close()
    assert sink.dropped == 1
    assert not sink.crowded()


@pytest.mark.proves("storage.never-raises")
async def test_a_writer_that_fails_is_reported_once_and_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(_records: Sequence[RequestRecord]) -> None:
        raise MachineError("The disk is full.", hint="Free some space.")

    collector = Collector()
    sink = BatchingSink([full, collector], max_batch=1, interval_s=0, retries_s=())

    emit_all(sink, "a", "b", "c")
    await sink.close()

    assert collector.ids == ["a", "b", "c"]
    assert sink.failed == 3
    assert [entry.getMessage() for entry in caplog.records] == [
        "Request records could not be written: The disk is full. Free some space."
    ]


@pytest.mark.proves("storage.tries-again")
async def test_a_batch_that_could_not_be_written_is_tried_again_and_not_lost() -> None:
    collector, fine = Collector(), Collector()
    tries = iter([True, True, False])

    def locked(records: Sequence[RequestRecord]) -> None:
        if next(tries):
            raise MachineError("The database is locked.")
        collector(records)
        wrote.set()

    wrote = threading.Event()
    sink = BatchingSink([locked, fine], interval_s=0, retries_s=(0, 0))
    sink.emit(record("a"))
    await asyncio.to_thread(wrote.wait, WAIT_S)
    await sink.close()
    assert (collector.ids, fine.ids, sink.failed) == (["a"], ["a"], 0)


@pytest.mark.proves("storage.tries-again")
async def test_a_writer_that_failed_every_try_gets_one_each_until_it_works() -> None:
    tries = Collector()

    def full(records: Sequence[RequestRecord]) -> None:
        tries(records)
        raise MachineError("The disk is full.")

    lost = threading.Event()

    def last(records: Sequence[RequestRecord]) -> None:
        if records[0].id == "c":
            lost.set()

    sink = BatchingSink([full, last], max_batch=1, interval_s=0, retries_s=(0, 0))
    emit_all(sink, "a", "b", "c")
    await asyncio.to_thread(lost.wait, WAIT_S)
    await sink.close()
    assert tries.ids == ["a", "a", "a", "b", "c"]
    assert sink.failed == 3


async def test_a_writer_that_recovers_and_fails_again_is_reported_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails_on_x(records: Sequence[RequestRecord]) -> None:
        if records[0].id == "x":
            raise ValueError("secret detail")

    sink = BatchingSink([fails_on_x], max_batch=1, interval_s=0, retries_s=())

    emit_all(sink, "x", "fine", "x")
    await sink.close()

    assert [entry.getMessage() for entry in caplog.records] == [
        "Request records could not be written: ValueError "
    ] * 2


async def test_closing_is_bounded_when_a_writer_hangs(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    sink = BatchingSink([gate], interval_s=0, close_timeout_s=0.01)
    sink.emit(record())
    gate.entered.wait(WAIT_S)

    await asyncio.wait_for(sink.close(), WAIT_S)

    assert "were not written within" in caplog.text
    gate.opened.set()


def test_one_sink_serves_several_event_loops() -> None:
    collector = Collector()
    sink = BatchingSink([collector])

    async def run(id_: str) -> None:
        sink.emit(record(id_))
        await sink.close()
        await sink.close()

    asyncio.run(run("first loop"))
    asyncio.run(run("second loop"))

    assert collector.ids == ["first loop", "second loop"]


async def test_an_unused_sink_has_no_thread_and_closes_at_once() -> None:
    before = threading.active_count()
    sink = BatchingSink([Collector()])
    await sink.close()
    assert threading.active_count() == before


async def test_without_a_thread_to_be_had_closing_writes_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    collector = Collector()
    sink = BatchingSink([collector])
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        emit_all(sink, "a", "b")

    await sink.close()

    assert collector.batches == [["a", "b"]]


def run_script(tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run a script that has a `sink` over a store in `records.db`."""
    prelude = """
        import os, sys
        from pathlib import Path
        from tests.support.records import record
        from ymera.storage.batching import BatchingSink
        from ymera.storage.records import SqlRecordStore
        store = SqlRecordStore(Path(sys.argv[1]))
        sink = BatchingSink([store.write_batch])
    """
    return subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c"),
            textwrap.dedent(prelude) + textwrap.dedent(body),
            str(tmp_path / "records.db"),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def stored_ids(tmp_path: Path) -> list[str]:
    with closing(SqlRecordStore(tmp_path / "records.db")) as store:
        return [summary.id for summary in store.recent()][::-1]


@pytest.mark.proves("storage.flush-at-exit")
def test_what_is_held_when_the_interpreter_exits_is_written(tmp_path: Path) -> None:
    done = run_script(tmp_path, "sink.emit(record('last words'))")

    assert (done.returncode, done.stderr) == (0, "")
    assert stored_ids(tmp_path) == ["last words"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_writes_its_own_records_and_not_its_parents(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        import asyncio
        store.write_batch([record("before")])
        sink.emit(record("parent's"))
        child = os.fork()
        sink.emit(record("child's" if child == 0 else "parent's too"))
        asyncio.run(sink.close())
        if child == 0:
            os._exit(0)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(stored_ids(tmp_path)) == ["before", "child's", "parent's", "parent's too"]
