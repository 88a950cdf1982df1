"""`ymera quota`: what is left of every free quota."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from ymera.cli.output import echo_json, echo_table, note
from ymera.cli.session import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ymera.app import App
    from ymera.core.model import Model
    from ymera.core.quota import QuotaRow

__all__ = ["command"]

_HEADER = ("POOL", "LIMIT", "LEFT", "RESETS IN", "PRICE", "LASTS", "KNOWN FROM")


@click.command(name="quota", short_help="What is left of every free quota.")
@click.option("--provider", help="Only pools of this provider.")
@click.option("--all", "show_all", is_flag=True, help="Providers that cannot be called, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def command(provider: str | None, show_all: bool, as_json: bool) -> None:
    """Show each limit of each pool: what is left, when it resets and how long it lasts.

    A pool is what shares an allowance in the vendor's eyes: an account, a project, an IP address,
    one model or all. Keys of one account share one quota. The price says what a call now costs
    later ones, 0 nothing to 1 all that is left.
    """
    from ymera.app.cooling import cooling_now

    with open_session() as session:
        app = session.app
        _known(app, provider)
        rows = app.quotas.rows(_models(app, provider, show_all=show_all))
        now = datetime.now(UTC)
        cooling = cooling_now(app.paths.cooling, now)
    if as_json:
        echo_json([_data(row) for row in rows])
        return
    echo_table(_HEADER, [_row(row, now) for row in rows])
    if not rows:
        note("No provider with quotas can be called now; --all shows every one.")
    if cooling:
        note(f"A running server rests {len(cooling)} models, keys or hosts; see `ymera providers`.")
    if any(row.limit is None for row in rows):
        note("A limit shown as ? is not published; answers of the vendor may tell.")


def _known(app: App, provider: str | None) -> None:
    if provider is not None and provider not in app.catalog.providers:
        raise click.BadParameter(
            f"there is no provider {provider!r}; see `ymera providers`.", param_hint="--provider"
        )


def _models(app: App, provider: str | None, *, show_all: bool) -> list[Model]:
    unavailable = app.snapshot().availability
    return [
        model
        for model in app.catalog.models
        if model.free.may_auto_route
        and (provider is None or model.provider == provider)
        and (show_all or model.id not in unavailable)
    ]


def _data(row: QuotaRow) -> dict[str, object]:
    data: dict[str, object] = msgspec.to_builtins(row)
    return data


def _row(row: QuotaRow, now: datetime) -> Sequence[str]:
    pool = row.pool
    name = pool.model or f"{pool.provider} (all models)"
    if pool.owner not in {"account", "ip"}:
        name += f" [{pool.owner}]"
    left = "?" if row.left is None or row.limit is None else f"{row.left:,} of {row.limit:,}"
    if row.limit is None and row.used:
        left += f", {row.used:,} used"
    resets_at = row.closed_until or row.resets_at
    source = "-" if row.source is None else f"{row.source} {row.confidence:.0%}"
    return (
        name,
        f"{row.metric}/{row.window}",
        left,
        "-" if resets_at is None else _duration((resets_at - now).total_seconds()),
        f"{row.price:.2f}",
        _lasts(row, now),
        source,
    )


def _lasts(row: QuotaRow, now: datetime) -> str:
    if row.closed_until is not None:
        return "used up, says the vendor"
    if row.left == 0:
        return "used up"
    if row.lasts_until is None:
        return "until the reset" if row.left is not None else "-"
    return _duration((row.lasts_until - now).total_seconds())


def _duration(seconds: float) -> str:
    minutes, left = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
