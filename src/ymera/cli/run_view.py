"""A run as a person sees it: phases on stderr while it goes on, a table of them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ymera.cli.output import echo_table, note, usd

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ymera.phases.types import PhaseOutcome, RunEvent, RunResult

__all__ = ["live_phases", "show_phases", "why_not_done"]

Told = str | int | float | bool | None


@contextmanager
def live_phases() -> Iterator[Callable[[RunEvent], None]]:
    """Yield what takes each event: a moving table on a terminal, else a line for each."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal or console.no_color:
        yield _print_line
        return
    from rich.live import Live

    board = _Board()
    with Live(board, console=console, refresh_per_second=8, transient=False):
        yield board.take


def _print_line(event: RunEvent) -> None:
    what = event.kind.partition(".")[2]
    if event.phase is None:
        details = event.detail
        reason = details.get("strategy_reason")  # why it ended badly is told at the end
        note(f"run {what}" + (f": {reason}" if reason else ""))
        for name in ("kept", "note"):
            if details.get(name):
                note(f"  {name}: {details[name]}")
        return
    facts = _facts(event.detail)
    note(f"{event.phase}: {what}" + (f" ({facts})" if facts else ""))


def _facts(detail: dict[str, Told]) -> str:
    parts: list[str] = []
    if detail.get("model"):
        parts.append(str(detail["model"]))
    if detail.get("seconds"):
        parts.append(f"{detail['seconds']:.1f} s")
    if detail.get("tokens"):
        parts.append(f"{detail['tokens']} tokens")
    if "cost_usd" in detail:
        parts.append(f"cost {usd(detail['cost_usd'])}")
    reason = detail.get("error") or detail.get("reason")
    if reason:
        parts.append(str(reason))
    return ", ".join(parts)


class _Board:
    """The moving table: one row for each phase."""

    def __init__(self) -> None:
        from rich.spinner import Spinner

        self._rows: dict[str, tuple[str, str]] = {}
        self._spinner = Spinner("dots")

    def take(self, event: RunEvent) -> None:
        """Take in an event."""
        what = event.kind.partition(".")[2]
        if event.phase is not None:
            state = "runs" if what in {"started", "retry"} else what
            self._rows[event.phase] = (state, _facts(event.detail))
        elif what in {"started", "resumed"}:
            kept = str(event.detail.get("kept") or "").split(", ")
            for name in str(event.detail.get("plan") or "").split(", "):
                self._rows[name] = ("kept" if name in kept else "waits", "")

    def __rich__(self) -> RenderableType:
        """Return the table as it stands."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for name, (state, facts) in self._rows.items():
            mark: RenderableType = self._spinner if state == "runs" else Text(_MARKS[state])
            table.add_row(mark, Text(name), Text(state, style=_STYLES[state]), Text(facts))
        return table


_MARKS = {"waits": " ", "kept": "=", "done": "+", "failed": "x", "skipped": "-"}
_STYLES = {
    "waits": "dim",
    "runs": "bold",
    "kept": "dim",
    "done": "green",
    "failed": "red",
    "skipped": "yellow",
}


def why_not_done(result: RunResult) -> str:
    """Return one sentence: which phase failed, and what may be done."""
    reason = f" {result.error}" if result.error else ""
    if result.private:
        return f"The run {result.run_id} is {result.state}.{reason}"
    return (
        f"The run {result.run_id} is {result.state}.{reason}\n"
        f"  `ymera runs resume {result.run_id}` runs again what is not done."
    )


def show_phases(result: RunResult) -> None:
    """Print a table of the phases and what else is known of each."""
    outcomes = tuple(result.phases.values())
    rows = [
        (
            each.phase,
            each.state.value,
            each.model or "-",
            str(each.spend.tokens),
            f"{each.spend.seconds:.1f}",
            usd(each.spend.usd),
        )
        for each in outcomes
    ]
    echo_table(("PHASE", "STATE", "MODEL", "TOKENS", "SECONDS", "COST"), rows)
    for each in outcomes:
        for line in _more(each):
            click.echo(line)


def _more(outcome: PhaseOutcome) -> Iterator[str]:
    lines: list[str] = []
    if outcome.reason:
        lines.append(f"why: {outcome.reason}")
    for check in outcome.checks:
        verdict = "passed" if check.passed else "failed"
        advice = "" if check.decides else " (advice)"
        detail = f": {check.detail}" if check.detail else ""
        lines.append(f"check {check.name} {verdict}{advice}{detail}")
    lines += [f"lost: {loss}" for loss in outcome.losses]
    lines += [
        f"tool {use.name} ({use.source}): {'ok' if use.ok else use.error_code}, "
        f"{use.latency_s:.2f} s, {use.approved_by or 'not approved'}"
        for use in outcome.tools
    ]
    lines += [f"context {use.source}: {use.chars} characters" for use in outcome.context]
    if outcome.error:
        lines.append(f"error: {outcome.error}")
    if lines:
        yield f"{outcome.phase}:"
        yield from (f"  {line}" for line in lines)
