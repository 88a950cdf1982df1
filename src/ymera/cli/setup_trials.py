"""Trying what `ymera setup` found: one short request each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from ymera.core.errors import YmeraError
from ymera.core.model import ModelKind

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.cli.first_run import Choice, Findings, FoundKey
    from ymera.cli.session import Session

__all__ = ["Trial", "try_choice"]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How one provider answered. Of `untested` nothing is known."""

    provider: str
    verdict: Literal["answered", "failed", "untested"]
    detail: str


def try_choice(session: Session, findings: Findings, choice: Choice) -> tuple[Trial, ...]:
    """Try the keys that are set, and the servers and hosts that were chosen.

    The hosts are asked as they will be: by an app with the settings that would be written.
    """
    from ymera.app import App
    from ymera.cli.first_run import settings_for

    trials = [_try_key(session, key) for key in findings.keys if key.used and key.free_models]
    chosen = (*choice.servers, *choice.consent)
    if not chosen:
        return tuple(trials)
    now = session.app.settings.keyless_consent
    settings = settings_for(choice, findings.local_servers, now)
    app = App.create(flags=_flat(settings))
    try:
        for provider in chosen:
            server = next((s for s in findings.local_servers if s.provider == provider), None)
            model = server.models[0] if server is not None and server.models else None
            trials.append(_try_host(session, app, provider, model))
    finally:
        session.run(app.close())
    return tuple(trials)


def _try_key(session: Session, key: FoundKey) -> Trial:
    from ymera.app.credentials import try_key

    app = session.app
    provider = app.catalog.providers[key.provider]
    value = app.environ.get(key.source, "").strip() or app.securing.vault.reveal()[key.provider]
    trial = session.run(
        try_key(provider, value, catalog=app.catalog, settings=app.settings, environ=app.environ)
    )
    verdict: Literal["answered", "failed", "untested"]
    match trial.verdict:
        case "accepted":
            verdict = "answered"
        case "refused":
            verdict = "failed"
        case "untested":
            verdict = "untested"
    return Trial(provider=key.provider, verdict=verdict, detail=trial.detail)


def _try_host(session: Session, app: App, provider: str, model: str | None) -> Trial:
    from ymera.engine.orchestrator import AIRequest

    name = f"{provider}/{model}" if model else _first_model(app, provider)
    if name is None:
        return Trial(provider=provider, verdict="untested", detail="it has no model yet")
    request = AIRequest(prompt="Reply with the single word: ready", model=name, max_tokens=8)
    try:
        answer = session.run(app.orchestrator.ask(request))
    except YmeraError as error:
        return Trial(provider=provider, verdict="failed", detail=error.message)
    detail = f"{answer.model} answered in {answer.latency_s:.1f} s"
    return Trial(provider=provider, verdict="answered", detail=detail)


def _first_model(app: App, provider: str) -> str | None:
    unavailable = app.snapshot().availability
    return next(
        (
            model.id
            for model in app.catalog.models
            if model.provider == provider
            and model.kind is ModelKind.CHAT
            and model.free.may_auto_route
            and model.id not in unavailable
        ),
        None,
    )


def _flat(settings: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Return settings by dotted key, as flags are given."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
