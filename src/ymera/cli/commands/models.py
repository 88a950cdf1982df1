"""`ymera models`: list, show, pull, test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table, note, usd
from ymera.cli.session import Session, open_session
from ymera.core.errors import UnknownModel

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.catalog.catalog import Catalog
    from ymera.core.model import LocalWeights, Model

__all__ = ["command"]


_FAILED = 1
_KINDS = ("chat", "embedding", "transcription")


@click.group(name="models", cls=DefaultGroup, default="list")
def command() -> None:
    """List, show, pull and test models; `list` by default."""


@command.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also those that cannot be called now.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only models of this kind.")
@click.option("--listed", is_flag=True, help="Those that only a list names, and nobody has tested.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_models(everything: bool, kind: str | None, listed: bool, as_json: bool) -> None:
    """List the models that can be called now, best first."""
    with open_session() as session:
        app = session.app
        if listed:
            _show_listed(app, as_json=as_json)
            return
        unavailable = app.snapshot().availability
        models = [m for m in app.catalog.models if kind in {None, m.kind}]
        shown = [m for m in models if everything or m.id not in unavailable]
        shown.sort(key=lambda m: (-m.quality.get("chat", 0.0), m.id))
        if as_json:
            echo_json([_summary(app, model) for model in shown])
            return
        rows = [_row(app, model, unavailable.get(model.id)) for model in shown]
        echo_table(("MODEL", "KIND", "CONTEXT", "COST", "STATE"), rows)
        hidden = len(models) - len(shown)
        if hidden:
            note(f"{hidden} more cannot be called now; `ymera models list --all` says why.")


def _show_listed(app: App, *, as_json: bool) -> None:
    upkeep = app.catalog.upkeep
    if as_json:
        echo_json(
            [
                {"id": id, "kind": model.kind, "would_be_free": id in upkeep.unproven}
                for id, model in upkeep.listed.items()
            ]
        )
        return
    for id in upkeep.listed:
        click.echo(f"{id}  would be free" if id in upkeep.unproven else id)
    if upkeep.listed:
        note("`ymera models test MODEL --live` takes one of them in if it answers.")
    else:
        note("No list names a model the catalogue lacks; `ymera catalog update` reads the lists.")


def _row(app: App, model: Model, problem: tuple[str, str] | None) -> tuple[str, ...]:
    context = f"{model.context_window:,}" if model.context_window else "?"
    state = "ready" if problem is None else problem[1]
    outcomes = app.catalog.upkeep.answers.get(model.id, {}).values()
    if outcomes and problem is None:
        last = max(outcomes, key=lambda outcome: outcome.at)
        state += f", {'answered' if last.ok else 'did not answer'} {last.at:%Y-%m-%d}"
    return (model.id, model.kind, context, _cost(model), state)


def _cost(model: Model) -> str:
    """Return `free`, `paid` (a list price above 0 is known) or `unknown`."""
    if model.free.may_auto_route:
        return "free"
    prices = (model.price.input_usd_per_mtok, model.price.output_usd_per_mtok)
    return "paid" if any(prices) else "unknown"


def _summary(app: App, model: Model) -> dict[str, object]:
    problem = app.snapshot().availability.get(model.id)
    return {
        "id": model.id,
        "kind": model.kind,
        "context_window": model.context_window,
        "free": model.free.may_auto_route,
        "answers": app.catalog.upkeep.answers.get(model.id, {}),
        "callable": problem is None,
        "reason": problem[1] if problem else None,
    }


@command.command(name="show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Show what is known of model NAME, and where each fact comes from."""
    from ymera.catalog.why import truths_of, why
    from ymera.routing.policies import ALIASES

    with open_session() as session:
        app = session.app
        if name in ALIASES:
            raise UnknownModel(
                f"{name!r} is no model but chooses one for each request.",
                hint=f'See: ymera route --model {name} "your prompt"',
            )
        listed = app.catalog.upkeep.listed.get(name)
        model = app.catalog.get(name) if listed is None else listed
        truths = truths_of(app.catalog, model.id)
        facts = why(app.catalog, model.id)
        if as_json:
            echo_json(
                {
                    **_summary(app, model),
                    "facts": facts,
                    "free_reason": model.free.reason,
                    "truths": truths,
                }
            )
            return
        click.echo(f"{model.id}: {model.name}")
        click.echo(f"cost: {model.free.reason}")
        problem = app.snapshot().availability.get(model.id)
        now = problem[1] if problem else "can be called" if listed is None else "never tested"
        click.echo(f"now: {now}")
        click.echo(f"listed: {truths.listed}")
        for line in truths.answers:
            click.echo(f"answers: {line}")
        rows = [(f.field, str(f.value), f.source, str(f.date or "")) for f in facts]
        echo_table(("FIELD", "VALUE", "SOURCE", "DATE"), rows)


@command.command(name="pull")
@click.argument("name", required=False)
@click.option(
    "--sources",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Other places for the same bytes, by SHA-256 (docs/local-models.md).",
)
def pull_model(name: str | None, sources: Path | None) -> None:
    """Fetch the embedded model NAME (default: local.model) and check its SHA-256.

    HF_ENDPOINT names another hub than the official one.
    """
    from ymera.providers.pull import OFFICIAL_HUB, is_intact, is_pulled, pull, with_source_from

    with open_session() as session:
        app = session.app
        model, weights = _embedded(app.catalog, name or app.settings.local.model)
        if is_intact(weights, app.models_dir):
            if not is_pulled(weights, app.models_dir):
                pull(weights, app.models_dir)  # fetches nothing; a file put there by hand is noted
            note(f"{model.id} is on this machine already.")
            return
        if sources is not None:
            weights = with_source_from(weights, sources)
        note(f"Fetching {model.id} ({weights.licence}) from {weights.source}")
        with _progress_bar() as progress:
            hub_url = os.environ.get("HF_ENDPOINT") or OFFICIAL_HUB
            path = pull(weights, app.models_dir, progress=progress, hub_url=hub_url)
        note(f"Ready: {path}")


def _embedded(catalog: Catalog, name: str) -> tuple[Model, LocalWeights]:
    """Return the embedded model of that name or id, and its file.

    Raises:
        UnknownModel: there is none.
    """
    embedded = [(model, model.weights) for model in catalog.models if model.weights is not None]
    for model, weights in embedded:
        if name in {model.id, model.upstream_id}:
            return model, weights
    raise UnknownModel(
        f"No embedded model is called {name!r}.",
        hint=f"These can be pulled: {', '.join(model.upstream_id for model, _ in embedded)}.",
    )


@contextmanager
def _progress_bar() -> Iterator[Callable[[int, int], None]]:
    """Yield a callback that draws a bar of bytes; nothing off a terminal or with NO_COLOR."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    off = console.no_color or not console.is_terminal
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=off) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@command.command(name="test")
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@click.option("--live", is_flag=True, help="Send the requests; without it they are only shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def test(ctx: click.Context, names: tuple[str, ...], live: bool, as_json: bool) -> None:
    """Send one short prompt to each MODEL, with each of its keys, and keep how it went.

    What runs on your own hardware is asked at once. Hosts are asked with --live only; without it
    the command says what it would ask. Without MODEL: all that would cost nothing and were never
    tested. Paid models are asked only within the budget.
    """
    with open_session() as session:
        if len(names) == 1 and not live and _runs_here(session.app, names[0]):
            _ask_here(session, names[0], as_json=as_json)
        elif _test_hosts(session, names, live=live, as_json=as_json):
            ctx.exit(_FAILED)


def _runs_here(app: App, name: str) -> bool:
    from ymera.catalog.query import OWN_HARDWARE
    from ymera.core.model import ProviderKind

    model = app.catalog.find(name)
    here = OWN_HARDWARE | {ProviderKind.SCRIPTED}
    return model is not None and app.catalog.provider_of(model).kind in here


def _ask_here(session: Session, name: str, *, as_json: bool) -> None:
    from ymera.engine.orchestrator import AIRequest

    request = AIRequest(prompt="Reply with the single word: ready", model=name, max_tokens=32)
    answer = session.run(session.app.orchestrator.ask(request))
    if as_json:
        echo_json(
            {
                "model": answer.model,
                "answer": answer.response,
                "latency_s": round(answer.latency_s, 3),
                "cost_usd": answer.cost,
            }
        )
        return
    click.echo(f"{answer.model} answered in {answer.latency_s:.1f} s, cost {usd(answer.cost)}.")


def _test_hosts(session: Session, names: tuple[str, ...], *, live: bool, as_json: bool) -> bool:
    """Test hosted models, or say what would be asked; return whether one failed."""
    from ymera.app.live_tests import live_tests, planned_tests

    trials = planned_tests(session.app, names)
    if not live:
        if as_json:
            echo_json(trials)
            return False
        rows = [
            (each.model, each.key, each.skipped or f"would cost at most {usd(each.cost_usd)}")
            for each in trials
        ]
        echo_table(("MODEL", "KEY", "IF ASKED"), rows)
        asked = sum(trial.skipped is None for trial in trials)
        note(f"{asked} requests of at most 32 answer tokens; --live sends them.")
        return False
    outcomes = session.run(live_tests(session.app, trials))
    if as_json:
        echo_json(outcomes)
    else:
        echo_table(
            ("MODEL", "KEY", "VERDICT", "DETAIL"),
            [(each.model, each.key, each.verdict, each.detail) for each in outcomes],
        )
    named_but_untested = bool(names) and any(each.verdict == "untested" for each in outcomes)
    return named_but_untested or any(each.verdict == "fails" for each in outcomes)
