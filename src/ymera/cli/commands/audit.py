"""`ymera audit`: what the audit log holds."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

import click

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table, note
from ymera.cli.session import open_session

__all__ = ["command"]


@click.group(name="audit", cls=DefaultGroup, default="show")
def command() -> None:
    """Show the audit log; `show` by default."""


@command.command(name="show")
@click.option("--last", default=20, type=click.IntRange(1, 100_000), help="Lines, the newest.")
@click.option("--days", default=7, type=click.IntRange(1, 3650), help="No line older than this.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def show(last: int, days: int, as_json: bool) -> None:
    """Show the newest lines, the oldest of them first."""
    from ymera.security.report import read_audit

    with open_session() as session:
        since = datetime.now(UTC) - timedelta(days=days)
        unreadable = 0
        lines = deque[dict[str, object]](maxlen=last)
        for entry in read_audit(session.app.audit.directory, since=since):
            if entry is None:
                unreadable += 1
            else:
                lines.append(entry.shown())
        enabled = session.app.settings.monitoring.enable_audit_log
    if as_json:
        echo_json(list(lines))
    else:
        columns = ("ts", "action", "principal", "outcome", "detail")
        echo_table(
            tuple(name.upper() for name in columns),
            [tuple(str(line.get(name, "")) for name in columns) for line in lines],
        )
    if unreadable:
        note(f"{unreadable} lines could not be read.")
    if not enabled:
        note("monitoring.enable_audit_log is off: requests leave no line.")
