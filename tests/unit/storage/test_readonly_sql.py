"""Reading other people's databases: one statement, no change, little time, few rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ymera.core.errors import ConfigError, InvalidRequest, MachineError, YmeraError
from ymera.storage.readonly_sql import ReadOnlySql
from ymera.storage.sql_check import require_reading

pytestmark = pytest.mark.proves("tools.read-only-sql")

READING = [
    "SELECT 1",
    "select name from people where id = 1;",
    "WITH old AS (SELECT * FROM people) SELECT count(*) FROM old",
    "SELECT 1 UNION ALL SELECT 2",
    "VALUES (1), (2)",
    "EXPLAIN QUERY PLAN SELECT * FROM people",
    "SELECT ';' || 'drop table people' AS told",
    "SELECT name FROM people -- a remark",
    "SELECT upper(name), length(name), strftime('%Y', 'now') FROM people",
]

NOT_READING = [
    "",
    ";",
    "INSERT INTO people VALUES (9, 'x')",
    "UPDATE people SET name = 'x'",
    "DELETE FROM people",
    "REPLACE INTO people VALUES (1, 'x')",
    "DROP TABLE people",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t AS SELECT 1",
    "ALTER TABLE people RENAME TO p",
    "ATTACH 'other.db' AS other",
    "DETACH main",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA table_info(people)",
    "SELECT * FROM pragma_table_info('people')",
    "VACUUM INTO 'copy.db'",
    "VACUUM",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "SELECT 1; SELECT 2",
    "SELECT 1; DELETE FROM people",
    "WITH gone AS (DELETE FROM people RETURNING *) SELECT * FROM gone",
    "SELECT load_extension('evil')",
    "SELECT writefile('x', 'y')",
    "EXPLAIN DELETE FROM people",
    "/* SELECT */ DELETE FROM people",
    "SELECT 1\x00; DELETE FROM people",
    "nonsense and more",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    made = folder / "people.sqlite3"
    with closing(sqlite3.connect(made)) as people, people:
        people.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, photo BLOB)")
        people.executemany(
            "INSERT INTO people VALUES (?, ?, ?)", [(n, f"Person {n}", b"abc") for n in range(300)]
        )
    return made


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.mark.parametrize("sql", READING)
def test_reading_statements_pass(path: Path, sql: str) -> None:
    assert ReadOnlySql(url(path)).query(sql).rows


@pytest.mark.parametrize("sql", NOT_READING)
def test_nothing_else_passes_and_nothing_is_changed(path: Path, sql: str) -> None:
    before = path.read_bytes()

    with pytest.raises(InvalidRequest):
        ReadOnlySql(url(path)).query(sql)

    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]


@pytest.mark.parametrize("sql", [each for each in NOT_READING if each.strip(";\x00 ")])
def test_the_database_itself_refuses_what_the_check_might_miss(
    path: Path, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ymera.storage.readonly_sql.require_reading", lambda sql, dialect: sql)
    before = path.read_bytes()

    with suppress(YmeraError, ValueError):
        ReadOnlySql(url(path)).query(sql)
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            "SELECT DELETE FROM people WITH x AS ( ) ; ' \" -- /* */ INSERT INTO VALUES 1 * , "
            "DROP TABLE UNION EXPLAIN PRAGMA ATTACH RETURNING".split()
        ),
        max_size=12,
    )
)
def test_no_mixture_of_words_changes_a_database(path: Path, words: list[str]) -> None:
    before = path.read_bytes()
    with suppress(InvalidRequest):
        ReadOnlySql(url(path)).query(" ".join(words))
    assert path.read_bytes() == before


@given(st.text(max_size=80))
def test_no_text_makes_the_check_raise_anything_else(sql: str) -> None:
    for dialect in ("sqlite", "postgres"):
        with suppress(InvalidRequest):
            assert require_reading(sql, dialect)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_sleep(60)",
        "SELECT lo_import('/etc/passwd')",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT nextval('s')",
        "SELECT * FROM dblink('host=x', 'select 1') AS t(a int)",
        "SELECT * INTO copied FROM people",
        "SELECT * FROM people FOR UPDATE",
        "COPY people TO PROGRAM 'id'",
        "SET ROLE postgres",
        "DO $$ BEGIN END $$",
        "CALL something()",
        "EXPLAIN ANALYZE DELETE FROM people",
    ],
)
def test_postgres_has_further_ways_that_are_closed(sql: str) -> None:
    with pytest.raises(InvalidRequest):
        require_reading(sql, "postgres")


def test_rows_and_characters_are_bounded_and_what_is_left_out_is_said(path: Path) -> None:
    few = ReadOnlySql(url(path), max_rows=5).query("SELECT id FROM people")
    short = ReadOnlySql(url(path), max_chars=100).query("SELECT name FROM people")

    assert (len(few.rows), few.more) == (5, True)
    assert short.more
    assert sum(len(cell or "") for row in short.rows for cell in row) <= 100


def test_cells_are_text_and_bytes_are_only_counted(path: Path) -> None:
    answer = ReadOnlySql(url(path)).query("SELECT id, name, photo, NULL FROM people WHERE id = 7")

    assert answer.rows == (("7", "Person 7", "[3 bytes]", None),)


def test_a_statement_that_runs_too_long_is_ended(path: Path) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT sum(x) FROM n"
    ticks = count()

    with pytest.raises(InvalidRequest, match="longer than 10 s"):
        ReadOnlySql(url(path), monotonic=lambda: float(next(ticks))).query(endless)


def test_one_huge_value_is_refused(path: Path) -> None:
    with pytest.raises(InvalidRequest):
        ReadOnlySql(url(path)).query("SELECT zeroblob(1000000000)")


def test_a_missing_file_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(MachineError):
        ReadOnlySql(url(tmp_path / "none.db")).query("SELECT 1")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("bad", ["sqlite://", "sqlite:///:memory:", "mysql://h/db", "no url"])
def test_other_kinds_of_databases_are_a_configuration_error(bad: str) -> None:
    with pytest.raises(ConfigError):
        ReadOnlySql(bad)


def test_a_password_is_in_no_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ReadOnlySql("mysql://me:geheim@127.0.0.1/db")
    assert "geheim" not in f"{caught.value} {caught.value.hint}"
    with pytest.raises(MachineError) as failed:
        ReadOnlySql("postgresql://me:geheim@127.0.0.1:1/db", timeout_s=2).query("SELECT 1")
    assert "geheim" not in f"{failed.value} {failed.value.hint}"
