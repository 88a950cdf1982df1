from __future__ import annotations

import msgspec
import pytest

from ymera.core.errors import ConfigError
from ymera.core.model import Dialect, Endpoint, Provider, ProviderKind, Quirk
from ymera.core.route import ExclusionReason
from ymera.core.secret import Secret
from ymera.providers.hosts import (
    Host,
    ProviderKey,
    connect_host,
    provider_keys,
    resolve_host,
    why_not_callable,
)
from ymera.providers.transport import HttpTransport

ROW = Provider(
    id="groq",
    name="Groq",
    kind=ProviderKind.HOSTED,
    dialects=(Dialect.OPENAI_CHAT,),
    base_url="https://api.groq.com/openai/v1",
    key_env=("GROQ_API_KEY", "GROQ_KEY"),
)
CLOUD = msgspec.structs.replace(
    ROW,
    name="Cloud",
    base_url="https://api.example.com/accounts/{account_id}/ai/v1",
    extra_env=("CLOUD_ACCOUNT_ID",),
    auth_header="X-Key",
    auth_format="{key}",
)
ENV = {"GROQ_API_KEY": "gsk_1"}


def row(**fields: object) -> Provider:
    return msgspec.structs.replace(ROW, **fields)


def test_a_host_with_its_key_is_callable() -> None:
    host = resolve_host(ROW, {"GROQ_KEY": " gsk_2 "}, consent=False)

    assert isinstance(host, Host)
    assert host.key == ProviderKey(id="GROQ_KEY", secret=Secret("gsk_2"))
    (endpoint,) = host.endpoints
    assert endpoint.base_url == "https://api.groq.com/openai/v1"
    assert host.headers(endpoint) == {"authorization": "Bearer gsk_2"}


def test_the_preferred_variable_wins() -> None:
    host = resolve_host(ROW, {"GROQ_KEY": "b", "GROQ_API_KEY": "a"}, consent=False)

    assert isinstance(host, Host)
    assert host.key == ProviderKey(id="GROQ_API_KEY", secret=Secret("a"))


def test_placeholders_of_the_address_are_filled_from_the_environment() -> None:
    host = resolve_host(CLOUD, {**ENV, "CLOUD_ACCOUNT_ID": "abc123"}, consent=False)

    assert isinstance(host, Host)
    (endpoint,) = host.endpoints
    assert endpoint.base_url == "https://api.example.com/accounts/abc123/ai/v1"
    assert host.headers(endpoint) == {"x-key": "gsk_1"}


def test_a_keyless_host_is_called_without_a_key_after_consent() -> None:
    host = resolve_host(row(keyless=True), {}, consent=True)

    assert isinstance(host, Host)
    assert host.headers(host.endpoints[0]) == {}


def test_a_key_is_used_even_where_none_is_needed() -> None:
    host = resolve_host(row(keyless=True), ENV, consent=False)

    assert isinstance(host, Host)
    assert host.key == ProviderKey(id="GROQ_API_KEY", secret=Secret("gsk_1"))


def test_a_server_of_the_users_own_needs_no_consent() -> None:
    mine = row(kind=ProviderKind.LOCAL, keyless=True, key_env=())

    assert why_not_callable(mine, {}, consent=False) is None


@pytest.mark.proves("providers.why-not")
@pytest.mark.parametrize(
    ("provider", "environ", "reason", "named"),
    [
        (ROW, {}, ExclusionReason.NO_KEY, "GROQ_API_KEY or GROQ_KEY"),
        (ROW, {"GROQ_API_KEY": " "}, ExclusionReason.NO_KEY, "GROQ_API_KEY"),
        (ROW, {"GROQ_API_KEY": "a b"}, ExclusionReason.NOT_CALLABLE, "GROQ_API_KEY"),
        (row(key_env=()), {}, ExclusionReason.NOT_CALLABLE, "names no variable"),
        (row(keyless=True), {}, ExclusionReason.NO_CONSENT, "without a key"),
        (CLOUD, ENV, ExclusionReason.NOT_CALLABLE, "CLOUD_ACCOUNT_ID"),
        (
            CLOUD,
            {**ENV, "CLOUD_ACCOUNT_ID": "../evil"},
            ExclusionReason.NOT_CALLABLE,
            "CLOUD_ACCOUNT_ID",
        ),
        (
            row(dialects=(Dialect.OPENAI_RESPONSES,)),
            ENV,
            ExclusionReason.NOT_CALLABLE,
            "speaks openai-responses",
        ),
        (row(base_url=None), ENV, ExclusionReason.NOT_CALLABLE, "openai-chat"),
        (row(active=False), ENV, ExclusionReason.NOT_CALLABLE, "retired"),
    ],
)
def test_a_host_that_cannot_be_called_says_what_is_missing(
    provider: Provider, environ: dict[str, str], reason: ExclusionReason, named: str
) -> None:
    found = why_not_callable(provider, environ, consent=False)

    assert found is not None
    assert found[0] is reason
    assert named in found[1]


async def test_a_callable_host_becomes_a_provider() -> None:
    provider = connect_host(ROW, ENV, HttpTransport())

    assert provider.provider_id == "groq"


def test_connecting_an_uncallable_host_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="GROQ_API_KEY") as caught:
        connect_host(ROW, {}, HttpTransport())

    assert caught.value.hint


@pytest.mark.proves("providers.no-secrets")
def test_a_resolved_host_does_not_print_its_key() -> None:
    host = resolve_host(ROW, {"GROQ_API_KEY": "canary"}, consent=False)

    assert "canary" not in f"{host} {host!r}"


def ids(provider: Provider, environ: dict[str, str]) -> list[str]:
    return [key.id for key in provider_keys(provider, environ)]


@pytest.mark.proves("providers.several-keys")
def test_further_keys_stand_under_the_same_name_with_a_number() -> None:
    environ = {"GROQ_API_KEY": "a", "GROQ_API_KEY_2": "b", "GROQ_API_KEY_9": "c"}

    assert ids(ROW, environ) == ["GROQ_API_KEY", "GROQ_API_KEY_2", "GROQ_API_KEY_9"]
    assert ids(ROW, {"GROQ_API_KEY_10": "d", "GROQ_API_KEY_1": "e"}) == []


@pytest.mark.proves("providers.several-keys")
def test_one_key_under_two_names_is_one_key() -> None:
    environ = {"GROQ_API_KEY": "a", "GROQ_KEY": "other", "GROQ_API_KEY_2": "a", "GROQ_KEY_3": "b"}

    assert ids(ROW, environ) == ["GROQ_API_KEY", "GROQ_KEY_3"]


def test_a_key_with_impossible_characters_is_not_used_beside_good_ones() -> None:
    assert ids(ROW, {"GROQ_API_KEY": "a b", "GROQ_API_KEY_2": "c"}) == ["GROQ_API_KEY_2"]


@pytest.mark.proves("providers.several-keys")
def test_a_host_is_called_with_the_key_that_is_named() -> None:
    environ = {"GROQ_API_KEY": "a", "GROQ_API_KEY_2": "b"}

    host = resolve_host(ROW, environ, consent=False, key_id="GROQ_API_KEY_2")

    assert isinstance(host, Host)
    assert host.headers(host.endpoints[0]) == {"authorization": "Bearer b"}
    missing = resolve_host(ROW, environ, consent=False, key_id="GROQ_API_KEY_3")
    assert missing == (ExclusionReason.NO_KEY, "No key for Groq is set under GROQ_API_KEY_3.")


def test_the_second_key_goes_with_the_second_account() -> None:
    environ = {
        "GROQ_API_KEY": "a",
        "GROQ_API_KEY_2": "b",
        "GROQ_API_KEY_3": "c",
        "CLOUD_ACCOUNT_ID": "one",
        "CLOUD_ACCOUNT_ID_2": "two",
    }
    urls = []
    for key in provider_keys(CLOUD, environ):
        host = resolve_host(CLOUD, environ, consent=False, key_id=key.id)
        assert isinstance(host, Host)
        urls.append(host.endpoints[0].base_url.split("/")[4])

    assert urls == ["one", "two", "one"]


@pytest.mark.proves("providers.never-a-key")
def test_a_host_that_is_free_without_a_key_is_never_sent_one() -> None:
    free = row(keyless=True, flags=frozenset({Quirk.NO_KEY}))

    host = resolve_host(free, ENV, consent=True)

    assert isinstance(host, Host)
    assert (host.key, host.headers(host.endpoints[0])) == (None, {})
    assert provider_keys(free, ENV) == ()
    assert resolve_host(free, ENV, consent=False) == why_not_callable(free, {}, consent=False)


BOTH = row(
    dialects=(Dialect.OLLAMA, Dialect.OPENAI_CHAT),
    kind=ProviderKind.LOCAL,
    keyless=True,
    key_env=(),
    base_url="http://127.0.0.1:11434/v1",
    address_env="OLLAMA_HOST",
    endpoints=(
        Endpoint(
            dialect=Dialect.OPENAI_CHAT,
            base_url="http://127.0.0.1:11434/v1",
            headers={"X-Version": "7"},
        ),
    ),
)


def test_an_endpoint_brings_the_headers_it_demands() -> None:
    host = resolve_host(BOTH, {}, consent=False)

    assert isinstance(host, Host)
    assert host.headers(host.endpoints[0]) == {"x-version": "7"}


@pytest.mark.proves("providers.address-variable")
@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434/v1"),
        ("box", "http://box:11434/v1"),
        ("box:9", "http://box:9/v1"),
        (":9", "http://127.0.0.1:9/v1"),
        ("0.0.0.0:9", "http://127.0.0.1:9/v1"),
        ("[::]:9", "http://[::1]:9/v1"),
        ("[fe80::1]", "http://[fe80::1]:11434/v1"),
        ("http://box", "http://box/v1"),
        ("https://box:9/ollama/", "https://box:9/ollama/v1"),
        ("box:port", "http://127.0.0.1:11434/v1"),
        ("http://user:pw@box", "http://127.0.0.1:11434/v1"),
        ("file:///etc/passwd", "http://127.0.0.1:11434/v1"),
        ("bad host", "http://127.0.0.1:11434/v1"),
    ],
)
def test_a_variable_may_hold_the_address(value: str, url: str) -> None:
    host = resolve_host(BOTH, {"OLLAMA_HOST": value}, consent=False)

    assert isinstance(host, Host)
    assert host.endpoints[0].base_url == url
