"""Provider keys in effect: the environment's, then the stored ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec

from ymera.app.upstreams import Upstreams
from ymera.catalog.catalog import Catalog
from ymera.config.files import FileStamp, file_stamp
from ymera.config.schema import Settings
from ymera.core.chat import (
    ChatRequest,
    Message,
    Role,
    Sampling,
    TextPart,
)
from ymera.core.errors import MachineError, ProviderError, ProviderErrorKind, YmeraError
from ymera.core.model import ModelKind, Provider
from ymera.core.ports import ChatProvider
from ymera.providers.hosts import key_variables
from ymera.security.vault import Vault

__all__ = [
    "MOST_KEYS",
    "Credentials",
    "KeyTrial",
    "KeyWatch",
    "number_of",
    "slot_of",
    "try_key",
    "variables_of",
]

MOST_KEYS = 9
"""Keys one provider may have."""

_log = logging.getLogger(__name__)


def slot_of(provider_id: str, number: int = 1) -> str:
    """Return the name a provider's key of that number (1..9) is stored under."""
    return provider_id if number == 1 else f"{provider_id}:{number}"


def number_of(slot: str) -> tuple[str, int]:
    """Return provider id and number of a slot."""
    provider_id, _, number = slot.partition(":")
    return provider_id, int(number) if number.isdecimal() else 1


def variables_of(provider: Provider, number: int) -> tuple[str, ...]:
    """Return the variables that may hold a provider's key of that number, preferred first."""
    return tuple(f"{name}{'' if number == 1 else f'_{number}'}" for name in provider.key_env)


class Credentials(Mapping[str, str]):
    """The environment with stored keys laid under it: an exported variable wins.

    A stored key stands under the first variable its provider reads, unless any of them is set; a
    further one under the variable of its number, such as `GROQ_API_KEY_2`.

    Args:
        environ: looked up at each access, as the process's environment may change.
        stored: keys by slot, see `slot_of`.
        catalog: says which variables a provider reads.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        stored: Mapping[str, str] = MappingProxyType({}),
        catalog: Catalog | None = None,
    ) -> None:
        self._environ = environ
        self._stored: dict[str, str] = {}
        if catalog is None:
            return
        for slot, key in stored.items():
            provider_id, number = number_of(slot)
            provider = catalog.providers.get(provider_id)
            if provider is not None and provider.key_env:
                names = variables_of(provider, number)
                if not any(environ.get(name, "").strip() for name in names):
                    self._stored[names[0]] = key

    def __getitem__(self, name: str) -> str:
        value = self._environ.get(name, "")
        return value if value.strip() or name not in self._stored else self._stored[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(chain(self._environ, self._stored)))

    def __len__(self) -> int:
        return len(set(self._environ) | set(self._stored))

    def __eq__(self, other: object) -> bool:
        """Return whether the same keys are stored over the same environment."""
        if not isinstance(other, Credentials):
            return NotImplemented
        return self._environ is other._environ and self._stored == other._stored

    __hash__ = None  # type: ignore[assignment]  # an environment changes

    def __repr__(self) -> str:
        return f"Credentials({len(self._stored)} stored)"


class KeyWatch:
    """Notices that stored keys changed, at the price of one `stat`.

    Args:
        vault: where they are stored.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._seen: FileStamp | None = None

    def read(self) -> Mapping[str, str]:
        """Return the stored keys, by slot; none, with a line in the log, when unreadable."""
        self._seen = file_stamp(self._vault.path)
        if self._seen is None:
            return {}
        try:
            return self._vault.reveal()
        except MachineError as error:
            _log.error("stored keys are not used: %s %s", error.message, error.hint or "")
            return {}

    def changed(self) -> bool:
        """Return whether the file is another than the one read last."""
        return file_stamp(self._vault.path) != self._seen


class KeyTrial(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said of a key.

    Attributes:
        verdict: `accepted`, `refused`, or `untested` when nobody could be asked.
        detail: one sentence for people.
    """

    verdict: Literal["accepted", "refused", "untested"]
    detail: str


_ACCEPTED_ALL_THE_SAME = frozenset(
    {
        ProviderErrorKind.QUOTA_MINUTE,
        ProviderErrorKind.QUOTA_DAY,
        ProviderErrorKind.QUOTA_MONTH,
        ProviderErrorKind.UPSTREAM_BUSY,
    }
)


async def try_key(
    provider: Provider,
    key: str,
    *,
    catalog: Catalog,
    settings: Settings,
    environ: Mapping[str, str],
    given: Mapping[str, ChatProvider] = MappingProxyType({}),
) -> KeyTrial:
    """Ask one free model of a provider for one token with a key that is not stored yet.

    Costs nothing: a provider without a free model is not asked.

    Args:
        provider: the row.
        key: to be tried.
        catalog: in force.
        settings: in force.
        environ: for what else the provider needs, such as an account id.
        given: doubles by provider id.
    """
    model = next(
        (
            each
            for each in catalog.models
            if each.provider == provider.id
            and each.kind is ModelKind.CHAT
            and each.free.may_auto_route
        ),
        None,
    )
    if model is None:
        return KeyTrial(
            verdict="untested", detail=f"not tested: {provider.name} has no free model to ask"
        )
    variables = key_variables(provider)
    others = {name: value for name, value in environ.items() if name not in variables}
    upstreams = Upstreams(
        catalog=catalog,
        settings=settings,
        environ=Credentials(others, {provider.id: key}, catalog),
        models_dir=Path(),
        given=given,
    )
    question = Message(role=Role.USER, content=(TextPart("Say ok"),))
    request = ChatRequest(
        model=model.id, messages=(question,), sampling=Sampling(max_tokens=1), stream=True
    )
    try:
        async with aclosing(upstreams.call(request, model)) as events:
            async for _ in events:
                break
    except ProviderError as error:
        return _told(provider, error)
    except YmeraError as error:
        return KeyTrial(verdict="untested", detail=f"not tested: {error.message}")
    finally:
        await upstreams.close()
    return KeyTrial(verdict="accepted", detail=f"{provider.name} accepted it ({model.id})")


def _told(provider: Provider, error: ProviderError) -> KeyTrial:
    if error.kind is ProviderErrorKind.AUTH:
        return KeyTrial(verdict="refused", detail=f"{provider.name} refused it")
    if error.kind in _ACCEPTED_ALL_THE_SAME:
        return KeyTrial(verdict="accepted", detail=f"{provider.name} knows it: {error.message}")
    if error.kind is ProviderErrorKind.TRANSIENT and error.status is None:
        return KeyTrial(verdict="untested", detail="not tested: offline")
    return KeyTrial(verdict="untested", detail=f"not tested: {error.message}")
