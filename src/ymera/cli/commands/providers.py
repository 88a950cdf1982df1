"""`ymera providers`: list, open, test."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click
import msgspec

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import echo_json, echo_table, note, usd
from ymera.cli.session import open_session
from ymera.core.errors import InvalidRequest, NoRoute
from ymera.core.model import ModelKind

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.core.model import Model, Provider

__all__ = ["command"]


@click.group(name="providers", cls=DefaultGroup, default="list")
def command() -> None:
    """List and test providers, and open closed ones; `list` by default.

    A provider is closed when it billed, or asked for credit, for a model that is listed as free.
    It stays closed until you have looked at your account there and opened it again.
    """


@command.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also those that cannot be called now.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_providers(everything: bool, as_json: bool) -> None:
    """List the providers that can be called, those that are closed, and what cools down.

    What a running server does not ask for a while, because it failed, is told by that server; with
    --json it is the field `cooling` of its provider.
    """
    with open_session() as session:
        rows = _rows(session.app)
        cooling = _cooling(session.app)
    shown = [row for row in rows if everything or row["state"] in {"ready", "closed"}]
    if as_json:
        echo_json(shown)
        return
    echo_table(
        ("PROVIDER", "STATE", "KEYS", "FREE MODELS", "DETAIL"),
        [
            (
                str(row["provider"]),
                str(row["state"]),
                " ".join(map(str, row["keys"])) if isinstance(row["keys"], list) else "",
                str(row["free_models"]),
                str(row["detail"] or ""),
            )
            for row in shown
        ],
    )
    for name, until, why in cooling:
        note(f"A running server does not ask {name} until {until}: {why}")
    if hidden := len(rows) - len(shown):
        note(f"{hidden} more cannot be called now; `ymera providers list --all` says why.")


@command.command(name="open")
@click.argument("provider")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def open_provider(provider: str, as_json: bool) -> None:
    """Let PROVIDER be called again; a running server forgets what it held against it, too."""
    with open_session() as session:
        app = session.app
        row = _provider(app, provider)
        was_closed = app.standings.closures.open(row.id)
        app.audit.log("provider.opened", provider=row.id, was_closed=was_closed)
    if as_json:
        echo_json({"provider": row.id, "was_closed": was_closed})
    elif was_closed:
        note(f"{row.name} is open again; it closes by itself should it bill once more.")
    else:
        note(f"{row.name} was not closed. Servers that run try it and its keys anew.")


@command.command(name="test")
@click.argument("provider")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def test(provider: str, as_json: bool) -> None:
    """Ask one free model of PROVIDER one short question and say how it went."""
    from ymera.engine.orchestrator import AIRequest

    with open_session() as session:
        app = session.app
        model = _free_model(app, _provider(app, provider))
        prompt = "Reply with the single word: ready"
        request = AIRequest(prompt=prompt, model=model.id, max_tokens=32)
        answer = session.run(app.orchestrator.ask(request))
    if as_json:
        echo_json(
            {
                "provider": model.provider,
                "model": model.id,
                "answer": answer.response,
                "latency_s": round(answer.latency_s, 3),
                "cost_usd": answer.cost,
            }
        )
        return
    click.echo(f"{model.id} answered in {answer.latency_s:.1f} s, cost {usd(answer.cost)}.")


def _rows(app: App) -> list[dict[str, object]]:
    from ymera.app.cooling import cooling_now
    from ymera.providers.hosts import provider_keys
    from ymera.security.vault import masked

    closed = app.standings.closures.rows()
    cooling = cooling_now(app.paths.cooling, datetime.now(UTC))
    problems = app.snapshot().availability
    chat = [model for model in app.catalog.models if model.kind is ModelKind.CHAT]
    free = Counter(model.provider for model in chat if model.free.may_auto_route)
    callable_ones = {model.provider for model in chat if model.id not in problems}
    why = {model.provider: problems[model.id][1] for model in chat if model.id in problems}
    rows: list[dict[str, object]] = []
    for provider in app.catalog.providers.values():
        closure = closed.get(provider.id)
        state = "ready" if provider.id in callable_ones else "not callable"
        detail = None if state == "ready" else why.get(provider.id, "It has no model for chat.")
        if closure is not None:
            state, detail = "closed", app.standings.closures.why(provider.id)
        keys = provider_keys(provider, app.credentials)
        rows.append(
            {
                "provider": provider.id,
                "state": state,
                "keys": [masked(key.secret.reveal()) for key in keys],
                "free_models": free[provider.id],
                "closed_since": None if closure is None else closure.at,
                "detail": detail,
                "cooling": [
                    msgspec.to_builtins(row) for row in cooling if row.provider == provider.id
                ],
            }
        )
    return rows


def _cooling(app: App) -> list[tuple[str, str, str]]:
    from ymera.app.cooling import cooling_now

    rows = []
    for row in cooling_now(app.paths.cooling, datetime.now(UTC)):
        name = row.model_id or row.provider
        if row.key_id is not None:
            name += f" [{row.key_id}]"
        until = "it is changed" if row.until is None else f"{row.until:%Y-%m-%d %H:%M:%S} UTC"
        rows.append((name, until, row.why))
    return rows


def _free_model(app: App, provider: Provider) -> Model:
    """Return a chat model of the provider that costs nothing and can be called.

    Raises:
        NoRoute: it has none.
    """
    problems = app.snapshot().availability
    free = [
        model
        for model in app.catalog.models
        if model.provider == provider.id
        and model.kind is ModelKind.CHAT
        and model.free.may_auto_route
    ]
    found = next((model for model in free if model.id not in problems), None)
    if found is None:
        why = problems[free[0].id][1] if free else "It has no chat model that costs nothing."
        raise NoRoute(f"{provider.name} cannot be tested.", hint=why)
    return found


def _provider(app: App, name: str) -> Provider:
    """Return the provider of that id.

    Raises:
        InvalidRequest: there is none.
    """
    providers = app.catalog.providers
    found = providers.get(name.lower())
    if found is None:
        near = get_close_matches(name.lower(), providers, n=1)
        raise InvalidRequest(
            f"There is no provider {name!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else "`ymera providers list --all`",
            param="provider",
        )
    return found
