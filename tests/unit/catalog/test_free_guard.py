"""Default deny: what may be asked at cost 0, and the reason given."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.unit.catalog.conftest import SNAPSHOT_DAY, provider
from ymera.catalog.decode import decode_snapshot
from ymera.catalog.free import ALLOWED_CLASSES, FreeClass, free_terms, is_stale
from ymera.catalog.load import build
from ymera.core.model import FreeTerms, Limits
from ymera.core.usage import Price

ZERO = Price(input_usd_per_mtok=Decimal(0), output_usd_per_mtok=Decimal(0))


@pytest.mark.proves("catalog.free-is-proved")
def test_a_paid_model_planted_with_price_0_is_not_routed_to() -> None:
    planted = b"""{"schema_version": 1, "generated": "2026-11-22",
        "providers": [{"id": "shop", "name": "Shop", "kind": "hosted", "wire": ["openai-chat"],
                       "free_class": "recurring"}],
        "models": [{"provider": "shop", "id": "bait", "free": {"free_now": false},
                    "price": {"input_usd_per_mtok": 0, "output_usd_per_mtok": 0}},
                   {"provider": "shop", "id": "silent",
                    "price": {"input_usd_per_mtok": 0, "output_usd_per_mtok": 0}}]}"""
    bait, silent = build({"planted.json": decode_snapshot("planted.json", planted)}).models

    assert not bait.free.may_auto_route
    assert bait.free.reason == "Shop charges for this model (its listed price of 0 is no proof)."
    assert not silent.free.may_auto_route
    assert "not settled" in silent.free.reason


@pytest.mark.proves("catalog.free-is-proved")
@pytest.mark.parametrize("free_class", [*FreeClass, "generous", ""])
def test_only_classes_of_the_allow_list_pass(free_class: str) -> None:
    terms = free_terms(
        provider(free_class=free_class), free_now=True, snapshot_date=SNAPSHOT_DAY, price=ZERO
    )

    assert terms.may_auto_route == (free_class in ALLOWED_CLASSES)
    assert terms.reason.endswith(".")


def test_the_allow_list_is_exactly_this() -> None:
    assert {
        "recurring", "free-models", "anonymous", "trial-recurring", "local", "user",
    } == ALLOWED_CLASSES  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "free_now", "status", "reason"),
    [
        ({"active": False}, True, "active", "Host is closed or restricted."),
        ({}, True, "closed-to-new", "Host lists this model as closed-to-new."),
        ({}, False, "active", "Host charges for this model."),
        (
            {},
            None,
            "active",
            "It is not settled whether Host still serves this model free of charge.",
        ),
        (
            {"free_class": "one-time-credit"},
            True,
            "active",
            "Host gives a credit once and bills whatever goes beyond it.",
        ),
        (
            {"free_class": "odd"},
            True,
            "active",
            "Host has free terms of an unknown class, 'odd'.",
        ),
    ],
)
def test_each_denial_says_why(
    changes: dict[str, object], free_now: bool | None, status: str, reason: str
) -> None:
    terms = free_terms(
        provider(**changes), free_now=free_now, snapshot_date=SNAPSHOT_DAY, status=status
    )

    assert terms == FreeTerms(free_now=free_now, may_auto_route=False, reason=reason)


def test_recent_terms_pass_with_their_date_and_limits() -> None:
    limits = Limits(rpm=30)
    terms = free_terms(
        provider(),
        free_now=True,
        snapshot_date=SNAPSHOT_DAY,
        limits=limits,
        as_of="2026-10-10",
    )

    assert terms == FreeTerms(
        free_now=True,
        may_auto_route=True,
        reason="Host renews its free tier by itself (seen 2026-10-10).",
        limits=limits,
        as_of="2026-10-10",
    )


@pytest.mark.parametrize(
    ("as_of", "seen"), [("2026-08-29", "seen 2026-08-29"), (None, "date not known")]
)
def test_old_and_undated_terms_pass_but_are_called_unverified(as_of: str | None, seen: str) -> None:
    terms = free_terms(provider(), free_now=True, snapshot_date=SNAPSHOT_DAY, as_of=as_of)

    assert terms.may_auto_route
    assert terms.reason == f"Host renews its free tier by itself (unverified: {seen})."


def test_own_hardware_and_own_word_do_not_grow_old() -> None:
    reasons = [
        free_terms(
            provider(free_class=free_class), free_now=True, snapshot_date=SNAPSHOT_DAY
        ).reason
        for free_class in ("local", "user")
    ]

    assert reasons == [
        "It runs on your own hardware.",
        "Your settings say that it costs nothing.",
    ]


def test_sixty_days_are_not_yet_stale() -> None:
    day = date(2026, 9, 23)
    assert not is_stale(day.isoformat(), day + timedelta(days=60))
    assert is_stale(day.isoformat(), day + timedelta(days=61))
