"""Quirks in the bundled rows: with reasons and sources, and as the curated corrections say."""

from __future__ import annotations

import pytest

from scripts.build_catalog import corrections
from tests.unit.catalog.test_build_catalog_script import HOST, MODEL, run, snapshots
from ymera.catalog.catalog import Catalog
from ymera.catalog.check import check
from ymera.catalog.load import build, load
from ymera.catalog.why import evidence_of, why
from ymera.core.model import Dialect, ModelKind, Quirk
from ymera.providers.hosts import Host, provider_keys, resolve_host
from ymera.wire.dialects import UPSTREAM_DIALECTS
from ymera.wire.embedding import EMBEDDING_DIALECTS


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load()


@pytest.mark.proves("providers.flags")
def test_every_flag_gives_a_reason_and_sources_that_are_known(catalog: Catalog) -> None:
    by_row = {
        **{key: row.flags for key, row in catalog.provider_entries.items()},
        **{key: row.flags for key, row in catalog.model_entries.items()},
    }
    flags = [(key, quirk, flag) for key, of in by_row.items() for quirk, flag in of.items()]

    assert len(flags) >= 15
    for row_id, quirk, flag in flags:
        assert flag.reason.endswith("."), (row_id, quirk)
        assert set(flag.src) <= catalog.sources.keys(), (row_id, quirk)


@pytest.mark.proves("providers.flags")
def test_the_bundled_rows_are_as_the_corrections_say(catalog: Catalog) -> None:
    better = corrections()

    for provider_id, host in better.providers.items():
        row = catalog.provider_entries[provider_id]
        assert row.flags == host.flags, provider_id
        assert row.address_env == host.address_env
        assert set(host.quirks) <= set(row.quirks)
        assert host.base_url in {None, row.base_url}
        assert host.free_limits in {None, row.free_limits}
        assert host.free_confidence in {None, row.free_confidence}
        assert set(row.free_limits.src) <= catalog.sources.keys()
        if host.headers is not None:
            assert (row.native_auth or row.auth).extra == host.headers
    named = {f"{g.provider}/{model}" for g in better.models if g.flags for model in g.ids}
    flagged = {key for key, row in catalog.model_entries.items() if row.flags}
    assert named == flagged
    for key in named:
        row_of = catalog.model_entries[key]
        assert row_of.flags == better.flags_of(row_of.provider, row_of.id)
    for group in better.models:
        for model in group.ids:
            said = evidence_of(catalog.model_entries[f"{group.provider}/{model}"])
            assert group.free_note in {None, said.free_note}
            assert set(group.free_src) <= {*said.free_src} & catalog.sources.keys()
    others = catalog.provider_entries.keys() - better.providers.keys()
    assert all(not catalog.provider_entries[key].flags for key in others)


@pytest.mark.proves("providers.flags")
def test_why_tells_each_flag_of_model_and_host_with_its_source(catalog: Catalog) -> None:
    facts = {fact.field: fact for fact in why(catalog, "google/gemma-4-31b-it")}

    assert facts["flag.think-tags"].source == "flexrouter"
    assert "reasoning" in facts["flag.think-tags"].value
    assert "503" in facts["flag.counts-failed"].value


def test_the_check_finds_a_flag_of_an_unknown_source(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("table")
    host = HOST | {"id": "google"}
    model = MODEL | {"provider": "google", "id": "gemini-3.6-flash"}
    problems = check(build(snapshots(run(folder, [host], [model]))))

    unknown = [each for each in problems if "unknown source" in each.message]
    assert {each.subject for each in unknown} == {"google", "google/gemini-3.6-flash"}


def test_flags_of_rows_reach_what_asks_them(catalog: Catalog) -> None:
    assert Quirk.NEEDS_MAX_TOKENS in catalog.providers["cloudflare"].flags
    assert catalog.get("google/gemma-4-31b-it").flags == {Quirk.THINK_TAGS}
    assert catalog.get("google/gemini-3.8-flash").flags == frozenset()


def test_a_header_of_a_dialect_is_one_value(catalog: Catalog) -> None:
    headers = [
        value
        for provider in catalog.providers.values()
        for endpoint in provider.endpoints
        for value in endpoint.headers.values()
    ]

    assert "2026-10-21" in headers
    assert all(" " not in value for value in headers)


@pytest.mark.proves("providers.never-a-key")
@pytest.mark.parametrize("provider_id", ["ovhcloud", "pollinations"])
def test_a_host_that_would_bill_for_a_key_gets_none(catalog: Catalog, provider_id: str) -> None:
    provider = catalog.providers[provider_id]
    environ = dict.fromkeys(provider.key_env, "sk-1")

    host = resolve_host(provider, environ, consent=True)

    assert isinstance(host, Host)
    assert all("authorization" not in host.headers(each) for each in host.endpoints)
    assert environ
    assert provider_keys(provider, environ) == ()


@pytest.mark.proves("providers.address-variable")
def test_ollamas_own_variable_moves_all_of_its_dialects(catalog: Catalog) -> None:
    host = resolve_host(catalog.providers["ollama"], {"OLLAMA_HOST": "box:9"}, consent=False)

    assert isinstance(host, Host)
    found = {endpoint.dialect: endpoint.base_url for endpoint in host.endpoints}
    assert found[Dialect.OLLAMA] == "http://box:9"
    assert found[Dialect.OPENAI_CHAT] == "http://box:9/v1"


def test_every_active_host_can_be_called_once_it_has_what_it_needs(catalog: Catalog) -> None:
    active = [
        each for each in catalog.providers.values() if each.active and each.kind != "embedded"
    ]

    assert len(active) >= 30
    for provider in active:
        environ = dict.fromkeys((*provider.key_env, *provider.extra_env), "value")
        host = resolve_host(provider, environ, consent=True)
        assert isinstance(host, Host), host
        assert {each.dialect for each in host.endpoints} <= UPSTREAM_DIALECTS
        assert all("{" not in each.base_url for each in host.endpoints)


@pytest.mark.proves("embeddings.same-model")
def test_every_embedding_model_is_at_a_host_that_can_be_asked_for_vectors(catalog: Catalog) -> None:
    models = [model for model in catalog.models if model.kind is ModelKind.EMBEDDING]

    assert len(models) >= 15
    for model in models:
        spoken = {endpoint.dialect for endpoint in catalog.provider_of(model).endpoints}
        assert spoken & EMBEDDING_DIALECTS, model.id


def test_corrections_reach_the_rows_they_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("table")
    host = HOST | {"id": "openai"}
    model = MODEL | {"provider": "openai", "id": "gpt-6-sol"}
    other = MODEL | {"provider": "openai", "id": "other"}

    built = build(snapshots(run(folder, [host], [model, other])))

    assert Quirk.NO_SAMPLING in built.get("openai/gpt-6-sol").flags
    assert built.get("openai/other").flags == frozenset()
