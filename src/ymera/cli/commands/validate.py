"""`ymera validate`: does every part of this installation do the real thing?"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from ymera.cli.output import echo_json, note

if TYPE_CHECKING:
    from ymera.validation.report import ComponentReport
    from ymera.validation.run import Component

__all__ = ["command"]

_FAILED = 1


@click.command(name="validate", short_help="Try every part of this installation for real.")
@click.argument("component", nargs=-1)
@click.option("--verbose", "-v", is_flag=True, help="Also say what was found where all is well.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, component: tuple[str, ...], verbose: bool, as_json: bool) -> None:
    """Try every part of this installation for real, or only each COMPONENT named.

    models, security, multi_model, mcp, tools, performance, monitoring, training, configuration.
    It calls no host and spends nothing; what it writes goes to a temporary directory. Takes a
    minute or two. Exit code 0 when everything passed, 1 otherwise.
    """
    from ymera.validation.run import named

    reports = asyncio.run(_run(named(component), verbose=verbose, quiet=as_json))
    passed = all(report.passed for report in reports)
    if as_json:
        echo_json({"passed": passed, "components": [report.as_data() for report in reports]})
    elif passed:
        click.echo("Everything that was checked passed.")
    else:
        note("This installation does not do everything it should.")
    if not passed:
        ctx.exit(_FAILED)


async def _run(
    components: tuple[Component, ...], *, verbose: bool, quiet: bool
) -> list[ComponentReport]:
    from ymera.validation.run import validate

    announced = sys.stderr is not None and sys.stderr.isatty()
    reports: list[ComponentReport] = []
    names = iter(component.name for component in components)
    if announced:
        note(f"... {next(names)}")
    async for report in validate(components):
        reports.append(report)
        if not quiet:
            click.echo("\n".join(report.lines(verbose=verbose)))
        if announced and (name := next(names, None)):
            note(f"... {name}")
    return reports
