"""The same on a real PostgreSQL: nothing but reading, also where our own check is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from tests.support.postgres import postgres_server
from ymera.core.errors import InvalidRequest
from ymera.storage.readonly_sql import ReadOnlySql
from ymera.storage.sql_schema import DescribedSql

pytestmark = [pytest.mark.full, pytest.mark.proves("tools.read-only-sql")]

NOT_READING = [
    "DELETE FROM people",
    "SELECT 1; DELETE FROM people",
    "SELECT 1; COMMIT; DELETE FROM people",
    "WITH gone AS (DELETE FROM people RETURNING *) SELECT * FROM gone",
    "SELECT * INTO copied FROM people",
    "CREATE TABLE t (a int)",
    "SELECT nextval('numbers')",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "EXPLAIN ANALYZE DELETE FROM people",
    "DO $$ BEGIN DELETE FROM people; END $$",
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a server of this module's own, with one table in it."""
    with postgres_server(tmp_path_factory) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE towns (id int PRIMARY KEY, name text)")
            connection.execute(
                "CREATE TABLE people (id int PRIMARY KEY, name text,"
                " town_id int REFERENCES towns(id))"
            )
            connection.execute("CREATE SEQUENCE numbers")
            connection.execute("INSERT INTO towns VALUES (1, 'Bergen')")
            connection.execute("INSERT INTO people VALUES (7, 'Ann Bo', 1), (8, 'Cy Do', 1)")
        yield url


def state(url: str) -> tuple[object, ...]:
    with psycopg.connect(url, autocommit=True) as connection:
        people = connection.execute("SELECT count(*) FROM people").fetchone()
        tables = connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchone()
        return people, tables, connection.execute("SELECT last_value FROM numbers").fetchone()


def test_rows_schema_and_what_the_question_names_are_read(url: str) -> None:
    described = DescribedSql(ReadOnlySql(url))

    schema, rows = described.describe("Where does Ann Bo live?")

    assert "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT" in schema
    assert "town_id INTEGER REFERENCES towns(id)" in schema
    assert "people.name = 'Ann Bo'" in schema
    assert rows == "people (id: 7, name: Ann Bo, town_id: 1)\nits town (id: 1, name: Bergen)"
    assert described.query("SELECT name FROM people ORDER BY id").rows == (("Ann Bo",), ("Cy Do",))


@pytest.mark.parametrize("sql", NOT_READING)
def test_nothing_is_changed_with_our_check_or_without(
    url: str, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(url)
    with pytest.raises(InvalidRequest):
        ReadOnlySql(url).query(sql)

    monkeypatch.setattr("ymera.storage.readonly_sql.require_reading", lambda sql, dialect: sql)
    with suppress(InvalidRequest):
        ReadOnlySql(url).query(sql)
    assert state(url) == before


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ymera.storage.readonly_sql.require_reading", lambda sql, dialect: sql)

    with pytest.raises(InvalidRequest, match="longer than"):
        ReadOnlySql(url, timeout_s=0.2).query("SELECT pg_sleep(30)")


def test_only_as_many_rows_are_fetched_as_are_shown(url: str) -> None:
    many = ReadOnlySql(url, max_rows=3).query("SELECT * FROM generate_series(1, 100000) AS n")

    assert (len(many.rows), many.more) == (3, True)


def test_a_wrong_name_is_told_with_the_nearest(url: str) -> None:
    described = DescribedSql(ReadOnlySql(url))
    described.describe("")

    assert described.query("SELECT name FROM peopl WHERE id = 7").rows == (("Ann Bo",),)
    with pytest.raises(InvalidRequest) as caught:
        described.query("SELECT nmae FROM people")
    assert caught.value.hint == "Use name."
