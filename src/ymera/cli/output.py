"""What commands print: answers and data on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import msgspec

__all__ = ["echo_json", "echo_table", "note", "report_bug", "report_error", "usd"]


def echo_json(value: object) -> None:
    """Print `value` (anything msgspec encodes) as indented JSON on stdout."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    click.echo(text)


def echo_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns on stdout; the header only when a person reads it."""
    shown = [header, *rows] if sys.stdout.isatty() else list(rows)
    widths = [max((len(row[i]) for row in shown), default=0) for i in range(len(header))]
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def note(text: str) -> None:
    """Print one line for the person at the terminal, on stderr."""
    click.echo(text, err=True)


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
    click.secho("Error: ", err=True, nl=False, fg="red")
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
