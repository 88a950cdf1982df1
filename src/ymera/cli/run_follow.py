"""What `run` and `runs resume` share: following a run to its end, and the bounds of a budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ymera.cli.output import echo_json, note
from ymera.cli.run_view import live_phases, why_not_done

if TYPE_CHECKING:
    from ymera.cli.session import Session
    from ymera.phases.service import RunService
    from ymera.phases.types import RunResult

__all__ = ["bound_options", "carry_out", "result_json"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def carry_out(
    session: Session, begin: Coroutine[Any, Any, str], *, after: int = 0, as_json: bool
) -> int:
    """Begin a run, show it until its end, print what it made; return the exit code.

    Args:
        session: open.
        begin: begins or resumes it and returns its id.
        after: number of the last event that is not to be shown.
        as_json: print everything as one JSON object.
    """
    result = session.run(_follow(session.app.runs, begin, after))
    if as_json:
        echo_json(result_json(result))
    elif result.result:
        click.echo(result.result)
    if result.state.value == "done":
        return 0
    for line in why_not_done(result).split("\n"):
        note(line)
    return 1


async def _follow(runs: RunService, begin: Coroutine[Any, Any, str], after: int) -> RunResult:
    run_id = await begin
    note(f"run {run_id}")
    try:
        with live_phases() as take:
            async for event in runs.events(run_id, after):
                take(event)
    except asyncio.CancelledError:
        await runs.interrupt(run_id)
        note("")
        stopped = await runs.get(run_id)
        if stopped.private:
            note("Interrupted; a private run cannot be resumed.")
        elif stopped.state.value == "pending":
            note(f"Interrupted; `ymera runs resume {run_id}` carries it on.")
        raise
    return await runs.get(run_id)


def result_json(result: RunResult) -> dict[str, object]:
    """Return a run as the `--json` of every command shows it."""
    return {
        "run_id": result.run_id,
        "agent": result.agent,
        "state": result.state,
        "strategy_type": result.strategy_type,
        "strategy_reason": result.strategy_reason,
        "private": result.private,
        "created_at": result.created_at,
        "successful_phases": result.successful_phases,
        "failed_phases": result.failed_phases,
        "models_used": result.models_used,
        "cost_usd": result.cost,
        "spend": result.spend,
        "error_code": result.error_code,
        "error": result.error,
        "result": result.result,
        "phases": result.phases,
    }


class _Money(click.ParamType[Decimal]):
    name = "USD"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite():
            self.fail(f"{value!r} is no amount of money.", param, ctx)
        return amount


def bound_options(command: _Command) -> _Command:
    """Add --max-calls, --max-tokens, --max-usd and --max-seconds."""
    for option in (
        click.option("--max-seconds", type=float, metavar="N", help="Longest it may take."),
        click.option("--max-usd", type=_Money(), metavar="USD", help="Most money."),
        click.option("--max-tokens", type=int, metavar="N", help="Most tokens, in and out."),
        click.option("--max-calls", type=int, metavar="N", help="Most model calls."),
    ):
        command = option(command)
    return command
