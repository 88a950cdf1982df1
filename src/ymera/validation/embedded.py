"""The models of this machine, as several components need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ymera.core.model import ModelKind, ProviderKind
from ymera.core.route import ExclusionReason
from ymera.validation.report import Unmet

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.core.model import Model

__all__ = ["pulled", "require_embedded"]


def pulled(app: App) -> tuple[Model, ...]:
    """Return the embedded chat models that can be asked now, the smallest first."""
    ready = [
        model
        for model in app.catalog.models
        if model.kind is ModelKind.CHAT
        and app.catalog.provider_of(model).kind is ProviderKind.EMBEDDED
        and model.id not in app.snapshot().availability
    ]
    return tuple(sorted(ready, key=lambda model: model.weights.size_bytes if model.weights else 0))


def require_embedded(app: App) -> tuple[Model, ...]:
    """Return `pulled`.

    Raises:
        Unmet: there is none; the hint says how to get one.
    """
    models = pulled(app)
    if models:
        return models
    if not app.settings.local.enabled:
        raise Unmet("Embedded models are switched off.", hint="Set local.enabled to true.")
    unavailable = app.snapshot().availability
    for model in app.catalog.models:
        reason, detail = unavailable.get(model.id, (None, ""))
        if model.weights is not None and reason is ExclusionReason.NOT_CALLABLE:
            raise Unmet(detail, hint="Run: pip install 'ymera[local]'")
    raise Unmet("No embedded model is on this machine.", hint="Run: ymera models pull")
