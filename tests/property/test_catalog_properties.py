"""What holds for any file and any facts."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.catalog.decode import decode_snapshot
from ymera.catalog.free import ALLOWED_CLASSES, FreeClass, free_terms
from ymera.catalog.load import load
from ymera.core.errors import CatalogError
from ymera.core.model import Provider, ProviderKind
from ymera.core.usage import Price

DAY = date(2026, 11, 22)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(["provider", "id", "price", "free", "quality", "kind", "evidence", "x"])
ROWS = st.lists(st.dictionaries(FIELDS, JSON, max_size=5), max_size=3)


def complaint(data: bytes) -> str | None:
    """Return what is said of a broken file, None of a sound one; nothing else may be raised."""
    try:
        decode_snapshot("any.json", data)
    except CatalogError as error:
        return error.message
    return None


@pytest.mark.proves("catalog.check")
@given(data=st.binary(max_size=200))
def test_no_bytes_make_the_decoder_raise_anything_but_our_error(data: bytes) -> None:
    said = complaint(data)

    assert said is not None  # no such file is a catalogue
    assert said.startswith("The catalogue file any.json is broken: ")


@given(providers=ROWS | JSON, models=ROWS | JSON)
def test_no_rows_make_the_decoder_raise_anything_but_our_error(
    providers: object, models: object
) -> None:
    file = {
        "schema_version": 1,
        "generated": "2026-11-22",
        "providers": providers,
        "models": models,
    }
    said = complaint(json.dumps(file).encode())

    assert said is None or said.startswith("The catalogue file any.json is broken: ")


@pytest.mark.proves("catalog.free-is-proved")
@given(
    free_class=st.sampled_from([*FreeClass]) | st.text(max_size=20),
    active=st.booleans(),
    free_now=st.sampled_from([True, False, None]),
    status=st.sampled_from(["active", "deprecated", "closed-to-new", "retired-for-free"]),
    price=st.sampled_from([Decimal(0), Decimal("0.15"), None]),
    as_of=st.none() | st.dates(date(2025, 1, 1), DAY).map(date.isoformat),
)
def test_the_guard_passes_exactly_the_allow_list(
    free_class: str,
    active: bool,
    free_now: bool | None,
    status: str,
    price: Decimal | None,
    as_of: str | None,
) -> None:
    host = Provider(
        id="h",
        name="{H}",
        kind=ProviderKind.HOSTED,
        dialects=(),
        free_class=free_class,
        active=active,
    )
    terms = free_terms(
        host,
        free_now=free_now,
        snapshot_date=DAY,
        status=status,
        price=Price(input_usd_per_mtok=price, output_usd_per_mtok=price),
        as_of=as_of,
    )

    allowed = free_class in ALLOWED_CLASSES and active and free_now is True and status == "active"
    assert terms.may_auto_route == allowed
    assert terms.reason


@given(name=st.text(max_size=60))
def test_any_name_can_be_asked_for(name: str) -> None:
    catalog = load()
    found = catalog.find(name)

    assert found is None or name in found.id
    assert all(catalog.find(near) is not None for near in catalog.suggest(name))
