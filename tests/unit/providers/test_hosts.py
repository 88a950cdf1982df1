from __future__ import annotations

import msgspec
import pytest

from ymera.core.errors import ConfigError
from ymera.core.model import Dialect, Provider, ProviderKind
from ymera.core.route import ExclusionReason
from ymera.core.secret import Secret
from ymera.providers.hosts import Host, connect_host, resolve_host, why_not_callable
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

    assert host == Host(
        provider_id="groq",
        base_url="https://api.groq.com/openai/v1",
        auth_header="Authorization",
        auth_format="Bearer {key}",
        key=Secret("gsk_2"),
    )
    assert isinstance(host, Host)
    assert host.headers() == {"authorization": "Bearer gsk_2"}


def test_the_preferred_variable_wins() -> None:
    host = resolve_host(ROW, {"GROQ_KEY": "b", "GROQ_API_KEY": "a"}, consent=False)

    assert isinstance(host, Host)
    assert host.key == Secret("a")


def test_placeholders_of_the_address_are_filled_from_the_environment() -> None:
    host = resolve_host(CLOUD, {**ENV, "CLOUD_ACCOUNT_ID": "abc123"}, consent=False)

    assert isinstance(host, Host)
    assert host.base_url == "https://api.example.com/accounts/abc123/ai/v1"
    assert host.headers() == {"x-key": "gsk_1"}


def test_a_keyless_host_is_called_without_a_key_after_consent() -> None:
    host = resolve_host(row(keyless=True), {}, consent=True)

    assert isinstance(host, Host)
    assert host.headers() == {}


def test_a_key_is_used_even_where_none_is_needed() -> None:
    host = resolve_host(row(keyless=True), ENV, consent=False)

    assert isinstance(host, Host)
    assert host.key == Secret("gsk_1")


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
        (row(dialects=(Dialect.GEMINI,)), ENV, ExclusionReason.NOT_CALLABLE, "speaks gemini"),
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
