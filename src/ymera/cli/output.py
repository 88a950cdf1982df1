"""What commands print: answers and data on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import wrap

import click
import msgspec

__all__ = [
    "counted",
    "echo_json",
    "echo_styled",
    "echo_table",
    "note",
    "report_bug",
    "report_error",
    "stdout_is_terminal",
    "usd",
]

_GAP = "  "
_LEAST_ROOM = 20
"""Columns below which a cell would rather be read across the terminal's own break."""


def echo_json(value: object) -> None:
    """Print `value` (anything msgspec encodes) as indented JSON on stdout."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo(text)


def echo_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns on stdout; the header only when a person reads it."""
    if not stdout_is_terminal():
        _echo_rows(rows, columns=None)
    else:
        _echo_rows([header, *rows], columns=get_terminal_size().columns)


def _echo_rows(rows: Sequence[Sequence[str]], *, columns: int | None) -> None:
    """Print rows in aligned cells; a last cell that does not fit `columns` goes on below itself."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    room = None if columns is None or columns - before < _LEAST_ROOM else columns - before
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines = [row[-1]] if room is None else _wrapped(row[-1], room)
        click.echo(_GAP.join([*cells[:-1], lines[0]]).rstrip())
        for line in lines[1:]:
            click.echo(" " * before + line)


def _wrapped(text: str, columns: int) -> list[str]:
    return wrap(text, columns, break_long_words=False, break_on_hyphens=False) or [""]


def stdout_is_terminal() -> bool:
    """Return whether a person reads along; False too where stdout is closed (`>&-`)."""
    return sys.stdout is not None and sys.stdout.isatty()


def note(text: str) -> None:
    """Print one line for the person at the terminal, on stderr."""
    click.echo(text, err=True)


def echo_styled(text: str, *, fg: str | None = None, bold: bool = False) -> None:
    """Begin a line on stderr: in style on a terminal, but for a person who set NO_COLOR."""
    color = False if os.environ.get("NO_COLOR") else None
    click.secho(text, err=True, nl=False, fg=fg, bold=bold or None, color=color)


def counted(number: int, noun: str) -> str:
    """Return `1 model` or `2 models`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def usd(cost: object) -> str:
    """Return a cost for people: `$0`, `$0.0012` or `unknown`."""
    return "unknown" if cost is None else f"${cost}"


def report_error(
    message: str,
    *,
    hint: str | None = None,
    code: str,
    request_id: str | None = None,
    as_json: bool = False,
) -> None:
    """Print an error on stderr: one line and a hint, or one JSON object."""
    if as_json:
        error = {"code": code, "message": message, "hint": hint, "request_id": request_id}
        click.echo(msgspec.json.encode({"error": error}).decode(), err=True)
        return
    echo_styled("Error: ", fg="red")
    click.echo(" ".join(message.split()), err=True)
    if hint:
        click.echo(f"  {hint}", err=True)


def report_bug(error: Exception, *, as_json: bool) -> None:
    """Print an error nobody expected, without a traceback."""
    report_error(
        f"Ymera met a bug: {type(error).__name__}: {error}",
        hint="Please report it; the same command with --traceback in front shows where.",
        code="internal_error",
        as_json=as_json,
    )
