"""`ymera keys`: provider keys, encrypted on this machine."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from ymera.cli.default_group import DefaultGroup
from ymera.cli.output import counted, echo_json, echo_table, note
from ymera.cli.session import Session, open_session, stdin_is_terminal
from ymera.core.errors import InvalidRequest, Unauthenticated
from ymera.core.model import ModelKind

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.core.model import Provider

__all__ = ["command"]

_MAX_KEY_BYTES = 8192
_MOST_KEYS = 9  # `ymera.app.credentials.MOST_KEYS`, which is not loaded for `--help`
_TRAINS = {True: "may train", False: "does not train", None: "does not say whether it trains"}


@click.group(name="keys", cls=DefaultGroup, default="list")
def command() -> None:
    """Set, list, rotate and remove provider keys; `list` by default.

    A variable of the environment always wins over a stored key.
    """


@command.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also providers without a key.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_keys(everything: bool, as_json: bool) -> None:
    """List the keys in effect, masked, and where each comes from."""
    with open_session() as session:
        rows = [*_from_environment(session.app), *_from_vault(session.app)]
        if everything:
            having = {row["provider"] for row in rows}
            rows += _without_key(session.app, having)
    if as_json:
        echo_json(rows)
        return
    echo_table(
        ("PROVIDER", "KEY", "SOURCE", "STATE"),
        [(_named(row), *(str(row[name]) for name in ("key", "source", "state"))) for row in rows],
    )
    if not rows:
        note("No key is set; `ymera keys list --all` says where each can be had.")


_NUMBER = click.option(
    "--number",
    type=click.IntRange(1, _MOST_KEYS),
    help="Which key, where a provider has several; 1 is the first.",
)


@command.command(name="set")
@click.argument("provider")
@_NUMBER
@click.option("--no-test", is_flag=True, help="Store it without asking the provider.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def set_key(provider: str, number: int | None, no_test: bool, as_json: bool) -> None:
    """Store the key of PROVIDER; it is asked for, or read from stdin, never an argument.

    Keys of one account share one quota: further keys help with accounts that are really others,
    and the provider's terms hold for each.
    """
    _set(provider, number or 1, no_test=no_test, as_json=as_json)


@command.command(name="rotate")
@click.argument("provider", required=False)
@_NUMBER
@click.option("--no-test", is_flag=True, help="Store it without asking the provider.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rotate(provider: str | None, number: int | None, no_test: bool, as_json: bool) -> None:
    """Replace the key of PROVIDER; without PROVIDER, what all stored keys are encrypted under."""
    if provider is not None:
        _set(provider, number or 1, no_test=no_test, as_json=as_json)
        return
    with open_session() as session:
        count = session.app.securing.vault.rotate()
        session.app.audit.log("keys.reencrypted", count=count)
    if as_json:
        echo_json({"rewrapped": count})
    else:
        note(f"A new encryption key is in use; {count} stored keys are under it.")


@command.command(name="remove")
@click.argument("provider", required=False)
@_NUMBER
@click.option("--all", "everything", is_flag=True, help="Remove every stored key.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def remove(provider: str | None, number: int | None, everything: bool, as_json: bool) -> None:
    """Forget the stored keys of PROVIDER, or the one of that --number."""
    if (provider is None) == (not everything):
        raise click.UsageError("Name a provider, or say --all.")
    with open_session() as session:
        count = _removed(session.app, provider, number)
        if count:
            session.app.audit.log("keys.removed", provider=provider or "all", count=count)
    if as_json:
        echo_json({"removed": count})
    elif count:
        alone = not everything and count == 1
        note(f"The key of {provider} is gone." if alone else f"{count} stored keys removed.")
    if not count and provider is not None:
        raise InvalidRequest(
            f"No key of {provider!r} is stored.",
            hint="`ymera keys list` shows what is; a variable has to be unset in the shell.",
        )


def _named(row: dict[str, object]) -> str:
    return str(row["provider"]) if row["number"] == 1 else f"{row['provider']} #{row['number']}"


def _removed(app: App, provider: str | None, number: int | None) -> int:
    """Forget what is stored of a provider (None: of all); return how many keys that were."""
    from ymera.app.credentials import number_of, slot_of

    vault = app.securing.vault
    if provider is None:
        return vault.remove(None)
    if number is not None:
        return vault.remove(slot_of(provider, number))
    slots = {key.provider for key in vault.list() if number_of(key.provider)[0] == provider}
    return sum(vault.remove(slot) for slot in slots)


def _set(name: str, number: int, *, no_test: bool, as_json: bool) -> None:
    from ymera.app.credentials import slot_of, variables_of

    with open_session() as session:
        app = session.app
        provider = _provider(app, name)
        _introduce(app, provider)
        key = _read_key(provider)
        verdict, detail = ("untested", "not tested: --no-test") if no_test else ("", "")
        if not no_test:
            verdict, detail = _try(session, provider, key)
        if verdict == "refused":
            raise Unauthenticated(
                f"{detail}; it was not stored.",
                hint="Copy it again, or store it all the same with --no-test.",
            )
        stored = app.securing.vault.set(slot_of(provider.id, number), key)
        app.audit.log("keys.set", provider=provider.id, number=number, tested=verdict)
        variables = variables_of(provider, number)
        shadowed = next((v for v in variables if app.environ.get(v, "").strip()), None)
    if as_json:
        echo_json(
            {
                "provider": provider.id,
                "number": number,
                "key": stored.shown,
                "test": verdict,
                "detail": detail,
                "shadowed_by": shadowed,
            }
        )
        return
    note(f"Stored {stored.shown} for {provider.name}, encrypted; {detail}.")
    if shadowed:
        note(f"The variable {shadowed} is set and wins over it.")
    if number > 1:
        note(
            "Keys of one account share one quota: this one adds nothing unless its account differs."
        )
        note("The vendor's terms hold for each key; many allow one free account per person.")
    if provider.extra_env:
        note(f"{provider.name} also reads {', '.join(provider.extra_env)} from the environment.")


def _try(session: Session, provider: Provider, key: str) -> tuple[str, str]:
    from ymera.app.credentials import try_key

    app = session.app
    trial = session.run(
        try_key(
            provider,
            key,
            catalog=app.catalog,
            settings=app.settings,
            environ=app.environ,
        )
    )
    return trial.verdict, trial.detail


def _read_key(provider: Provider) -> str:
    """Return the key from a hidden prompt, or from stdin when that is no terminal.

    Raises:
        InvalidRequest: nothing came, or it cannot be a key.
    """
    from ymera.security.vault import require_key

    if stdin_is_terminal():
        answer: str = click.prompt(f"Key of {provider.name}", hide_input=True, err=True)
        key = answer.strip()
    else:
        data = sys.stdin.buffer.read(_MAX_KEY_BYTES + 1) if sys.stdin is not None else b""
        try:
            key = data.decode().strip()
        except UnicodeDecodeError:
            raise InvalidRequest("The key on stdin is not text.", hint="Send it as text.") from None
    if not key:
        raise InvalidRequest(
            "No key was given.",
            hint=f"Type it when asked, or: ymera keys set {provider.id} < file",
            param="key",
        )
    require_key(key)
    return key


def _provider(app: App, name: str) -> Provider:
    """Return the provider of that id.

    Raises:
        InvalidRequest: there is none, or it reads no key.
    """
    providers = app.catalog.providers
    found = providers.get(name.lower())
    if found is None:
        near = get_close_matches(name.lower(), providers, n=1, cutoff=0.7)
        raise InvalidRequest(
            f"There is no provider {name!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else "`ymera keys list --all` names all.",
            param="provider",
        )
    if not found.key_env:
        raise InvalidRequest(
            f"{found.name} reads no key.",
            hint=f"For a host of your own, set providers.{found.id}.key_env first.",
            param="provider",
        )
    return found


def _introduce(app: App, provider: Provider) -> None:
    """Say where a key can be had, what it gives, and what it costs in privacy."""
    for line in _facts(app, provider):
        note(line)


def _facts(app: App, provider: Provider) -> list[str]:
    free = sum(
        model.provider == provider.id and model.kind is ModelKind.CHAT and model.free.may_auto_route
        for model in app.catalog.models
    )
    entry = app.catalog.provider_entries.get(provider.id)
    lines = [f"{provider.name}: {counted(free, 'free chat model')} with a key."]
    if provider.signup_url:
        lines.append(f"  key: {provider.signup_url}")
    if entry is not None:
        limits = entry.free_limits
        numbers = {"requests a day": limits.rpd, "a minute": limits.rpm, "tokens a day": limits.tpd}
        said = ", ".join(f"{number:,} {unit}" for unit, number in numbers.items() if number)
        scope = " for each model" if limits.per_model else ""
        if said:
            lines.append(f"  allowance: {said}{scope}")
        elif limits.other:
            lines.append(f"  allowance: {limits.other}")
    lines.append(f"  privacy: {_TRAINS[provider.trains_on_input]} on what you send for free")
    return lines


def _from_environment(app: App) -> list[dict[str, object]]:
    from ymera.app.credentials import MOST_KEYS
    from ymera.security.vault import masked

    return [
        {
            "provider": provider.id,
            "number": number,
            "key": masked(app.environ[variable].strip()),
            "source": f"environment: {variable}",
            "state": "in use",
        }
        for provider in app.catalog.providers.values()
        for number in range(1, MOST_KEYS + 1)
        if (variable := _variable(app, provider, number)) is not None
    ]


def _from_vault(app: App) -> list[dict[str, object]]:
    from ymera.app.credentials import number_of

    rows: list[dict[str, object]] = []
    now = datetime.now(UTC)
    for key in app.securing.vault.list():
        provider_id, number = number_of(key.provider)
        provider = app.catalog.providers.get(provider_id)
        shadow = _variable(app, provider, number) if provider is not None else None
        days = (now - key.created_at).days
        state = "in use" if provider is not None else "unknown provider"
        if shadow is not None:
            state = f"not used: {shadow} is set"
        rows.append(
            {
                "provider": provider_id,
                "number": number,
                "key": key.shown,
                "source": f"stored {days} days ago" if days else "stored today",
                "state": key.problem or state,
            }
        )
    return rows


def _without_key(app: App, having: set[object]) -> list[dict[str, object]]:
    return [
        {
            "provider": provider.id,
            "number": 1,
            "key": "",
            "source": provider.signup_url or "",
            "state": "no key",
        }
        for provider in app.catalog.providers.values()
        if provider.key_env and provider.active and provider.id not in having
    ]


def _variable(app: App, provider: Provider, number: int) -> str | None:
    from ymera.app.credentials import variables_of

    names = variables_of(provider, number)
    return next((name for name in names if app.environ.get(name, "").strip()), None)
