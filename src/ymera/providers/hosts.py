"""From a provider's row to something that can be called, or the reason why it cannot.

Addresses and keys come from rows, settings and the environment alone; nothing of a request is ever
looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

import msgspec

from ymera.core.errors import ConfigError
from ymera.core.model import Dialect, Endpoint, Provider, ProviderKind, Quirk
from ymera.core.ports import Transport
from ymera.core.route import ExclusionReason
from ymera.core.secret import Secret
from ymera.providers.hosted import HostAddress, HostedProvider
from ymera.wire.dialects import UPSTREAM_DIALECTS, upstream_dialect

__all__ = [
    "Host",
    "ProviderKey",
    "calls_loopback_port",
    "connect_host",
    "key_variables",
    "provider_keys",
    "resolve_host",
    "why_not_callable",
]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_KEY_CHARS = re.compile(r"[\x21-\x7e]+")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_FURTHER = tuple(f"_{number}" for number in range(2, 10))
"""What the names of further keys end in: `NAME_2` to `NAME_9`."""
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - replaced, not bound
"""What a server is told to listen on is nothing to call."""


class ProviderKey(msgspec.Struct, frozen=True, kw_only=True):
    """One credential; `id` is the name of the variable it was found under."""

    id: str
    secret: Secret


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with which credential one provider is called.

    Attributes:
        provider_id: catalogue id.
        endpoints: one per dialect, preferred first, placeholders filled.
        key: None for a host that is called without one.
    """

    provider_id: str
    endpoints: tuple[Endpoint, ...]
    key: ProviderKey | None

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        """Return the headers one of the endpoints is sent, the key among them."""
        headers = {name.lower(): value for name, value in endpoint.headers.items()}
        if self.key is not None:
            sent = endpoint.auth_format.format(key=self.key.secret.reveal())
            headers[endpoint.auth_header.lower()] = sent
        return headers


def key_variables(provider: Provider) -> tuple[str, ...]:
    """Return the variables that may hold a key: each name, then each with `_2` to `_9`."""
    if Quirk.NO_KEY in provider.flags:
        return ()
    further = (name + suffix for suffix in _FURTHER for name in provider.key_env)
    return (*provider.key_env, *further)


def provider_keys(provider: Provider, environ: Mapping[str, str]) -> tuple[ProviderKey, ...]:
    """Return the keys that are set for `provider`, the first one first, none of them twice.

    The names of a row are names for one key: of them the preferred one counts. Further keys stand
    under the same names with `_2` to `_9`. What holds characters that no key has is left out.
    """
    keys: dict[str, ProviderKey] = {}
    for suffix in ("", *_FURTHER):
        for name in key_variables(provider)[: len(provider.key_env)]:
            value = environ.get(name + suffix, "").strip()
            if value:
                if _KEY_CHARS.fullmatch(value):
                    keys.setdefault(value, ProviderKey(id=name + suffix, secret=Secret(value)))
                break
    return tuple(keys.values())


def resolve_host(
    provider: Provider, environ: Mapping[str, str], *, consent: bool, key_id: str | None = None
) -> Host | tuple[ExclusionReason, str]:
    """Return how `provider` is called, or why it cannot be and what would change that.

    Args:
        provider: the catalogue row.
        environ: where keys and account ids are looked up; read at each call, so that a key set
            later takes effect.
        consent: whether the user agreed to call this host without a key. A server on the user's
            own machine needs no consent.
        key_id: which of the `provider_keys`; None for the first.
    """
    if not provider.active:
        return _not_callable(f"{provider.name} is retired or restricted.")
    spoken = _endpoints(provider)
    if not spoken:
        words = ", ".join(provider.dialects) or "no known dialect"
        return _not_callable(f"{provider.name} speaks {words}, which this version cannot.")
    keys = provider_keys(provider, environ)
    key = next((each for each in keys if key_id in {None, each.id}), None)
    if key is None and key_id is not None:
        return ExclusionReason.NO_KEY, f"No key for {provider.name} is set under {key_id}."
    filled = [_filled(endpoint, provider, environ, key) for endpoint in spoken]
    usable = tuple(each for each in filled if not _PLACEHOLDER.search(each.base_url))
    if not usable:
        missing = _PLACEHOLDER.findall(filled[0].base_url)
        wanted = ", ".join(_variable_for(name, provider.extra_env) for name in missing)
        return _not_callable(f"{provider.name} needs {wanted} in the environment.")
    if key is None and (problem := _without_key(provider, environ, consent=consent)):
        return problem
    return Host(provider_id=provider.id, endpoints=usable, key=key)


def why_not_callable(
    provider: Provider, environ: Mapping[str, str], *, consent: bool
) -> tuple[ExclusionReason, str] | None:
    """Return why `provider` cannot be called now, None when it can; see `resolve_host`."""
    host = resolve_host(provider, environ, consent=consent)
    return None if isinstance(host, Host) else host


def calls_loopback_port(provider: Provider, environ: Mapping[str, str], port: int) -> bool:
    """Return whether `provider` would be called at this port of the machine itself.

    The usual port of some servers, such as llama.cpp's, is Ymera's own, too.
    """
    host = resolve_host(provider, environ, consent=True)
    if not isinstance(host, Host):
        return False
    urls = [urlsplit(endpoint.base_url) for endpoint in host.endpoints]
    return any(url.port == port and (url.hostname or "") in _LOOPBACK for url in urls)


def connect_host(
    provider: Provider,
    environ: Mapping[str, str],
    transport: Transport,
    key_id: str | None = None,
) -> HostedProvider:
    """Return the client of `provider`, which is known to be callable.

    Args:
        provider: the catalogue row.
        environ: where keys and account ids are looked up.
        transport: carries the bytes.
        key_id: which of the `provider_keys`; None for the first.

    Raises:
        ConfigError: it is not, which `why_not_callable` would have said (consent apart).
    """
    host = resolve_host(provider, environ, consent=True, key_id=key_id)
    if not isinstance(host, Host):
        raise ConfigError(host[1], hint="`ymera models list --all` says what each host needs.")
    first, *others = (
        HostAddress(upstream_dialect(endpoint.dialect), endpoint.base_url, host.headers(endpoint))
        for endpoint in host.endpoints
    )
    return HostedProvider(
        host.provider_id,
        first.dialect,
        first.base_url,
        first.headers,
        transport,
        also=others,
        flags=provider.flags,
    )


def _endpoints(provider: Provider) -> tuple[Endpoint, ...]:
    """Return what can be asked; a row without endpoints of its own speaks the OpenAI dialect."""
    if provider.endpoints:
        return tuple(each for each in provider.endpoints if each.dialect in UPSTREAM_DIALECTS)
    if Dialect.OPENAI_CHAT not in provider.dialects or not provider.base_url:
        return ()
    return (
        Endpoint(
            dialect=Dialect.OPENAI_CHAT,
            base_url=provider.base_url,
            auth_header=provider.auth_header,
            auth_format=provider.auth_format,
        ),
    )


def _without_key(
    provider: Provider, environ: Mapping[str, str], *, consent: bool
) -> tuple[ExclusionReason, str] | None:
    spoilt = next((name for name in key_variables(provider) if environ.get(name, "").strip()), None)
    if spoilt is not None:
        return _not_callable(f"{spoilt} holds characters that no key has.")
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


def _filled(
    endpoint: Endpoint, provider: Provider, environ: Mapping[str, str], key: ProviderKey | None
) -> Endpoint:
    """Return the endpoint with its address complete, as far as the environment completes it."""
    base_url = endpoint.base_url
    if provider.address_env is not None:
        base_url = _readdressed(base_url, environ.get(provider.address_env, "").strip())
    # A second key mostly belongs to a second account: `NAME_2` goes with `ACCOUNT_ID_2`.
    suffix = key.id[-2:] if key is not None and key.id.endswith(_FURTHER) else ""
    base_url = _fill(base_url, provider.extra_env, environ, suffix)
    return msgspec.structs.replace(endpoint, base_url=base_url)


def _fill(
    base_url: str, extra_env: tuple[str, ...], environ: Mapping[str, str], suffix: str
) -> str:
    """Fill `{account_id}` from the extra variable whose name ends in ACCOUNT_ID, and so on."""

    def value(found: re.Match[str]) -> str:
        variable = _variable_for(found[1], extra_env)
        filled = environ.get(variable + suffix, "").strip() or environ.get(variable, "").strip()
        return filled if re.fullmatch(r"[\w.~-]+", filled) else found[0]

    return _PLACEHOLDER.sub(value, base_url)


def _variable_for(placeholder: str, extra_env: tuple[str, ...]) -> str:
    name = placeholder.upper()
    return next((variable for variable in extra_env if variable.endswith(name)), name)


def _readdressed(base_url: str, address: str) -> str:
    """Return `base_url` at the host and port of `address`: `host`, `:port`, `host:port` or a URL.

    What the address leaves out stays as it was; one that makes no sense changes nothing.
    """
    if not address:
        return base_url
    was = urlsplit(base_url)
    whole = "://" in address
    new = urlsplit(address if whole else f"{was.scheme}://{address}")
    try:
        port = new.port or (None if whole else was.port)
    except ValueError:
        return base_url
    host = _ANY_ADDRESS.get(new.hostname or "", new.hostname or "") or was.hostname or ""
    if new.scheme not in {"http", "https"} or new.username is not None or not _is_host(host):
        return base_url
    authority = f"[{host}]" if ":" in host else host
    netloc = authority if port is None else f"{authority}:{port}"
    return urlunsplit((new.scheme, netloc, new.path.rstrip("/") + was.path, "", ""))


def _is_host(text: str) -> bool:
    return re.fullmatch(r"[\w.:~-]+", text) is not None
