"""The store of runs: who may write, what is written once, and what a claim takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, inspect, make_url, select, update
from sqlalchemy.schema import CreateTable

from ymera.core.errors import ConfigError, MachineError
from ymera.storage.runs import NewEvent, RunRow, SqlRunStore
from ymera.storage.runs_database import RunsDatabase
from ymera.storage.runs_schema import (
    RUNS_SCHEMA_VERSION,
    STEPS,
    events,
    phases,
    runs,
    schema_version,
    upgrade,
)

EVENT = NewEvent(at_us=1, kind="phase.done", phase="a")


def row(id_: str = "run_1", *, owner: str | None = "me", lease: int = 100) -> RunRow:
    return RunRow(
        id=id_,
        state="running",
        agent="tester",
        strategy="multi_model",
        strategy_reason="why not",
        principal="local-owner",
        private=False,
        format="1",
        created_at_us=7,
        spec="{}",
        owner=owner,
        lease_until_us=lease,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlRunStore]:
    made = SqlRunStore(tmp_path / "runs" / "runs.sqlite3")
    yield made
    made.close()


@pytest.fixture
def database(store: SqlRunStore) -> RunsDatabase:
    return store.open()


def claimed(database: RunsDatabase, *, now: int, gone: bool = False) -> bool:
    return database.claim("run_1", "other", now, now + 10, lambda _: gone) is not None


def test_looking_into_a_store_that_is_not_there_makes_nothing(
    store: SqlRunStore, tmp_path: Path
) -> None:
    assert (store.find("x"), store.newest(5), store.unfinished()) == (None, [], [])
    assert not (tmp_path / "runs").exists()


def test_a_run_comes_back_as_it_was_stored_and_its_file_is_the_owners_alone(
    database: RunsDatabase, tmp_path: Path
) -> None:
    database.add(row())
    assert database.get("run_1") == row()
    assert (tmp_path / "runs" / "runs.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.proves("runs.one-owner")
@pytest.mark.parametrize(
    ("now", "gone", "free", "expected"),
    [
        (50, False, False, False),
        (50, True, False, True),
        (101, False, False, True),
        (50, False, True, True),
    ],
    ids=["alive", "its process is gone", "its lease is over", "nobody's"],
)
def test_a_run_is_claimed_from_nobody_and_from_the_dead_alone(
    database: RunsDatabase, now: int, gone: bool, free: bool, expected: bool
) -> None:
    database.add(row(owner=None if free else "me"))
    assert claimed(database, now=now, gone=gone) is expected
    found = database.get("run_1")
    assert found is not None
    assert (found.owner == "other") is expected
    assert found.deaths == int(expected and not free)


@pytest.mark.proves("runs.one-owner")
def test_of_many_that_claim_at_once_one_gets_the_run(database: RunsDatabase) -> None:
    database.add(row(owner=None))
    ready = threading.Barrier(8)
    won: list[str] = []

    def claim(name: str) -> None:
        ready.wait()
        if database.claim("run_1", name, 1, 2, lambda _: False) is not None:
            won.append(name)

    threads = [threading.Thread(target=claim, args=(f"owner {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = database.get("run_1")
    assert found is not None
    assert won == [found.owner]


@pytest.mark.proves("runs.one-owner")
def test_whoever_lost_a_run_writes_nothing_into_it(database: RunsDatabase) -> None:
    database.add(row())
    before = database.get("run_1")
    assert not database.update("run_1", "loser", {"state": "done"})
    assert database.add_event("run_1", "loser", EVENT) is None
    assert database.finish_phase("run_1", "loser", "a", 0, "{}", EVENT) is None
    assert database.end("run_1", "loser", EVENT, {"state": "done"}) is None
    assert database.beat(["run_1"], "loser", 999) == {}
    assert database.get("run_1") == before
    assert (database.outcomes("run_1"), database.events("run_1", 0, 9)) == ({}, [])


@pytest.mark.proves("runs.durable")
def test_an_outcome_is_written_once_and_the_first_one_stands(database: RunsDatabase) -> None:
    database.add(row())
    first = database.finish_phase("run_1", "me", "a", 1, "first", EVENT)
    again = database.finish_phase("run_1", "me", "a", 1, "second", EVENT)
    database.finish_phase("run_1", "me", "z", 0, "earlier in the plan", EVENT)
    assert first is not None
    assert first[0] == "first"
    assert again == ("first", None)
    assert list(database.outcomes("run_1").items()) == [
        ("z", "earlier in the plan"),
        ("a", "first"),
    ]


@pytest.mark.proves("runs.events")
def test_event_numbers_have_no_gap_whoever_writes(database: RunsDatabase) -> None:
    database.add(row())

    def write() -> None:
        for _ in range(20):
            database.add_event("run_1", "me", EVENT)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = database.events("run_1", 0, 1000)
    assert [each.seq for each in found] == list(range(1, 81))
    assert [each.seq for each in database.events("run_1", 77, 2)] == [78, 79]


def test_a_wish_to_cancel_reaches_the_owner_with_its_next_sign_of_life(
    database: RunsDatabase,
) -> None:
    database.add(row())
    database.add(row("run_2"))
    database.request_cancel("run_1")
    assert database.beat(["run_1", "run_2"], "me", 500) == {"run_1": True, "run_2": False}
    found = database.get("run_1")
    assert found is not None
    assert found.lease_until_us == 500


def test_a_run_begun_again_forgets_what_is_to_run_again(database: RunsDatabase) -> None:
    database.add(row())
    for name in ("a", "b"):
        database.finish_phase("run_1", "me", name, 0, name, EVENT)
    assert database.restart("run_1", "me", 9, ["b"], "{}") is None  # it has an owner
    database.end("run_1", "me", EVENT, {"state": "failed", "error": "x", "ended_at_us": 5})
    again = database.restart("run_1", "other", 9, ["b"], '{"new": 1}')
    assert again is not None
    assert (again.attempt, again.state, again.owner, again.error) == (2, "pending", "other", None)
    assert again.spec == '{"new": 1}'
    assert list(database.outcomes("run_1")) == ["a"]


@pytest.mark.proves("runs.remove")
def test_only_runs_that_nobody_owns_are_removed(database: RunsDatabase) -> None:
    database.add(row())
    database.add(row("run_2"))
    database.finish_phase("run_1", "me", "a", 0, "{}", EVENT)
    database.end("run_1", "me", EVENT, {"state": "done", "ended_at_us": 5})
    assert [each.id for each in database.ended_before(6)] == ["run_1"]
    assert database.ended_before(5) == []
    assert database.remove(["run_1", "run_2", "run_x"]) == 1
    assert (database.get("run_1"), database.outcomes("run_1")) == (None, {})
    assert database.events("run_1", 0, 9) == []
    assert database.get("run_2") is not None


# --- the schema


def test_the_tables_are_made_once_and_a_newer_version_is_refused(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/runs.sqlite3")
    upgrade(engine)
    upgrade(engine)
    with engine.begin() as connection:
        assert list(connection.scalars(select(schema_version.c.version))) == [RUNS_SCHEMA_VERSION]
        connection.execute(update(schema_version).values(version=RUNS_SCHEMA_VERSION + 1))
    assert len(inspect(engine).get_table_names()) == 4
    engine.dispose()
    with pytest.raises(MachineError, match="newer Ymera"):
        SqlRunStore(tmp_path / "runs.sqlite3").open()


def test_an_older_schema_takes_every_step(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/runs.sqlite3")
    upgrade(engine)
    taken: list[int] = []
    steps = {
        RUNS_SCHEMA_VERSION: lambda _connection: taken.append(1),
        RUNS_SCHEMA_VERSION + 1: lambda _connection: taken.append(2),
    }
    upgrade(engine, steps=steps, target=RUNS_SCHEMA_VERSION + 2)
    engine.dispose()
    assert taken == [1, 2]
    assert sorted(STEPS) == list(range(1, RUNS_SCHEMA_VERSION))


def test_every_table_compiles_for_postgresql() -> None:
    dialect = make_url("postgresql+psycopg://").get_dialect()()
    for table in (runs, phases, events):
        assert table.name in str(CreateTable(table).compile(dialect=dialect))
        assert table.name in str(insert(table).compile(dialect=dialect))


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:secret@h/d", "sqlite:///x.db"])
def test_a_url_that_is_not_postgresqls_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SqlRunStore(url).open()
    assert "secret" not in str(caught.value)
    assert caught.value.param == "runs.database_url_env"


def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    with pytest.raises(MachineError) as caught:
        SqlRunStore("postgresql://u:hidden@127.0.0.1:1/d").open()
    assert "hidden" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "server runs" in str(caught.value.hint)


def test_a_damaged_file_is_a_machine_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite3").write_bytes(b"no database at all, but long enough for one" * 90)
    with pytest.raises(MachineError, match="cannot be used") as caught:
        SqlRunStore(tmp_path / "runs.sqlite3").open()
    assert "move it away" in str(caught.value.hint)
