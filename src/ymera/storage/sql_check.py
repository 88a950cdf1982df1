"""Whether a text is one statement that only reads; imports sqlglot: import it lazily."""

from __future__ import annotations

import logging
import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ymera.core.errors import InvalidRequest

__all__ = ["require_reading"]

_MAX_SQL_CHARS = 10_000
_EXPLAIN = re.compile(r"\s*explain(\s+query\s+plan|\s+analyze)?\s+", re.IGNORECASE)
_FORBIDDEN = (
    exp.Alter,
    exp.Analyze,
    exp.Attach,
    exp.Command,
    exp.Copy,
    exp.Create,
    exp.DDL,
    exp.DML,
    exp.Detach,
    exp.Drop,
    exp.Into,
    exp.Lock,
    exp.Pragma,
    exp.Set,
    exp.TruncateTable,
)
_READING = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)
_DENIED_FUNCTION = re.compile(
    r"(pg_(?!typeof$)|lo_|dblink|set_config$|current_setting$|nextval$|setval$|query_to_xml"
    r"|table_to_xml|schema_to_xml|database_to_xml|cursor_to_xml|load_extension$|readfile$"
    r"|writefile$|edit$|fts3_tokenizer$|txid_|inet_server)",
    re.IGNORECASE,
)
"""What reads files, sleeps, signals, opens connections or changes the session."""


def require_reading(sql: str, dialect: str) -> str:
    """Return `sql` without its closing semicolon if it is one SELECT, WITH, VALUES or EXPLAIN.

    Args:
        sql: what a model wrote.
        dialect: `sqlite` or `postgres`.

    Raises:
        InvalidRequest: it is more or other than that, or not understood.
    """
    if len(sql) > _MAX_SQL_CHARS:
        raise InvalidRequest(f"The statement is longer than {_MAX_SQL_CHARS} characters.")
    if "\x00" in sql:
        raise InvalidRequest("The statement holds a NUL.")
    text = sql.strip().rstrip("; \t\r\n")
    body = _EXPLAIN.sub("", text, count=1) if _EXPLAIN.match(text) else text
    root = _parsed(body, dialect)
    if not isinstance(root, _READING):
        raise _refusal(f"{type(root).__name__.upper()} is not allowed here.")
    for node in root.walk():
        if isinstance(node, _FORBIDDEN):
            raise _refusal(f"{type(node).__name__.upper()} is not allowed here.")
        name = _function_name(node)
        if name is not None and _DENIED_FUNCTION.match(name):
            raise _refusal(f"The function {name[:60]} is not allowed here.")
    return text


def _parsed(sql: str, dialect: str) -> exp.Expression:
    logger = logging.getLogger("sqlglot")
    logger.setLevel(logging.CRITICAL)  # it would warn of commands it does not know
    try:
        found = sqlglot.parse(sql, read=dialect)
    except SqlglotError as error:
        raise InvalidRequest(
            f"The SQL is not understood: {str(error).splitlines()[0][:200]}",
            hint="Write one SELECT statement.",
        ) from error
    except RecursionError as error:
        raise _refusal("The statement is nested too deeply.") from error
    statements = [each for each in found if each is not None]
    if len(statements) != 1:
        raise _refusal("Exactly one statement is allowed.")
    if not isinstance(statements[0], exp.Expression):
        raise _refusal("The statement is not understood.")
    return statements[0]


def _function_name(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Anonymous):
        return str(node.name)
    if isinstance(node, exp.Func):
        return str(node.sql_name())
    return None


def _refusal(reason: str) -> InvalidRequest:
    return InvalidRequest(reason, hint="Only reading is allowed: one SELECT statement.")
