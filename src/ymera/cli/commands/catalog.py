"""`ymera catalog`: is the model catalogue sound, is it up to date, and who says so?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import counted, echo_json, echo_table, note
from ymera.cli.session import Session, open_session, stdin_is_terminal

if TYPE_CHECKING:
    from ymera.app.catalog_update import Update
    from ymera.catalog.update import Change

__all__ = ["command"]

_FAILED = 1
_REFUSED = 4
_NOBODY = 5
_EXPLAINED = """\
Say what it shall do:
  ymera catalog update --dry-run      show what has changed; write nothing
  ymera catalog update --yes          apply what is harmless
  ymera catalog update --yes --accept MODEL
                                      apply the dangerous changes of this model, too"""
_SHOWN_NEW = 20


@click.group(name="catalog", cls=DefaultGroup, default="check")
def command() -> None:
    """Check, update and explain the model catalogue; `check` by default."""


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
        broken = [each.message for each in app.catalog_files.problems]
        errors = [each for each in problems if each.level is Level.ERROR]
        if as_json:
            totals = msgspec.to_builtins(counts)
            sound = not errors and not broken
            echo_json({"ok": sound, "counts": totals, "problems": problems, "broken_files": broken})
        else:
            for message in broken:
                click.echo(f"error: {message}")
            for each in problems if warnings else errors:
                click.echo(f"{each.level}: {each.subject}: {each.message}")
            for name, value in msgspec.to_builtins(counts).items():
                click.echo(f"{name.replace('_', ' ')}: {value}")
            doubtful = len(problems) - len(errors)
            wrong = len(errors) + len(broken)
            note(f"{wrong} errors, {doubtful} warnings; snapshot of {app.catalog.generated}.")
    if errors or broken:
        ctx.exit(_FAILED)


@command.command(name="why")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def why(model: str, as_json: bool) -> None:
    """Print what is known of MODEL: each field's value, source, date and layer."""
    from ymera.catalog.why import truths_of
    from ymera.catalog.why import why as facts_of

    with open_session() as session:
        catalog = session.app.catalog
        listed = catalog.upkeep.listed.get(model)
        found = catalog.get(model) if listed is None else listed
        facts, truths = facts_of(catalog, found.id), truths_of(catalog, found.id)
    if as_json:
        echo_json({"id": found.id, "facts": facts, "truths": truths})
        return
    click.echo(f"{found.id}: {found.name}")
    click.echo(f"listed: {truths.listed}")
    for line in truths.answers:
        click.echo(f"answers: {line}")
    click.echo(f"may be routed to: {'yes' if truths.may_auto_route else 'no'}. {truths.reason}")
    rows = [(f.field, f.value, f.source, f.date or "", f.layer, f.note or "") for f in facts]
    echo_table(("FIELD", "VALUE", "SOURCE", "DATE", "LAYER", "NOTE"), rows)


@command.command(name="update")
@click.option("--provider", "providers", multiple=True, metavar="P", help="Ask only this one.")
@click.option("--yes", is_flag=True, help="Apply what is harmless without asking.")
@click.option("--accept", multiple=True, metavar="MODEL", help="Apply its dangerous changes, too.")
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def update(
    ctx: click.Context,
    providers: tuple[str, ...],
    yes: bool,
    accept: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask providers for their model lists, with your keys; show what has changed, then apply it.

    A change that turns paid into free, or a price tenfold, is applied only where you accept it.
    """
    from ymera.app.catalog_update import askable, fetch_update

    if not yes and not dry_run and not stdin_is_terminal():
        if not as_json:
            note(_EXPLAINED)
        raise click.UsageError("`ymera catalog update` asks, and nobody is here to answer.")
    with open_session() as session:
        asked = askable(session.app, providers)
        if not as_json:
            note(f"Asking {counted(len(asked), 'provider')} for the model list ...")
        found = session.run(fetch_update(session.app, asked))
        if not as_json:
            _show(found)
        applied = None if dry_run else _apply(session, found, accept, ask=not yes)
    if as_json:
        _print_json(found, applied)
    elif applied is None:
        note("Nothing was written.")
    else:
        left = sum(c.model not in applied for diff in found.diffs for c in diff.dangerous)
        rest = f" {left} dangerous changes were left out: --accept MODEL." if left else ""
        note(
            f"Applied. Undo by deleting what was written: {session.app.catalog_files.fetched_path}."
        )
        if rest:
            note(rest.strip())
    if not found.diffs:
        refused = all(each.refused for each in found.lists)
        ctx.exit(_NOBODY if not found.lists else _REFUSED if refused else _FAILED)


def _apply(
    session: Session, found: Update, accept: tuple[str, ...], *, ask: bool
) -> tuple[str, ...] | None:
    """Apply the update as far as it is agreed to; return the accepted ids, None: not applied.

    Raises:
        UsageError: an accepted model has no dangerous change.
    """
    from ymera.app.catalog_update import apply_update

    dangerous = [change for diff in found.diffs for change in diff.dangerous]
    known = {change.model for change in dangerous}
    if unknown := [model for model in accept if model not in known]:
        raise click.UsageError(f"{unknown[0]!r} has no dangerous change to accept.")
    if not found.diffs:
        return None
    accepted = dict.fromkeys(accept)
    if ask:
        changes = any(diff.changes for diff in found.diffs)
        question = "Apply the harmless changes?" if changes else "Keep that the lists were read?"
        if not click.confirm(question, default=True, err=True):
            return None
        for change in dangerous:
            question = f"{change.model}: {change.danger} Apply all the same?"
            if change.model not in accepted and click.confirm(question, default=False, err=True):
                accepted[change.model] = None
    apply_update(session.app, found, tuple(accepted))
    session.app.audit.log(
        "catalog.updated",
        providers=" ".join(diff.provider for diff in found.diffs),
        accepted=" ".join(accepted),
    )
    return tuple(accepted)


def _show(found: Update) -> None:
    for each in found.lists:
        if each.error is not None:
            note(f"{each.provider}: failed. {each.error}")
    for diff in found.diffs:
        new = [change.model for change in diff.changes if change.what == "new"]
        others = [change for change in diff.changes if change.what != "new"]
        if not diff.changes:
            note(f"{diff.provider}: nothing has changed ({len(diff.seen)} models).")
            continue
        note(f"{diff.provider}: {len(new)} new, {len(others)} other changes.")
        for change in others:
            click.echo(_line(change))
        for model in new[:_SHOWN_NEW]:
            click.echo(f"new       {model}")
        if len(new) > _SHOWN_NEW:
            click.echo(f"new       ... and {len(new) - _SHOWN_NEW} more; --json shows all")


def _line(change: Change) -> str:
    from ymera.catalog.overlay import known

    before, after = known(change.before), known(change.after)
    fields = (
        ""
        if change.what == "benched"
        else ", ".join(
            f"{name} {_text(before.get(name))} -> {_text(value)}" for name, value in after.items()
        )
    )
    danger = f"  DANGEROUS: {change.danger}" if change.danger else ""
    return f"{change.what:9} {change.model} {fields}{danger}".rstrip()


def _text(value: object) -> str:
    if value is None:
        return "unknown"
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _print_json(found: Update, applied: tuple[str, ...] | None) -> None:
    echo_json(
        {
            "applied": applied is not None,
            "accepted": applied or (),
            "providers": [
                {
                    "provider": each.provider,
                    "source": each.source,
                    "models": len(each.rows),
                    "error": each.error,
                }
                for each in found.lists
            ],
            "changes": [change for diff in found.diffs for change in diff.changes],
        }
    )
