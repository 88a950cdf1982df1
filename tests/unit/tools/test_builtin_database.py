"""`query_database` over a real database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ymera.storage.readonly_sql import ReadOnlySql
from ymera.storage.sql_schema import DescribedSql
from ymera.tools.builtin import BuiltinTool, ToolFailed
from ymera.tools.builtin.query_database import make

pytestmark = pytest.mark.proves("tools.database")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "shop.sqlite3"
    with closing(sqlite3.connect(made)) as shop, shop:
        shop.executescript(
            """
            CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT);
            CREATE TABLE orders (id INTEGER PRIMARY KEY,
                customer_id INTEGER REFERENCES customers(id), total INTEGER, status TEXT);
            INSERT INTO customers VALUES (1, 'Ann Bo', 'Bergen'), (2, 'Cy Do', 'Oslo');
            INSERT INTO orders VALUES (70, 1, 50, 'paid'), (71, 2, 60, 'open'), (72, 2, 5, 'paid');
            """
        )
    return made


@pytest.fixture
def tool(path: Path) -> BuiltinTool:
    opened = DescribedSql(ReadOnlySql(f"sqlite:///{path}"))
    return make({"shop": lambda: opened}, {"shop": "orders of the shop"})


async def test_one_row_comes_as_lines_and_several_as_a_table(tool: BuiltinTool) -> None:
    one = await tool.run({"sql": "SELECT name, city FROM customers WHERE id = 1"})
    several = await tool.run({"database": "shop", "sql": "SELECT id, total FROM orders"})
    nothing = await tool.run({"sql": "SELECT id FROM orders WHERE id = 0"})

    assert one == "name: Ann Bo\ncity: Bergen"
    assert several == "id | total\n70 | 50\n71 | 60\n72 | 5"
    assert nothing == "No rows."


@pytest.mark.parametrize(
    "sql", ["DELETE FROM orders", "SELECT 1; DROP TABLE orders", "PRAGMA user_version = 5", "?"]
)
async def test_what_does_not_read_fails_in_words(tool: BuiltinTool, path: Path, sql: str) -> None:
    with pytest.raises(ToolFailed):
        await tool.run({"sql": sql})
    with closing(sqlite3.connect(path)) as shop:
        assert shop.execute("SELECT count(*) FROM orders").fetchone() == (3,)


async def test_a_database_cannot_be_named_by_the_model(tool: BuiltinTool, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="no database"):
        await tool.run({"database": f"sqlite:///{tmp_path}/other.db", "sql": "SELECT 1"})


async def test_a_name_a_letter_off_is_read_as_what_it_can_only_mean(tool: BuiltinTool) -> None:
    assert tool.context is not None
    await tool.context("Which customers are there?")

    told = await tool.run({"sql": "SELECT customer.name FROM customers WHERE customers.id = 2"})
    assert told == "name: Cy Do"
    with pytest.raises(ToolFailed, match="Use city"):
        await tool.run({"sql": "SELECT ctiy FROM customers"})


async def test_the_schema_comes_with_joins_choices_and_where_words_stand(
    tool: BuiltinTool,
) -> None:
    assert tool.context is not None
    rows, schema = await tool.context("Who placed order 71, and is it open?")

    assert schema.source == "tool:query_database:shop"
    assert "Database shop: orders of the shop" in schema.text
    assert "CREATE TABLE orders (id INTEGER PRIMARY KEY" in schema.text
    assert "status TEXT /* 'open', 'paid' */" in schema.text
    assert "-- joins: orders.customer_id = customers.id" in schema.text
    assert "-- in the question: orders.id = 71" in schema.text
    assert "-- in the question: orders.status = 'open'" in schema.text
    assert rows.source == "rows:shop"
    assert rows.text == (
        "order (id: 71, customer_id: 2, total: 60, status: open)\n"
        "its customer (id: 2, name: Cy Do, city: Oslo)"
    )


@pytest.mark.parametrize(
    ("question", "brings_rows"),
    [
        ("Where does Ann Bo live?", True),
        ("How many letters did Ann Bo get?", False),
        ("How much is the total of order 70?", True),
        ("What do all paid orders add up to?", False),
    ],
)
async def test_single_rows_are_brought_to_questions_a_row_can_answer(
    tool: BuiltinTool, question: str, brings_rows: bool
) -> None:
    assert tool.context is not None
    sources = [item.source for item in await tool.context(question)]

    assert ("rows:shop" in sources) is brings_rows
    assert "tool:query_database:shop" in sources


async def test_a_missing_database_is_told_when_it_is_asked_and_gives_no_context(
    tmp_path: Path,
) -> None:
    opened = DescribedSql(ReadOnlySql(f"sqlite:///{tmp_path / 'none.db'}"))
    tool = make({"shop": lambda: opened}, {})
    assert tool.context is not None

    assert await tool.context("Anything?") == []
    with pytest.raises(ToolFailed, match="cannot be read"):
        await tool.run({"sql": "SELECT 1"})
    assert not (tmp_path / "none.db").exists()
