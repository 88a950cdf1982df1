"""From a provider's row to something that can be called, or the reason why it cannot."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from ymera.core.errors import ConfigError
from ymera.core.model import Dialect, Provider, ProviderKind
from ymera.core.ports import Transport
from ymera.core.route import ExclusionReason
from ymera.core.secret import Secret
from ymera.providers.hosted import HostedProvider
from ymera.wire.dialects import upstream_dialect

__all__ = ["Host", "connect_host", "resolve_host", "why_not_callable"]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_KEY_CHARS = re.compile(r"[\x21-\x7e]+")


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with which credential one provider is called.

    Attributes:
        provider_id: catalogue id.
        base_url: of the OpenAI chat dialect, placeholders filled.
        auth_header, auth_format: how the key is sent.
        key: None for a host that is called without one.
    """

    provider_id: str
    base_url: str
    auth_header: str
    auth_format: str
    key: Secret | None

    def headers(self) -> dict[str, str]:
        """Return the headers to send, the key among them."""
        if self.key is None:
            return {}
        return {self.auth_header.lower(): self.auth_format.format(key=self.key.reveal())}


def resolve_host(
    provider: Provider, environ: Mapping[str, str], *, consent: bool
) -> Host | tuple[ExclusionReason, str]:
    """Return how `provider` is called, or why it cannot be and what would change that.

    Args:
        provider: the catalogue row.
        environ: where keys and account ids are looked up; read at each call, so that a key set
            later takes effect.
        consent: whether the user agreed to call this host without a key. A server on the user's
            own machine needs no consent.
    """
    if not provider.active:
        return _not_callable(f"{provider.name} is retired or restricted.")
    if Dialect.OPENAI_CHAT not in provider.dialects or not provider.base_url:
        spoken = ", ".join(provider.dialects) or "no known dialect"
        return _not_callable(f"{provider.name} speaks {spoken}, which this version cannot.")
    base_url = _fill(provider.base_url, provider.extra_env, environ)
    if missing := _PLACEHOLDER.findall(base_url):
        wanted = ", ".join(_variable_for(name, provider.extra_env) for name in missing)
        return _not_callable(f"{provider.name} needs {wanted} in the environment.")
    found = next((name for name in provider.key_env if environ.get(name, "").strip()), None)
    if found is not None:
        key = environ[found].strip()
        if not _KEY_CHARS.fullmatch(key):
            return _not_callable(f"{found} holds characters that no key has.")
    elif problem := _without_key(provider, consent=consent):
        return problem
    return Host(
        provider_id=provider.id,
        base_url=base_url,
        auth_header=provider.auth_header,
        auth_format=provider.auth_format,
        key=None if found is None else Secret(environ[found].strip()),
    )


def why_not_callable(
    provider: Provider, environ: Mapping[str, str], *, consent: bool
) -> tuple[ExclusionReason, str] | None:
    """Return why `provider` cannot be called now, None when it can; see `resolve_host`."""
    host = resolve_host(provider, environ, consent=consent)
    return None if isinstance(host, Host) else host


def connect_host(
    provider: Provider, environ: Mapping[str, str], transport: Transport
) -> HostedProvider:
    """Return the client of `provider`, which is known to be callable.

    Raises:
        ConfigError: it is not, which `why_not_callable` would have said (consent apart).
    """
    host = resolve_host(provider, environ, consent=True)
    if not isinstance(host, Host):
        raise ConfigError(host[1], hint="`ymera models list --all` says what each host needs.")
    return HostedProvider(
        host.provider_id,
        upstream_dialect(Dialect.OPENAI_CHAT),
        host.base_url,
        host.headers(),
        transport,
        flags=provider.flags,
    )


def _without_key(provider: Provider, *, consent: bool) -> tuple[ExclusionReason, str] | None:
    if provider.keyless:
        if consent or provider.kind is ProviderKind.LOCAL:
            return None
        return (
            ExclusionReason.NO_CONSENT,
            f"{provider.name} can be used without a key once you agree to its terms.",
        )
    if not provider.key_env:
        return _not_callable(f"{provider.name} names no variable that would hold its key.")
    return (
        ExclusionReason.NO_KEY,
        f"No key for {provider.name}: set {' or '.join(provider.key_env)}.",
    )


def _not_callable(detail: str) -> tuple[ExclusionReason, str]:
    return ExclusionReason.NOT_CALLABLE, detail


def _fill(base_url: str, extra_env: tuple[str, ...], environ: Mapping[str, str]) -> str:
    """Fill `{account_id}` from the extra variable whose name ends in ACCOUNT_ID, and so on."""

    def value(found: re.Match[str]) -> str:
        filled = environ.get(_variable_for(found[1], extra_env), "").strip()
        return filled if re.fullmatch(r"[\w.~-]+", filled) else found[0]

    return _PLACEHOLDER.sub(value, base_url)


def _variable_for(placeholder: str, extra_env: tuple[str, ...]) -> str:
    name = placeholder.upper()
    return next((variable for variable in extra_env if variable.endswith(name)), name)
