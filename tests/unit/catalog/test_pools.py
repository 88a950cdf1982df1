"""Pools and documented limits of the catalogue's rows."""

from __future__ import annotations

import msgspec
import pytest

from ymera.catalog.load import load
from ymera.catalog.pools import OwnerKind, Pools, owner_kind
from ymera.core.model import Model, ProviderKind
from ymera.core.quota import Limit, PoolKey, QuotaMetric, QuotaWindow

CATALOG = load()
NOT_PUBLISHED = {
    "google/gemini-embedding-2",
    "google/gemini-flash-latest",
    "google/gemini-flash-lite-latest",
    "siliconflow/Qwen/Qwen3-8B",
    "zai/glm-4.5-flash",
    "zai/glm-4.6v-flash",
}
"""Models that are free now, of which no vendor publishes any number."""


def free_models() -> list[Model]:
    counted = {ProviderKind.HOSTED, ProviderKind.AGGREGATOR}
    return [
        model
        for model in CATALOG.models
        if model.free.may_auto_route and CATALOG.provider_of(model).kind in counted
    ]


def limits(pool: PoolKey, pools: Pools | None = None) -> dict[str, int | None]:
    found: tuple[Limit, ...] = (pools or Pools(CATALOG)).limits(pool)
    return {f"{each.metric} a {each.window}": each.amount for each in found}


def pools_of(model_id: str, key_id: str | None = None) -> tuple[PoolKey, ...]:
    return Pools(CATALOG).of(CATALOG.get(model_id), key_id)


@pytest.mark.proves("quota.catalogue")
def test_every_free_hosted_model_has_pools_and_limits_or_is_listed_as_not_published() -> None:
    pools = Pools(CATALOG)
    unpublished = set()
    for model in free_models():
        keys = pools.of(model, "KEY")
        assert keys, model.id
        found = [each for key in keys for each in pools.limits(key)]
        if not any(each.amount is not None for each in found):
            unpublished.add(model.id)
        for each in found:
            assert each.amount is None or each.amount > 0, model.id
            assert 0 <= each.confidence <= 1
    assert unpublished == NOT_PUBLISHED


def test_every_row_with_numbers_gives_limits_with_just_these_numbers() -> None:
    pools = Pools(CATALOG)
    for entry in CATALOG.provider_entries.values():
        row = entry.free_limits
        numbers = {
            value
            for value in (row.rpm, row.rpd, row.tpm, row.tpd, row.monthly_requests)
            if value is not None
        }
        models = [m for m in free_models() if m.provider == entry.id]
        if numbers and models and not row.per_model:
            shared = pools.limits(PoolKey(entry.id))
            assert numbers <= {each.amount for each in shared}, entry.id


def test_all_free_models_of_an_account_with_one_allowance_are_one_pool() -> None:
    free = [model for model in free_models() if model.provider == "openrouter"]
    assert len(free) > 10
    assert {pools_of(model.id) for model in free} == {(PoolKey("openrouter"),)}
    assert limits(PoolKey("openrouter")) == {"requests a minute": 20, "requests a day": 50}


def test_a_vendor_that_counts_by_model_gives_each_its_own_pool() -> None:
    (pool,) = pools_of("groq/openai/gpt-oss-120b")
    assert pool == PoolKey("groq", "account", "groq/openai/gpt-oss-120b")
    assert limits(pool) == {
        "requests a minute": 30,
        "requests a day": 1_000,
        "tokens a minute": 8_000,
        "tokens a day": 200_000,
    }
    assert limits(pools_of("groq/groq/compound")[0])["requests a day"] == 250


def test_a_call_may_count_for_its_model_and_for_the_account() -> None:
    pools = pools_of("modelscope/Qwen/Qwen3.5-27B")
    assert [limits(pool) for pool in pools] == [{"requests a day": 200}, {"requests a day": 125}]
    pools = pools_of("cohere/command-a-03-2025")
    assert [limits(pool) for pool in pools] == [
        {"requests a minute": 20},
        {"requests a month": 1_000},
    ]


def test_a_number_that_a_model_row_repeats_is_the_accounts_not_its_own() -> None:
    assert pools_of("nvidia/openai/gpt-oss-20b") == (PoolKey("nvidia"),)


@pytest.mark.parametrize(
    ("model_id", "window", "zone"),
    [
        ("google/gemini-3.8-flash", QuotaWindow.DAY, "America/Los_Angeles"),
        ("google/gemini-3.8-flash", QuotaWindow.MINUTE, None),
        ("openrouter/openrouter/free", QuotaWindow.DAY, "UTC"),
        ("groq/openai/gpt-oss-20b", QuotaWindow.DAY, None),
        ("cohere/command-a-03-2025", QuotaWindow.MONTH, "UTC"),
    ],
)
def test_a_window_begins_where_the_vendor_says_else_it_rolls(
    model_id: str, window: QuotaWindow, zone: str | None
) -> None:
    found = [
        each
        for pool in pools_of(model_id)
        for each in Pools(CATALOG).limits(pool)
        if each.window is window
    ]
    assert {each.zone for each in found} == {zone}


def test_what_rows_say_in_words_is_read() -> None:
    cloudflare = limits(PoolKey("cloudflare"))
    assert cloudflare == {"requests a minute": 300, "units a day": 10_000}
    assert limits(PoolKey("kilo", "ip")) == {"requests a hour": 200}
    assert limits(PoolKey("ollama-cloud")) == {
        "concurrent a instant": 1,
        "requests a session": None,
        "requests a week": None,
    }
    credit = Pools(CATALOG).limits(PoolKey("huggingface"))
    assert [(each.metric, each.amount) for each in credit] == [(QuotaMetric.USD, 100_000)]


@pytest.mark.proves("quota.keys-share")
def test_keys_of_one_account_share_its_pool_unless_they_are_said_to_be_apart() -> None:
    model = CATALOG.get("groq/openai/gpt-oss-20b")
    together, apart = Pools(CATALOG), Pools(CATALOG, apart=["groq"])
    assert together.of(model, "GROQ_API_KEY") == together.of(model, "GROQ_API_KEY_2")
    assert apart.of(model, "GROQ_API_KEY") != apart.of(model, "GROQ_API_KEY_2")
    assert apart.limits(apart.of(model, "GROQ_API_KEY_2")[0]) == together.limits(
        together.of(model)[0]
    )


def test_an_allowance_of_an_address_is_one_whatever_the_keys() -> None:
    assert {pool.owner for pool in pools_of("ovhcloud/Qwen3.8-27B", "KEY")} == {"ip"}
    assert pools_of("llm7/fast")[0].owner == "ip"
    assert pools_of("llm7/fast", "KEY")[0].owner == "KEY"


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        ("organisation", OwnerKind.ACCOUNT),
        ("trial key, account-wide month cap", OwnerKind.ACCOUNT),
        ("key", OwnerKind.KEY),
        ("key or IP", OwnerKind.KEY_OR_IP),
        ("IP address (keyless)", OwnerKind.IP),
        (None, OwnerKind.ACCOUNT),
    ],
)
def test_the_owner_is_read_from_the_words_of_the_scope(scope: str | None, kind: OwnerKind) -> None:
    assert owner_kind(scope) is kind


def test_ones_own_machine_counts_nothing() -> None:
    assert pools_of("ollama/qwen3:8b") == ()


def test_a_paid_model_is_not_under_the_limits_of_the_free_tier() -> None:
    paid = next(m for m in CATALOG.models if m.provider == "groq" and not m.free.may_auto_route)
    (pool,) = pools_of(paid.id)
    assert pool == PoolKey("groq", "account", paid.id)
    assert limits(pool) == {}


def test_rows_that_settings_laid_over_keep_their_limits() -> None:
    moved = msgspec.structs.replace(
        CATALOG.providers["groq"], base_url="https://proxy.example/v1", endpoints=()
    )
    changed = CATALOG.with_overlay([moved])
    pool = PoolKey("groq", "account", "groq/whisper-large-v3")
    assert changed.provider_entries.get("groq") is None
    kept = Pools(changed, entries=CATALOG.provider_entries)
    assert kept.limits(pool) == Pools(CATALOG).limits(pool) != ()
