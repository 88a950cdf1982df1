"""Which hosts may be asked for vectors: a pure decision, and never for another model.

Vectors of two models cannot be compared, so there is nothing to choose but the host: a catalogue id
pins one, the bare name of a model (`bge-m3`) stands for that model at every host that serves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ymera.core.embedding import EmbeddingRequest
from ymera.core.errors import UnknownModel
from ymera.core.model import Model, ModelKind
from ymera.core.route import Exclusion, ExclusionReason
from ymera.core.task import Needs, TaskComplexity, TaskProfile, TaskType
from ymera.routing.estimate import text_tokens
from ymera.routing.filters import estimated_cost_usd
from ymera.routing.plan import Snapshot

__all__ = ["Hosts", "hosts_of", "profile_of"]

_MOST_NAMED = 5
_LATEST = ":latest"
"""The tag that Ollama's clients append to a name without one."""

_Refusal = tuple[ExclusionReason, str] | None


class Hosts(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of one model to ask, in the catalogue's order, and why not the others."""

    models: tuple[Model, ...]
    exclusions: tuple[Exclusion, ...]


def profile_of(request: EmbeddingRequest) -> TaskProfile:
    """Return what quotas and prices want to know; vectors are no tokens, so one stands for them."""
    return TaskProfile(
        type=TaskType.TEXT_GENERATION,
        complexity=TaskComplexity.SIMPLE,
        est_input_tokens=max(1, sum(map(text_tokens, request.inputs))),
        est_output_tokens=1,
        needs=Needs(private=request.private),
    )


def hosts_of(
    request: EmbeddingRequest, snapshot: Snapshot, profile: TaskProfile, max_cost_usd: Decimal
) -> Hosts:
    """Return who can be asked.

    Args:
        request: what is asked.
        snapshot: every model, and why some cannot be called.
        profile: of the request.
        max_cost_usd: most that it may cost; 0 = nothing.

    Raises:
        UnknownModel: it names no embedding model.
    """
    embedding = [model for model in snapshot.models if model.kind is ModelKind.EMBEDDING]
    named = _named(request.model, embedding)
    if not named:
        raise _unknown(request.model, embedding, snapshot)
    longest = max(map(text_tokens, request.inputs))
    models: list[Model] = []
    exclusions: list[Exclusion] = []
    for model in named:
        refusal = (
            _unfit(model, longest, private=request.private)
            or _too_dear(model, profile, max_cost_usd)
            or snapshot.availability.get(model.id)
        )
        if refusal is None:
            models.append(model)
        else:
            reason, detail = refusal
            exclusions.append(Exclusion(model_id=model.id, reason=reason, detail=detail))
    return Hosts(models=tuple(models), exclusions=tuple(exclusions))


def _named(name: str, embedding: Sequence[Model]) -> list[Model]:
    """Return the model of that id, or that model at every host; vectors of one length only."""
    names = {name, name.removesuffix(_LATEST)}
    bare = {each.lower() for each in names}
    same = [model for model in embedding if model.id in names] or [
        model for model in embedding if bare & {model.upstream_id.lower(), _bare(model.upstream_id)}
    ]
    dimensions = next((model.embedding_dims for model in same if model.embedding_dims), None)
    return [model for model in same if model.embedding_dims in {None, dimensions}]


def _bare(upstream_id: str) -> str:
    """Return what hosts call the same model, apart from who made it, in lower case."""
    return upstream_id.rpartition("/")[2].lower()


def _unfit(model: Model, longest: int, *, private: bool) -> _Refusal:
    if private and model.weights is None and model.trains_on_input is not False:
        return ExclusionReason.PRIVACY, "Its host may train on what is sent, or does not say."
    window = model.context_window
    if window is not None and longest > window:
        return (
            ExclusionReason.CONTEXT,
            f"A text of about {longest:,} tokens does not fit its context of {window:,}.",
        )
    return None


def _too_dear(model: Model, profile: TaskProfile, max_cost_usd: Decimal) -> _Refusal:
    cost = estimated_cost_usd(model, profile)
    if cost == 0 or (cost is not None and cost <= max_cost_usd):
        return None
    if max_cost_usd <= 0:
        return ExclusionReason.NOT_FREE, f"No money may be spent. {model.free.reason}"
    if cost is None:
        return ExclusionReason.NOT_FREE, "Its price is not known, so no budget can allow it."
    return (
        ExclusionReason.NOT_FREE,
        f"It would cost about ${cost:.4f}, the budget is ${max_cost_usd:g} a request.",
    )


def _unknown(name: str, embedding: Sequence[Model], snapshot: Snapshot) -> UnknownModel:
    ready = [model.id for model in embedding if model.id not in snapshot.availability]
    others = ", ".join(ready[:_MOST_NAMED]) or "none can be called now"
    return UnknownModel(
        f"No embedding model is called {name!r}; vectors of another one could not be compared.",
        hint=f"Name one: {others}; `ymera models list --all --kind embedding` lists all.",
        param="model",
    )
