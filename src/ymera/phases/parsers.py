"""Whether a text parses as what it says it is, for the languages that have a parser here."""

from __future__ import annotations

import ast
import json
import logging
import tomllib
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType

__all__ = ["PARSED_LANGUAGES", "Parser", "longest_beginning", "parser_of"]

Parser = Callable[[str], str | None]
"""Returns what is wrong, one sentence with the line where there is one; None when it parses."""

_TOO_DEEP = "It is nested too deep to be read."
_MOST_PARSES = 200


def parser_of(language: str | None) -> Parser | None:
    """Return the parser of a language; None when there is none here."""
    return _PARSERS.get(language) if language else None


def longest_beginning(text: str, parse: Parser) -> str | None:
    """Return the longest beginning of `text`, in whole lines, that parses; None without one.

    A beginning of SQL ends with a statement's end: without its last lines a DELETE means more.
    """
    lines = text.splitlines()
    for length in range(len(lines), max(0, len(lines) - _MOST_PARSES), -1):
        beginning = "\n".join(lines[:length]).rstrip()
        if parse is _sql and not beginning.endswith(";"):
            continue
        if parse(beginning) is None:
            return beginning
    return None


def _python(text: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful escape is no syntax error
            tree = ast.parse(text)
    except SyntaxError as error:
        return f"Not valid Python: line {error.lineno or 1}: {error.msg}."
    except ValueError as error:
        return f"Not valid Python: {error}."
    except (RecursionError, MemoryError):
        return _TOO_DEEP
    # A single word and a quoted sentence parse too, and do nothing.
    if all(
        isinstance(each, ast.Expr) and isinstance(each.value, ast.Name | ast.Constant)
        for each in tree.body
    ):
        return "There is no statement in it."
    return None


def _json(text: str) -> str | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"Not valid JSON: line {error.lineno}: {error.msg}."
    except (ValueError, RecursionError):
        return _TOO_DEEP
    return None


def _toml(text: str) -> str | None:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return f"Not valid TOML: {error}."
    except (ValueError, RecursionError):
        return _TOO_DEEP
    return None if found else "There is no key in it."


def _sql(text: str) -> str | None:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what it cannot read
    try:
        statements = [each for each in sqlglot.parse(text) if each is not None]
    except SqlglotError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"Not valid SQL: {reason}"
    except RecursionError:
        return _TOO_DEEP
    changes = (exp.DML, exp.DDL, exp.Alter, exp.Drop)
    known = (exp.Query, *changes, exp.Transaction, exp.Commit, exp.Rollback)
    if not statements or not all(isinstance(each, known) for each in statements):
        return "Not every statement in it is a query or a change of data or tables."
    return None


_PARSERS: Mapping[str, Parser] = MappingProxyType(
    {"python": _python, "json": _json, "toml": _toml, "sql": _sql}
)

PARSED_LANGUAGES: tuple[str, ...] = tuple(_PARSERS)
"""Languages whose artefacts are parsed."""
