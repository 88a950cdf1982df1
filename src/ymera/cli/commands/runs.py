"""`ymera runs`: list, show, resume, cancel, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table, note, usd
from ymera.cli.run_follow import bound_options, carry_out, result_json
from ymera.cli.run_view import show_phases
from ymera.cli.session import open_session

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["command"]

_MAX_LIMIT = 10_000


@click.group(name="runs", cls=DefaultGroup, default="list")
def command() -> None:
    """List, show, resume, cancel and remove multi-model runs; `list` by default."""


@command.command(name="list")
@click.option(
    "--limit",
    type=click.IntRange(1, _MAX_LIMIT),
    default=20,
    show_default=True,
    help="How many, the newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_runs(limit: int, as_json: bool) -> None:
    """List the newest runs."""
    with open_session() as session:
        found = session.run(session.app.runs.list(limit))
    if as_json:
        hidden = {"phases", "result", "successful_phases", "failed_phases", "models_used"}
        echo_json(
            [{k: v for k, v in result_json(each).items() if k not in hidden} for each in found]
        )
        return
    rows = [
        (
            each.run_id,
            each.agent,
            each.state.value,
            each.strategy_type.value,
            str(each.spend.calls),
            usd(each.cost),
            "" if each.created_at is None else f"{each.created_at:%Y-%m-%d %H:%M}",
        )
        for each in found
    ]
    echo_table(("RUN", "AGENT", "STATE", "STRATEGY", "CALLS", "COST", "BEGUN (UTC)"), rows)
    if not found:
        note('No runs yet: ymera run --agent coding_agent "Create a REST API"')


@command.command(name="show")
@click.argument("run_id")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(run_id: str, as_json: bool) -> None:
    """Show run RUN_ID phase by phase: model and why, tokens, seconds, cost, checks, losses."""
    with open_session() as session:
        found = session.run(session.app.runs.get(run_id))
    if as_json:
        echo_json(result_json(found))
        return
    click.echo(f"{found.run_id}: {found.agent}, {found.state}")
    click.echo(f"strategy: {found.strategy_type} ({found.strategy_reason})")
    spend = found.spend
    click.echo(
        f"spent: {spend.calls} calls, {spend.tokens} tokens, {spend.seconds:.1f} s, "
        f"cost {usd(spend.usd)}"
    )
    if found.private:
        click.echo("private: artefacts were kept in memory only; it cannot be resumed")
    if found.error:
        click.echo(f"error: {found.error}")
    if found.phases:
        show_phases(found)


@command.command(name="resume")
@click.argument("run_id")
@click.option("--from", "from_phase", metavar="PHASE", help="Run again from PHASE on.")
@bound_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def resume(
    run_id: str,
    from_phase: str | None,
    max_calls: int | None,
    max_tokens: int | None,
    max_usd: Decimal | None,
    max_seconds: float | None,
    as_json: bool,
) -> None:
    """Carry run RUN_ID on where it stopped.

    What is done is kept; phases that failed run again, and with --from what uses PHASE, too.
    """
    from ymera.app.running import bounds

    bounds(calls=max_calls, tokens=max_tokens, usd=max_usd, seconds=max_seconds)
    with open_session() as session:
        runs = session.app.runs
        seen = session.run(runs.last_event(run_id))
        begin = runs.resume(
            run_id,
            from_phase,
            calls=max_calls,
            tokens=max_tokens,
            usd=max_usd,
            seconds=max_seconds,
        )
        code = carry_out(session, begin, after=seen, as_json=as_json)
    if code:
        raise click.exceptions.Exit(code)


@command.command(name="cancel")
@click.argument("run_id")
def cancel(run_id: str) -> None:
    """End run RUN_ID now, whichever process carries it out."""
    with open_session() as session:
        result = session.run(session.app.runs.cancel(run_id))
    note(f"The run {run_id} is {result.state}.")


@command.command(name="remove")
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID...")
def remove(run_ids: tuple[str, ...]) -> None:
    """Remove runs with everything of them."""
    with open_session() as session:
        for run_id in run_ids:
            session.run(session.app.runs.remove(run_id))
            note(f"Removed {run_id}.")
