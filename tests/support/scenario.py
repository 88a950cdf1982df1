"""What scenarios take apart: code and SQL in answers, and the records on disk."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

__all__ = [
    "code_in",
    "records",
    "run_python",
    "set_environment",
    "sql_in",
    "stored_plan",
    "tables_of",
]

_FENCE = re.compile(r"```(\w*)\n(.*?)(?:```|\Z)", re.DOTALL)


def set_environment(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Set variables for this test and its children."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def code_in(answer: str, language: str = "python") -> str:
    """Return the code of the first fence of a language; without one, the whole answer."""
    fences = [body for tag, body in _FENCE.findall(answer) if tag.lower() in {language, ""}]
    return str(fences[0]) if fences else answer


def sql_in(answer: str) -> str:
    """Return the SQL of an answer."""
    return code_in(answer, "sql")


def tables_of(text: str) -> list[str]:
    """Return the tables that a text creates."""
    return re.findall(r"CREATE TABLE (\w+)", text)


def records() -> list[dict[str, object]]:
    """Return the rows of this test's record database, oldest first, read without Ymera."""
    path = Path(os.environ["YMERA_DATA_DIR"]) / "records.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute("SELECT * FROM ymera_requests ORDER BY seq").fetchall()
    return [dict(row) for row in rows]


def run_python(code: str) -> str:
    """Return what a program prints, run in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def stored_plan(record: dict[str, object]) -> dict[str, Any]:
    """Return the route plan of a record: why its models were asked in this order."""
    plan: dict[str, Any] = json.loads(str(record["detail"]))["plan"]
    return plan


def stored_context(record: dict[str, object]) -> list[dict[str, Any]]:
    """Return what a record says was brought in from outside."""
    context: list[dict[str, Any]] = json.loads(str(record["detail"])).get("context", [])
    return context
