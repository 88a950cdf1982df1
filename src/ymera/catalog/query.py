"""Finds models by what they can do, cost and promise."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from ymera.catalog.catalog import Catalog
from ymera.core.model import Model, ModelKind, ProviderKind

__all__ = ["OWN_HARDWARE", "is_private", "select"]

OWN_HARDWARE = frozenset({ProviderKind.LOCAL, ProviderKind.EMBEDDED})
"""Provider kinds whose models run where the user decides; nothing leaves the user's machines."""


def select(
    catalog: Catalog,
    *,
    kind: ModelKind | None = None,
    provider: str | None = None,
    provider_kind: ProviderKind | None = None,
    tools: bool = False,
    vision: bool = False,
    json_schema: bool = False,
    reasoning: bool = False,
    free_now: bool = False,
    auto_routable: bool = False,
    min_context: int = 0,
    max_usd_per_mtok: Decimal | None = None,
    private: bool = False,
) -> tuple[Model, ...]:
    """Return the models that meet every condition, in catalogue order.

    What is not known never meets a condition.

    Args:
        catalog: where to look.
        kind: chat, embedding or transcription.
        provider: id of the provider.
        provider_kind: where the model runs.
        tools: True demands tool calls.
        vision: True demands that it reads images.
        json_schema: True demands structured output.
        reasoning: True demands that it can think first.
        free_now: True demands that it was seen to be free.
        auto_routable: True demands that the free guard lets it be asked at cost 0.
        min_context: tokens of input plus output that must fit.
        max_usd_per_mtok: neither list price, for input or output, may be above this.
        private: True demands own hardware, or a host known not to train on free traffic.
    """

    def meets(model: Model) -> Iterator[bool]:
        yield kind is None or model.kind is kind
        yield provider is None or model.provider == provider
        yield provider_kind is None or catalog.provider_of(model).kind is provider_kind
        yield not tools or model.tools is True
        yield not vision or model.vision is True
        yield not json_schema or model.json_schema is True
        yield not reasoning or model.reasoning is True
        yield not free_now or model.free.free_now is True
        yield not auto_routable or model.free.may_auto_route
        yield (model.context_window or 0) >= min_context
        yield max_usd_per_mtok is None or _costs_at_most(model, max_usd_per_mtok)
        yield not private or is_private(catalog, model)

    return tuple(model for model in catalog.models if all(meets(model)))


def is_private(catalog: Catalog, model: Model) -> bool:
    """Return whether a prompt marked private may go there: own hardware, or no training."""
    return catalog.provider_of(model).kind in OWN_HARDWARE or model.trains_on_input is False


def _costs_at_most(model: Model, usd_per_mtok: Decimal) -> bool:
    prices = (model.price.input_usd_per_mtok, model.price.output_usd_per_mtok)
    return all(price is not None and price <= usd_per_mtok for price in prices)
