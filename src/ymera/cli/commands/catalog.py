"""`ymera catalog`: is the model catalogue sound?"""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, note
from ymera.cli.session import open_session

__all__ = ["command"]

_FAILED = 1


@click.group(name="catalog", cls=DefaultGroup, default="check")
def command() -> None:
    """Check the model catalogue; `check` by default."""


@command.command(name="check")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--warnings", is_flag=True, help="Print warnings too, not only their number.")
@click.pass_context
def check(ctx: click.Context, as_json: bool, warnings: bool) -> None:
    """Look the catalogue over: entries that are wrong, terms that are old, and totals."""
    from ymera.catalog.check import Level, count
    from ymera.catalog.check import check as look_over

    with open_session() as session:
        app = session.app
        problems = look_over(app.catalog, today=datetime.now(UTC).date())
        counts = count(app.catalog)
        errors = [each for each in problems if each.level is Level.ERROR]
        if as_json:
            totals = msgspec.to_builtins(counts)
            echo_json({"ok": not errors, "counts": totals, "problems": problems})
        else:
            for each in problems if warnings else errors:
                click.echo(f"{each.level}: {each.subject}: {each.message}")
            for name, value in msgspec.to_builtins(counts).items():
                click.echo(f"{name.replace('_', ' ')}: {value}")
            doubtful = len(problems) - len(errors)
            note(f"{len(errors)} errors, {doubtful} warnings; snapshot of {app.catalog.generated}.")
    if errors:
        ctx.exit(_FAILED)
