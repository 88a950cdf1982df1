"""A database described for models: its tables, and where the words of a question stand in it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches

import msgspec
from sqlalchemy import Inspector, inspect

from ymera.core.errors import InvalidRequest, MachineError
from ymera.storage.readonly_sql import ReadOnlySql, SqlTable

__all__ = [
    "DescribedSql",
    "FoundValue",
    "SqlColumn",
    "SqlSchema",
    "TableSchema",
    "as_text",
    "find_values",
    "read_schema",
    "related_rows",
]

_MAX_TABLES = 60
_MAX_COLUMNS = 60
_MAX_CHOICES = 6
_MAX_CHOICE_CHARS = 24
_MAX_LOOKUPS = 40
_MAX_PHRASE_WORDS = 4
_MAX_PHRASES = 120
_SAMPLED_ROWS = 1000
_SCHEMA_AGE_S = 60.0
_MAX_MENDINGS = 2
_BEYOND_DOUBT = 0.9
_MISSING = re.compile(r"(?:no such (?:column|table): |column \"?|relation \"?)([\w.]+)")
_MAX_ROWS_SHOWN = 4
_TEXT_TYPE = re.compile(r"char|text|clob|string|enum", re.IGNORECASE)
_NUMBER_TYPE = re.compile(r"int|num|dec", re.IGNORECASE)
_WORD = re.compile(r"[\w'-]+")


class SqlColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column; `refers_to` is `table.column`; `choices` are its values when they are few."""

    name: str
    type: str
    is_key: bool = False
    refers_to: str | None = None
    choices: tuple[str, ...] = ()


class TableSchema(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view."""

    name: str
    columns: tuple[SqlColumn, ...]


class SqlSchema(msgspec.Struct, frozen=True, kw_only=True):
    """All tables of a database (60 at most); `dialect` is `sqlite` or `postgres`."""

    dialect: str
    tables: tuple[TableSchema, ...]


def read_schema(database: ReadOnlySql) -> SqlSchema:
    """Return the tables with their columns, keys and, where they are few, values. Blocks.

    Raises:
        MachineError: the database cannot be reached.
    """
    with database.engine() as engine, engine.connect() as connection:
        inspector = inspect(connection)
        names = [*inspector.get_table_names(), *inspector.get_view_names()][:_MAX_TABLES]
        tables = tuple(_table(inspector, name) for name in names)
    tables = tuple(_with_choices(database, table) for table in tables)
    return SqlSchema(dialect=database.dialect, tables=tables)


class FoundValue(msgspec.Struct, frozen=True, kw_only=True):
    """A word of a question that stands in a column."""

    table: TableSchema
    column: SqlColumn
    value: str | int

    def __str__(self) -> str:
        """As a condition: `customers.name = 'Ann Bo'`."""
        value = self.value
        literal = value if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
        return f"{self.table.name}.{self.column.name} = {literal}"


def find_values(database: ReadOnlySql, schema: SqlSchema, question: str) -> list[FoundValue]:
    """Return where words of `question` stand in the database.

    A model that knows where a name or number stands writes the right condition. Blocks.
    """
    phrases, numbers = _phrases(question)
    found: list[FoundValue] = []
    lookups = 0
    for table in schema.tables:
        for column in table.columns:
            wanted: Sequence[str | int] = ()
            if _TEXT_TYPE.search(column.type):
                wanted = phrases
            elif _NUMBER_TYPE.search(column.type) and column.is_key:
                wanted = numbers
            if not wanted or lookups >= _MAX_LOOKUPS:
                continue
            lookups += 1
            found += _found(database, table, column, wanted)
    return found


def related_rows(
    database: ReadOnlySql, schema: SqlSchema, found: Sequence[FoundValue]
) -> list[str]:
    """Return the rows that found values single out, with the rows those refer to. Blocks.

    A value that many rows share (a state, a kind) singles nothing out.
    """
    tables = {table.name: table for table in schema.tables}
    shown: list[str] = []
    for each in found[:_MAX_ROWS_SHOWN]:
        if each.column.choices:
            continue
        rows = _row_dicts(database, each.table, each.column.name, each.value)
        if len(rows) == 1:
            shown += _told_with_parents(database, tables, each.table, rows[0])
    return list(dict.fromkeys(shown))


def _told_with_parents(
    database: ReadOnlySql,
    tables: Mapping[str, TableSchema],
    table: TableSchema,
    row: Mapping[str, str | None],
) -> list[str]:
    told = [_told(table, row)]
    for column in table.columns:
        parent, _, key = (column.refers_to or "").partition(".")
        value = row.get(column.name)
        if parent in tables and value is not None:
            rows = _row_dicts(database, tables[parent], key, value)
            told += [f"its {_told(tables[parent], each)}" for each in rows[:1]]
    return told


def _told(table: TableSchema, row: Mapping[str, str | None]) -> str:
    cells = ", ".join(f"{name}: {value}" for name, value in row.items() if value is not None)
    return f"{table.name.rstrip('s')} ({cells})"


def _row_dicts(
    database: ReadOnlySql, table: TableSchema, column: str, value: str | int
) -> list[dict[str, str | None]]:
    mark = "?" if database.dialect == "sqlite" else "%s"
    sql = f"SELECT * FROM {_quoted(table.name)} WHERE {_quoted(column)} = {mark} LIMIT 2"  # noqa: S608 - names from the schema, quoted
    try:
        answer = database.query(sql, (value,))
    except (InvalidRequest, MachineError):
        return []
    return [dict(zip(answer.columns, row, strict=False)) for row in answer.rows]


def as_text(schema: SqlSchema, found: Sequence[FoundValue] = ()) -> str:
    """Return the schema as SQL, a line per table, with how tables join and where words stand."""
    lines = [f"-- {schema.dialect}"]
    joins: list[str] = []
    for table in schema.tables:
        columns = ", ".join(_column_text(column) for column in table.columns)
        lines.append(f"CREATE TABLE {table.name} ({columns});")
        joins += [
            f"{table.name}.{column.name} = {column.refers_to}"
            for column in table.columns
            if column.refers_to
        ]
    if joins:
        lines.append(f"-- joins: {'; '.join(joins)}")
    lines += [f"-- in the question: {each}" for each in found]
    return "\n".join(lines)


class DescribedSql:
    """A database to read from, with its schema read once in a while. Blocks.

    Args:
        database: the database.
        monotonic: seconds that only grow.
    """

    def __init__(
        self, database: ReadOnlySql, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._schema: tuple[float, SqlSchema] | None = None

    def query(self, sql: str) -> SqlTable:
        """Return the rows of one reading statement; see `ReadOnlySql.query`.

        Raises:
            InvalidRequest: as there; a wrong name comes with the nearest ones. One that is a
                letter or two off is read as what it can only mean.
        """
        for _ in range(_MAX_MENDINGS):
            try:
                return self._database.query(sql)
            except InvalidRequest as error:
                missing = _MISSING.search(error.message)
                if missing is None:
                    raise
                sql = self._mended(sql, missing.group(1), error)
        return self._database.query(sql)

    def _mended(self, sql: str, name: str, error: InvalidRequest) -> str:
        """Return `sql` with the right name where there is no doubt about it.

        Raises:
            InvalidRequest: there is; it names what may have been meant.
        """
        known = self._names(with_columns="." not in name)
        sure = get_close_matches(name, known, n=1, cutoff=_BEYOND_DOUBT)
        if sure and sure[0] != name:
            return re.sub(rf"\b{re.escape(name)}\b", sure[0], sql)
        near = get_close_matches(name, known, n=2)
        hint = f"Use {' or '.join(near)}." if near else error.hint
        raise InvalidRequest(error.message, hint=hint) from error

    def _names(self, *, with_columns: bool) -> list[str]:
        tables = self._schema[1].tables if self._schema else ()
        names = [table.name for table in tables]
        names += [f"{table.name}.{column.name}" for table in tables for column in table.columns]
        if with_columns:
            names += [column.name for table in tables for column in table.columns]
        return list(dict.fromkeys(names))

    def describe(self, question: str) -> tuple[str, str]:
        """Return the tables as SQL, and the rows that words of the question single out.

        Raises:
            MachineError: the database cannot be reached.
        """
        now = self._monotonic()
        if self._schema is None or now - self._schema[0] > _SCHEMA_AGE_S:
            self._schema = now, read_schema(self._database)
        schema = self._schema[1]
        found = find_values(self._database, schema, question)
        rows = related_rows(self._database, schema, found)
        return as_text(schema, found), "\n".join(rows)


def _column_text(column: SqlColumn) -> str:
    text = f"{column.name} {column.type}"
    if column.is_key:
        text += " PRIMARY KEY"
    if column.refers_to:
        text += f" REFERENCES {column.refers_to.replace('.', '(', 1)})"
    if column.choices:
        text += f" /* {', '.join(repr(choice) for choice in column.choices)} */"
    return text


def _table(inspector: Inspector, name: str) -> TableSchema:
    refers_to = {
        column: f"{key['referred_table']}.{target}"
        for key in inspector.get_foreign_keys(name)
        for column, target in zip(key["constrained_columns"], key["referred_columns"], strict=False)
    }
    keys = set(inspector.get_pk_constraint(name)["constrained_columns"])
    columns = tuple(
        SqlColumn(
            name=str(column["name"]),
            type=str(column["type"]),
            is_key=column["name"] in keys,
            refers_to=refers_to.get(str(column["name"])),
        )
        for column in inspector.get_columns(name)[:_MAX_COLUMNS]
    )
    return TableSchema(name=name, columns=columns)


def _with_choices(database: ReadOnlySql, table: TableSchema) -> TableSchema:
    columns = tuple(
        msgspec.structs.replace(column, choices=_choices(database, table.name, column.name))
        if _TEXT_TYPE.search(column.type) and not column.is_key
        else column
        for column in table.columns
    )
    return msgspec.structs.replace(table, columns=columns)


def _choices(database: ReadOnlySql, table: str, column: str) -> tuple[str, ...]:
    """Return a column's values when they are a few short words that repeat, such as states."""
    sampled = f"SELECT {_quoted(column)} AS v FROM {_quoted(table)} LIMIT {_SAMPLED_ROWS}"  # noqa: S608 - names from the schema, quoted
    sql = f"SELECT v, count(*) FROM ({sampled}) AS s GROUP BY v LIMIT {_MAX_CHOICES + 1}"  # noqa: S608 - names from the schema, quoted
    rows = _rows(database, sql)
    values = [str(row[0]) for row in rows if row[0]]
    counted = sum(int(row[1] or 0) for row in rows)
    few = 0 < len(values) <= _MAX_CHOICES and counted > len(values)
    if not few or any(len(value) > _MAX_CHOICE_CHARS for value in values):
        return ()
    return tuple(sorted(values))


def _found(
    database: ReadOnlySql, table: TableSchema, column: SqlColumn, wanted: Sequence[str | int]
) -> list[FoundValue]:
    mark = "?" if database.dialect == "sqlite" else "%s"
    marks = ", ".join([mark] * len(wanted))
    name = _quoted(column.name)
    is_number = isinstance(wanted[0], int)
    compared = name if is_number else f"lower({name})"
    sql = f"SELECT DISTINCT {name} FROM {_quoted(table.name)} WHERE {compared} IN ({marks}) LIMIT 3"  # noqa: S608 - names from the schema, quoted
    values = [str(row[0]) for row in _rows(database, sql, wanted)]
    return [
        FoundValue(table=table, column=column, value=int(value) if is_number else value)
        for value in values
    ]


def _rows(
    database: ReadOnlySql, sql: str, values: Sequence[str | int] = ()
) -> tuple[tuple[str | None, ...], ...]:
    try:
        return database.query(sql, values).rows
    except (InvalidRequest, MachineError):  # a help only: the question can be asked without
        return ()


def _phrases(question: str) -> tuple[list[str], list[int]]:
    """Return runs of up to four words in lower case, and whole numbers."""
    words = _WORD.findall(question)
    runs = (
        " ".join(words[start : start + length]).lower().strip("'")
        for length in range(_MAX_PHRASE_WORDS, 0, -1)
        for start in range(len(words) - length + 1)
    )
    phrases = list(dict.fromkeys(run for run in runs if len(run) > 2))[:_MAX_PHRASES]
    return phrases, _numbers(words)


def _numbers(words: Iterable[str]) -> list[int]:
    return list(dict.fromkeys(int(word) for word in words if word.isdecimal() and len(word) < 16))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
