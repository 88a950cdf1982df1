"""From bytes to rows, and from rows to the nouns of `core`.

The fast way decodes a whole file at once; only when that fails is it taken apart, to name the
entry and the field at fault.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

import msgspec

from ymera.catalog.entries import (
    ModelEntry,
    ProviderEntry,
    ProviderStatus,
    Snapshot,
)
from ymera.catalog.free import FreeClass, free_terms
from ymera.core.errors import CatalogError
from ymera.core.model import Dialect, Endpoint, Model, Provider
from ymera.wire.dialects import UPSTREAM_DIALECTS

__all__ = ["broken", "decode_snapshot", "to_model", "to_provider"]

_SPOKEN = frozenset(Dialect)
_OPENAI = frozenset({Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES})
"""Dialects that are asked at `base_url`, with `auth`."""
_snapshot = msgspec.json.Decoder(Snapshot)
_rows = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_snapshot(file: str, data: bytes) -> Snapshot:
    """Decode and validate one catalogue file.

    Args:
        file: name for messages.
        data: JSON.

    Raises:
        CatalogError: not JSON, an unknown or missing field, a wrong type or range, an entry twice;
            the message names file, entry and field.
    """
    try:
        snapshot = _snapshot.decode(data)
    except msgspec.ValidationError as error:
        raise broken(file, _explain(data) or str(error)) from error
    except msgspec.DecodeError as error:
        raise broken(file, f"not JSON: {error}") from error
    for complaint in _complaints(snapshot):
        raise broken(file, complaint)
    return snapshot


def to_provider(entry: ProviderEntry) -> Provider:
    """Return the provider as the other parts see it; dialects Ymera does not speak are left out."""
    return Provider(
        id=entry.id,
        name=entry.name,
        kind=entry.kind,
        dialects=tuple(Dialect(name) for name in entry.wire if name in _SPOKEN),
        base_url=entry.base_url,
        auth_header=entry.auth.header,
        auth_format=entry.auth.format,
        key_env=entry.key_env,
        extra_env=entry.extra_env,
        keyless=entry.keyless,
        free_class=entry.free_class.value,
        free_confidence=entry.free_confidence,
        signup_url=entry.signup_url,
        trains_on_input=entry.privacy.trains,
        active=entry.status is ProviderStatus.ACTIVE,
        quirks=entry.quirks,
        endpoints=tuple(_endpoints(entry)),
        flags=frozenset(entry.flags),
        address_env=entry.address_env,
    )


def _endpoints(entry: ProviderEntry) -> Iterator[Endpoint]:
    """Yield where each dialect is asked; of several native ones that share an address, each."""
    for name in entry.wire:
        own = name not in _OPENAI
        base_url = entry.native_base_url if own else entry.base_url
        if name not in UPSTREAM_DIALECTS or base_url is None:
            continue
        auth = entry.native_auth or entry.auth if own else entry.auth
        yield Endpoint(
            dialect=Dialect(name),
            base_url=base_url,
            auth_header=auth.header,
            auth_format=auth.format,
            headers=auth.extra,
        )


def to_model(entry: ModelEntry, provider: Provider, snapshot_date: datetime.date) -> Model:
    """Return the model as the other parts see it, with its free terms decided."""
    return Model(
        id=entry.full_id,
        provider=entry.provider,
        upstream_id=entry.id,
        name=entry.name or entry.id.rsplit("/", 1)[-1],
        family=entry.family,
        kind=entry.kind,
        context_window=entry.context_window,
        max_output=entry.max_output,
        vision=None if entry.inputs is None else "image" in entry.inputs,
        tools=entry.tools,
        json_schema=entry.json_schema,
        reasoning=entry.reasoning,
        price=entry.price,
        free=free_terms(
            provider,
            free_now=entry.free.free_now,
            snapshot_date=snapshot_date,
            status=entry.status.value,
            price=entry.price,
            limits=entry.free.limits,
            as_of=entry.free.as_of,
        ),
        quality=entry.quality,
        speed_tps=entry.speed_tps,
        trains_on_input=provider.trains_on_input,
        release_date=entry.release_date,
        weights=entry.weights,
        flags=frozenset(entry.flags),
        embedding_dims=entry.embedding_dims,
    )


def _complaints(snapshot: Snapshot) -> Iterator[str]:
    """Yield what types cannot say."""
    names: set[str] = set()
    for name in [
        *(provider.id for provider in snapshot.providers),
        *(model.full_id for model in snapshot.models),
    ]:
        if name in names:
            yield f"entry '{name}' stands there twice"
        names.add(name)
    for provider in snapshot.providers:
        if provider.free_class is FreeClass.USER:
            yield f"entry '{provider.id}', field 'free_class': 'user' is for your own settings"
    for model in snapshot.models:
        for field in ("input_usd_per_mtok", "output_usd_per_mtok"):
            amount = getattr(model.price, field)
            if amount is not None and not (amount.is_finite() and amount >= 0):
                yield f"entry '{model.full_id}', field 'price.{field}': {amount} is no price"
        if model.free.as_of is not None and not _is_date(model.free.as_of):
            yield f"entry '{model.full_id}', field 'free.as_of': no such day as {model.free.as_of}"


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _explain(data: bytes) -> str | None:
    """Return which entry and field a rejected file breaks on; None when it is not an entry."""
    try:
        sections = _rows.decode(data)
        return _broken_row(sections, "providers", ProviderEntry) or _broken_row(
            sections, "models", ModelEntry
        )
    except msgspec.DecodeError:  # not even an object of lists: the first error says it best
        return None


def _broken_row(
    sections: dict[str, msgspec.Raw], section: str, row_type: type[ProviderEntry | ModelEntry]
) -> str | None:
    rows = msgspec.json.decode(sections.get(section, b"[]"), type=list[msgspec.Raw])
    for number, row in enumerate(rows, start=1):
        try:
            msgspec.json.decode(row, type=row_type)
        except msgspec.ValidationError as error:
            return f"entry {_name(row) or f'{section} number {number}'}, {_field(str(error))}"
    return None


def _name(row: msgspec.Raw) -> str | None:
    """Return the id of a broken row, quoted, if it has one."""
    try:
        fields = msgspec.json.decode(row, type=dict[str, object])
    except msgspec.ValidationError:
        return None
    parts = [part for part in (fields.get("provider"), fields.get("id")) if isinstance(part, str)]
    return f"'{'/'.join(parts)}'" if parts else None


def _field(message: str) -> str:
    """Turn msgspec's ``Expected `int` - at `$.free.rpm` `` into ``field 'free.rpm': ...``."""
    unknown = re.fullmatch(r"Object contains unknown field `(.+?)`(?: - at `\$\.?(.*)`)?", message)
    if unknown:
        path = ".".join(part for part in (unknown[2], unknown[1]) if part)
        return f"field '{path}': unknown field"
    missing = re.fullmatch(r"Object missing required field `(.+?)`.*", message)
    if missing:
        return f"field '{missing[1]}': missing"
    what, _, where = message.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    return f"field '{path}': {what}" if path else what


def broken(file: str, complaint: str) -> CatalogError:
    """Return the error that says what is wrong with a catalogue file."""
    return CatalogError(
        f"The catalogue file {file} is broken: {complaint}.",
        hint="Run `ymera catalog check`; for the bundled catalogue, reinstall ymera.",
    )
