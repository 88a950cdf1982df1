"""One line after an answer of the embedded model: what it is, and how to get a better one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ymera.core.model import ProviderKind
from ymera.core.route import ExclusionReason

if TYPE_CHECKING:
    from ymera.app import App

__all__ = ["better_model_advice"]


def better_model_advice(app: App, model_id: str | None) -> str | None:
    """Return the line, or None when the answer did not come from an embedded model."""
    model = app.catalog.get(model_id) if model_id else None
    if model is None or app.catalog.provider_of(model).kind is not ProviderKind.EMBEDDED:
        return None
    unavailable = app.snapshot().availability
    ways = [
        f"`ymera models pull {other.upstream_id}`"
        for other in app.catalog.models
        if unavailable.get(other.id, (None,))[0] is ExclusionReason.NOT_PULLED
        and other.quality.get("chat", 0.0) > model.quality.get("chat", 0.0)
    ]
    ways.append("a free key, for example GROQ_API_KEY from https://console.groq.com/keys")
    size = f"{model.weights.size_bytes / 1e6:.0f} MB" if model.weights else "small"
    return f"{model.id} is a {size} model on this machine. For better answers: {' or '.join(ways)}."
