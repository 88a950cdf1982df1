"""`query_database`: one reading SQL statement on a database named in the configuration."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from ymera.core.errors import YmeraError
from ymera.core.tool import ContextItem, Tool, ToolEffect
from ymera.tools.builtin import BuiltinTool, ToolFailed, text_argument
from ymera.tools.relevance import shared_terms

__all__ = ["ReadableDatabase", "Table", "make"]

_OVER_MANY = re.compile(
    r"\b(how many|how much|number of|count|sum|total of all|all together|altogether|add up|"
    r"average|mean|most|least|fewest|highest|lowest|largest|smallest)\b",
    re.IGNORECASE,
)
_COLUMN = re.compile(r"(\w+): ")


class Table(Protocol):
    """What a statement gave."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""

    @property
    def rows(self) -> tuple[tuple[str | None, ...], ...]:
        """Cells as text; None is NULL."""

    @property
    def more(self) -> bool:
        """Whether rows were left out."""


class ReadableDatabase(Protocol):
    """One database; both methods block and are called in a thread."""

    def query(self, sql: str) -> Table:
        """Return the rows of one reading statement.

        Raises:
            YmeraError: refused, wrong, too slow, or unreachable.
        """

    def describe(self, question: str) -> tuple[str, str]:
        """Return its tables as SQL, and the rows that words of the question single out.

        Raises:
            YmeraError: unreachable.
        """


def make(
    databases: Mapping[str, Callable[[], ReadableDatabase]],
    descriptions: Mapping[str, str],
    *,
    timeout_s: float = 30.0,
    max_output_chars: int = 20_000,
) -> BuiltinTool:
    """Return the tool.

    Args:
        databases: opens each database, by the name models use.
        descriptions: what is in each, for models.
        timeout_s: seconds one call may take.
        max_output_chars: longest answer.
    """
    tool = _described(sorted(databases), descriptions, timeout_s, max_output_chars)

    async def describe() -> Tool:
        return tool

    async def run(arguments: Mapping[str, object]) -> str:
        name = text_argument(arguments, "database", next(iter(sorted(databases))))
        opened = databases.get(name)
        if opened is None:
            raise ToolFailed(f"There is no database {name[:60]!r}.")
        sql = text_argument(arguments, "sql")
        try:
            return _shown(await asyncio.to_thread(lambda: opened().query(sql)))
        except YmeraError as error:
            raise ToolFailed(f"{error.message} {error.hint or ''}".strip()) from error

    async def context(query: str) -> Sequence[ContextItem]:
        items = []
        for name, opened in sorted(databases.items()):
            try:
                schema, rows = await asyncio.to_thread(_describe, opened, query)
            except YmeraError:
                continue
            head = f"Database {name}: {descriptions.get(name, '')}".rstrip(": ")
            if rows and _asks_for_a_row(query, rows):
                items.append(ContextItem(text=rows, source=f"rows:{name}"))
            items.append(
                ContextItem(text=f"{head}\n{schema}", source=f"tool:query_database:{name}")
            )
        return items

    return BuiltinTool(describe=describe, run=run, context=context)


def _describe(opened: Callable[[], ReadableDatabase], question: str) -> tuple[str, str]:
    return opened().describe(question)


def _asks_for_a_row(question: str, rows: str) -> bool:
    """Whether a single row can answer: not a sum or count, unless a column is called like it."""
    if not _OVER_MANY.search(question):
        return True
    columns = " ".join(_COLUMN.findall(rows))
    return bool(shared_terms(question, columns))


def _described(
    names: Sequence[str],
    descriptions: Mapping[str, str],
    timeout_s: float,
    max_output_chars: int,
) -> Tool:
    what = "; ".join(
        f"{name}: {descriptions[name]}" if descriptions.get(name) else name for name in names
    )
    return Tool(
        name="query_database",
        description=f"Reads rows of a database with one SQL SELECT statement. Databases: {what}.",
        parameters=msgspec.Raw(
            msgspec.json.encode(
                {
                    "type": "object",
                    "properties": {
                        "database": {"type": "string", "enum": list(names), "default": names[0]},
                        "sql": {"type": "string", "description": "One SELECT statement."},
                    },
                    "required": ["database", "sql"],
                    "additionalProperties": False,
                }
            )
        ),
        effect=ToolEffect.READ_ONLY,
        timeout_s=timeout_s,
        max_output_chars=max_output_chars,
    )


def _shown(table: Table) -> str:
    """Return rows as text: one row as `column: value` lines, more as a table."""
    if not table.rows:
        return "No rows."
    if len(table.rows) == 1:
        pairs = zip(table.columns, table.rows[0], strict=False)
        return "\n".join(f"{name}: {_cell(cell)}" for name, cell in pairs)
    lines = [" | ".join(table.columns)]
    lines += [" | ".join(_cell(cell) for cell in row) for row in table.rows]
    if table.more:
        lines.append("[more rows were left out]")
    return "\n".join(lines)


def _cell(cell: str | None) -> str:
    return "NULL" if cell is None else cell.replace("\n", " ")
