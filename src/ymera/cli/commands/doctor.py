"""`ymera doctor`: is this installation fit?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ymera.cli.output import echo_json, note
from ymera.cli.session import open_session

if TYPE_CHECKING:
    from ymera.validation.doctor import CheckResult

__all__ = ["command"]

_UNFIT = 1


@click.command(name="doctor", short_help="Check this installation.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check this installation; each failure says how to mend it. Asks no model."""
    from ymera.validation.doctor import Health, examine

    with open_session() as session:
        results = list(examine(session.app))
    if as_json:
        echo_json(results)
    else:
        for result in results:
            _print(result)
    if any(result.health is Health.FAILED for result in results):
        note("This installation is not fit yet.")
        ctx.exit(_UNFIT)


def _print(result: CheckResult) -> None:
    click.echo(f"{result.health.upper():8} {result.name}: {result.detail}")
    if result.fix:
        click.echo(f"{'':8} fix: {result.fix}")
