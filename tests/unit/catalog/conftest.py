"""Small catalogues, made for one test each."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from ymera.catalog.catalog import Catalog
from ymera.core.model import Dialect, FreeTerms, Model, ModelKind, Provider, ProviderKind
from ymera.core.usage import Price

SNAPSHOT_DAY = date(2026, 11, 22)


def provider(id: str = "host", /, **changes: object) -> Provider:
    fields: dict[str, object] = {
        "id": id,
        "name": id.title(),
        "kind": ProviderKind.HOSTED,
        "dialects": (Dialect.OPENAI_CHAT,),
        "base_url": f"https://{id}.example/v1",
        "free_class": "recurring",
    }
    return Provider(**(fields | changes))  # type: ignore[arg-type]


def model(id: str = "host/alpha", /, **changes: object) -> Model:
    host, _, upstream = id.partition("/")
    fields: dict[str, object] = {
        "id": id,
        "provider": host,
        "upstream_id": upstream,
        "name": upstream,
        "free": FreeTerms(free_now=True, may_auto_route=True, reason="seen", as_of="2026-11-01"),
    }
    return Model(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def three_hosts() -> Catalog:
    """A free host, a paid one, and own hardware; `alpha` is served by two of them."""
    return Catalog(
        generated=SNAPSHOT_DAY,
        providers=[
            provider("host", trains_on_input=True),
            provider("shop", free_class="none", trains_on_input=False),
            provider("here", kind=ProviderKind.LOCAL, free_class="local"),
        ],
        models=[
            model("host/alpha", tools=True, vision=True, context_window=8_000),
            model(
                "shop/vendor/alpha",
                json_schema=True,
                reasoning=True,
                context_window=100_000,
                price=Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(3)),
                free=FreeTerms(free_now=False, may_auto_route=False, reason="paid"),
                trains_on_input=False,
            ),
            model("here/beta:2b"),
            model("host/gamma-embed", kind=ModelKind.EMBEDDING),
        ],
    )
