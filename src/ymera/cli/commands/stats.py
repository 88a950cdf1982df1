"""`ymera stats`: what the stored requests add up to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import msgspec

from ymera.cli.output import echo_json, echo_table, note, stdout_is_terminal
from ymera.cli.session import open_session

if TYPE_CHECKING:
    from ymera.storage.totals import RequestTotals

__all__ = ["command"]

_SHOWN_MODELS = 5


@click.command(name="stats", short_help="Requests, models, cost and times.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Show what the stored requests of today, of the last 7 days and of all add up to.

    Today begins at midnight UTC. Records are kept for monitoring.metrics_retention_days.
    """
    with open_session() as session:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        spans = {"today": today, "7_days": today - timedelta(days=6), "all": None}
        records = session.app.records
        totals = {name: records.totals(since) for name, since in spans.items()}
        kept_days = session.app.settings.monitoring.metrics_retention_days
    if as_json:
        echo_json({name: _data(of_span) for name, of_span in totals.items()})
        return
    echo_table(
        ("SPAN", "REQUESTS", "SUCCESS", "COST", "TOKENS IN", "TOKENS OUT", "P50", "P95"),
        [_row(name.replace("_", " "), of_span) for name, of_span in totals.items()],
    )
    models = list(totals["all"].models.items())[:_SHOWN_MODELS]
    if models:
        if stdout_is_terminal():
            click.echo()
        echo_table(("MODEL", "ANSWERS"), [(name, str(count)) for name, count in models])
    note(f"Records are kept for {kept_days} days; `ymera logs` lists them.")


def _data(totals: RequestTotals) -> dict[str, object]:
    data: dict[str, object] = msgspec.to_builtins(totals)
    rate = totals.succeeded / totals.requests if totals.requests else None
    return {**data, "success_rate": rate}


def _row(name: str, totals: RequestTotals) -> tuple[str, ...]:
    success = f"{totals.succeeded / totals.requests:.1%}" if totals.requests else "-"
    cost = f"${totals.cost_usd:f}"
    if totals.cost_unknown:
        cost += f" + {totals.cost_unknown} unknown"
    return (
        name,
        f"{totals.requests:,}",
        success,
        cost,
        f"{totals.input_tokens:,}",
        f"{totals.output_tokens:,}",
        _seconds(totals.p50_latency_s),
        _seconds(totals.p95_latency_s),
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
