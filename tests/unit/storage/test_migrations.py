"""The schema and its versions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, insert, inspect, make_url, select, update
from sqlalchemy.schema import CreateTable

from tests.support.records import answered
from ymera.core.errors import MachineError
from ymera.storage.migrations import STEPS, upgrade
from ymera.storage.records import SqlRecordStore
from ymera.storage.rows import to_row
from ymera.storage.schema import SCHEMA_VERSION, requests, schema_version


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path}/records.db")
    yield made
    made.dispose()


def version_of(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(select(schema_version.c.version)))


def test_a_new_database_gets_the_newest_schema_once(engine: Engine) -> None:
    upgrade(engine)
    upgrade(engine)

    assert version_of(engine) == [SCHEMA_VERSION]
    assert set(inspect(engine).get_table_names()) == {
        "ymera_feedback",
        "ymera_quotas",
        "ymera_requests",
        "ymera_schema",
    }


@pytest.mark.proves("storage.newer-schema")
def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    engine: Engine, tmp_path: Path
) -> None:
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(update(schema_version).values(version=SCHEMA_VERSION + 6))

    with pytest.raises(MachineError, match="written by a newer Ymera") as caught:
        SqlRecordStore(tmp_path / "records.db").open()

    assert "Upgrade Ymera" in str(caught.value.hint)
    assert version_of(engine) == [SCHEMA_VERSION + 6]


def test_an_older_database_takes_every_step_in_order(engine: Engine) -> None:
    upgrade(engine)
    taken: list[int] = []
    steps = {
        SCHEMA_VERSION: lambda _connection: taken.append(1),
        SCHEMA_VERSION + 1: lambda _connection: taken.append(2),
    }

    upgrade(engine, steps=steps, target=SCHEMA_VERSION + 2)

    assert taken == [1, 2]
    assert version_of(engine) == [SCHEMA_VERSION + 2]


def test_a_failed_step_leaves_the_old_version(engine: Engine) -> None:
    upgrade(engine)

    def broken(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half_done (x INTEGER)")
        raise MachineError("The disk is full.")

    with pytest.raises(MachineError):
        upgrade(engine, steps={SCHEMA_VERSION: broken}, target=SCHEMA_VERSION + 1)

    assert version_of(engine) == [SCHEMA_VERSION]
    assert "half_done" not in inspect(engine).get_table_names()


def test_every_older_version_has_a_step() -> None:
    assert sorted(STEPS) == list(range(1, SCHEMA_VERSION))


def test_a_row_fills_every_column_but_the_key() -> None:
    assert set(to_row(answered())) == {column.name for column in requests.c} - {"seq"}


def test_the_schema_and_the_insert_compile_for_postgresql() -> None:
    dialect = make_url("postgresql://").get_dialect()()
    assert "BIGSERIAL" in str(CreateTable(requests).compile(dialect=dialect))
    assert "ymera_requests" in str(insert(requests).compile(dialect=dialect))


@pytest.mark.proves("storage.lazy")
def test_sqlalchemy_is_not_loaded_before_a_database_is_needed() -> None:
    script = (
        "import sys, pathlib, ymera.storage.batching, ymera.storage.records as r;"
        "r.SqlRecordStore(pathlib.Path('x')); print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "False\n"
