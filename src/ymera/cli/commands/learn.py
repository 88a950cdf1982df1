"""`ymera learn`: what experience taught about models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table, note
from ymera.cli.session import open_session, stdin_is_terminal

if TYPE_CHECKING:
    from ymera.learning.math.ema import ModelStats
    from ymera.learning.table import Key

__all__ = ["command"]


@click.group(name="learn", cls=DefaultGroup, default="stats")
def command() -> None:
    """Show, export or forget what was learned of models; `stats` by default."""


@command.command(name="stats")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def stats(as_json: bool) -> None:
    """Show how each model did, by agent and task type, and what the router makes of it."""
    with open_session() as session:
        rows = sorted(session.app.observing.experience.rows().items())
        if as_json:
            echo_json([_data(key, found) for key, found in rows])
            return
        if not rows:
            note("Nothing was learned yet: every answer teaches, `ymera logs rate` teaches more.")
            return
        header = ("AGENT", "TASK", "MODEL", "ASKED", "ANSWERED", "SECONDS", "RATING", "SCORE")
        echo_table((*header, "ROUTER"), [_row(key, found) for key, found in rows])


@command.command(name="export")
def export() -> None:
    """Print everything that was learned as one JSON object, for other programs."""
    with open_session() as session:
        rows = session.app.observing.experience.rows()
        echo_json({"rows": [_data(key, found) for key, found in rows.items()]})


@command.command(name="reset")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Forget everything that was learned; records and ratings stay."""
    if not yes:
        if not stdin_is_terminal():
            raise click.UsageError("This forgets everything that was learned; say --yes.")
        click.confirm("Forget everything that was learned?", abort=True, err=True)
    with open_session() as session:
        count = len(session.app.observing.experience.rows())
        session.app.observing.experience.reset()
        note(f"Forgotten: {count} rows.")


def _data(key: Key, found: ModelStats) -> dict[str, object]:
    from ymera.learning.math.ema import advantage, ema_score
    from ymera.routing.score import EXPERIENCE_WEIGHT

    facts: dict[str, object] = msgspec.to_builtins(found)
    return {
        **key._asdict(),
        **facts,
        "ema_score": ema_score(found),
        "routing_term": EXPERIENCE_WEIGHT * advantage(found),
    }


def _row(key: Key, found: ModelStats) -> tuple[str, ...]:
    from ymera.learning.math.ema import advantage, ema_score
    from ymera.routing.score import EXPERIENCE_WEIGHT

    return (
        *key,
        f"{found.executions:,}",
        f"{found.successes / found.executions:.0%}" if found.executions else "-",
        f"{found.avg_time:.2f}",
        f"{found.avg_rating:.1f} ({found.ratings})" if found.ratings else "-",
        f"{ema_score(found):.3f}",
        f"{EXPERIENCE_WEIGHT * advantage(found):+.3f}",
    )
