"""Finding models by name and by need; laying one's own over the snapshot."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tests.unit.catalog.conftest import SNAPSHOT_DAY, model, provider
from ymera.catalog.catalog import Catalog
from ymera.catalog.load import load
from ymera.catalog.query import is_private, select
from ymera.catalog.why import Fact, why
from ymera.core.errors import CatalogError, UnknownModel
from ymera.core.model import FreeTerms, ModelKind, ProviderKind


def test_a_model_is_found_by_its_id(three_hosts: Catalog) -> None:
    found = three_hosts.find("host/alpha")

    assert found is three_hosts.models[0]
    assert three_hosts.get("host/alpha") is found
    assert three_hosts.provider_of(found).id == "host"


def test_a_bare_name_is_enough_when_one_provider_serves_it(three_hosts: Catalog) -> None:
    assert three_hosts.get("beta:2b").id == "here/beta:2b"
    assert three_hosts.get("vendor/alpha").id == "shop/vendor/alpha"


def test_a_bare_name_that_two_providers_serve_is_refused_with_both(three_hosts: Catalog) -> None:
    assert three_hosts.find("alpha") is None
    with pytest.raises(UnknownModel, match="Several providers serve 'alpha'") as caught:
        three_hosts.get("alpha")
    assert caught.value.hint == "Did you mean host/alpha or shop/vendor/alpha?"


def test_an_unknown_name_is_refused_with_the_nearest_ids(three_hosts: Catalog) -> None:
    with pytest.raises(UnknownModel, match="No model is called 'HOST/alpa'") as caught:
        three_hosts.get("HOST/alpa")
    assert "host/alpha" in (caught.value.hint or "")

    with pytest.raises(UnknownModel) as far:
        three_hosts.get("zzzzzz")
    assert far.value.hint == "See `ymera models list`."


def test_a_slip_in_a_bare_name_suggests_the_full_id() -> None:
    assert load().suggest("smolm2") == ("local/smollm2-135m",)
    assert load().suggest("groq/gpt-oss-120b", limit=1) == ("groq/openai/gpt-oss-120b",)


@pytest.mark.proves("catalog.query")
@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({}, ["host/alpha", "shop/vendor/alpha", "here/beta:2b", "host/gamma-embed"]),
        ({"kind": ModelKind.EMBEDDING}, ["host/gamma-embed"]),
        ({"provider": "here"}, ["here/beta:2b"]),
        ({"provider_kind": ProviderKind.LOCAL}, ["here/beta:2b"]),
        ({"tools": True}, ["host/alpha"]),
        ({"vision": True}, ["host/alpha"]),
        ({"json_schema": True}, ["shop/vendor/alpha"]),
        ({"reasoning": True}, ["shop/vendor/alpha"]),
        ({"free_now": True}, ["host/alpha", "here/beta:2b", "host/gamma-embed"]),
        ({"auto_routable": True, "tools": True}, ["host/alpha"]),
        ({"min_context": 8_001}, ["shop/vendor/alpha"]),
        ({"max_usd_per_mtok": Decimal(3)}, ["shop/vendor/alpha"]),
        ({"max_usd_per_mtok": Decimal("2.99")}, []),
        ({"private": True}, ["shop/vendor/alpha", "here/beta:2b"]),
    ],
)
def test_models_are_found_by_what_they_can_do_cost_and_promise(
    three_hosts: Catalog, needs: dict[str, object], expected: list[str]
) -> None:
    found = select(three_hosts, **needs)  # type: ignore[arg-type]

    assert [each.id for each in found] == expected


def test_unknown_training_terms_count_as_may_train(three_hosts: Catalog) -> None:
    overlaid = three_hosts.with_overlay(
        [provider("host", trains_on_input=None)], [model("host/alpha", trains_on_input=None)]
    )

    assert not is_private(overlaid, overlaid.get("host/alpha"))


def test_own_hosts_and_models_are_added_and_the_snapshot_stays_as_it_was(
    three_hosts: Catalog,
) -> None:
    overlaid = three_hosts.with_overlay([provider("mine")], [model("mine/delta")])

    assert [each.id for each in overlaid.models][-1] == "mine/delta"
    assert len(three_hosts.models) == 4
    assert overlaid.generated == SNAPSHOT_DAY


def test_own_entries_win_by_id(three_hosts: Catalog) -> None:
    overlaid = three_hosts.with_overlay(models=[model("host/alpha", name="Mine")])

    assert overlaid.get("host/alpha").name == "Mine"
    assert len(overlaid.models) == len(three_hosts.models)


@pytest.mark.proves("catalog.free-is-proved")
def test_an_overlay_cannot_claim_to_be_routable_past_the_guard(three_hosts: Catalog) -> None:
    claims = FreeTerms(free_now=True, may_auto_route=True, reason="trust me")
    overlaid = three_hosts.with_overlay(models=[model("shop/bait", free=claims)])

    terms = overlaid.get("shop/bait").free
    assert (terms.may_auto_route, terms.reason) == (False, "Shop has no free tier.")


def test_a_user_may_vouch_for_a_host_of_their_own(three_hosts: Catalog) -> None:
    overlaid = three_hosts.with_overlay(
        [provider("mine", free_class="user", trains_on_input=False)], [model("mine/delta")]
    )

    delta = overlaid.get("mine/delta")
    assert delta.free.may_auto_route
    assert delta.trains_on_input is False


def test_changing_a_bundled_host_decides_again_for_its_models() -> None:
    catalog = load()
    closed = msgspec.structs.replace(catalog.providers["groq"], active=False)

    overlaid = catalog.with_overlay([closed])

    groq = select(overlaid, provider="groq")
    assert groq
    assert not any(each.free.may_auto_route for each in groq)
    assert select(overlaid, provider="google") == select(catalog, provider="google")
    assert "groq" not in overlaid.provider_entries
    assert overlaid.sources is catalog.sources


def test_a_setting_that_leaves_a_hosts_address_and_terms_alone_keeps_what_is_known_of_it() -> None:
    catalog = load()
    renamed = msgspec.structs.replace(catalog.providers["groq"], key_env=("MY_KEY",))
    moved = msgspec.structs.replace(renamed, base_url="https://proxy.example/v1", endpoints=())

    assert catalog.with_overlay([renamed]).provider_entries["groq"].free_limits.scope
    assert "groq" not in catalog.with_overlay([moved]).provider_entries


def test_why_says_that_an_own_model_comes_from_the_configuration(three_hosts: Catalog) -> None:
    facts = why(three_hosts, "host/alpha")

    assert (
        Fact(
            field="tools",
            value="yes",
            source="configuration",
            title="Your configuration",
            layer="settings",
        )
        in facts
    )


def test_why_survives_a_bundled_model_whose_host_was_changed() -> None:
    catalog = load()
    overlaid = catalog.with_overlay([msgspec.structs.replace(catalog.providers["groq"])])

    assert "price" in {fact.field for fact in why(overlaid, "groq/openai/gpt-oss-120b")}


def test_an_id_twice_or_a_model_without_its_provider_is_an_error(three_hosts: Catalog) -> None:
    with pytest.raises(CatalogError, match="model 'host/x' is defined twice"):
        three_hosts.with_overlay(models=[model("host/x"), model("host/x")])
    with pytest.raises(CatalogError, match="provider 'mine' is defined twice"):
        three_hosts.with_overlay([provider("mine"), provider("mine")])
    with pytest.raises(CatalogError, match="unknown provider, 'nowhere'"):
        three_hosts.with_overlay(models=[model("nowhere/x")])
