"""What is laid over the bundled snapshot: files of facts that say where each came from.

Four layers, each winning over those before it: the snapshot, what providers' model lists said
(fetched), what calls taught (learned), and the user's own files. In the first two files each fact
is `{value, source, as_of}`; in the user's own a plain value will do.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeVar

import msgspec

from ymera.catalog.entries import Count, IsoDate, ModelStatus, Text, Tokens
from ymera.core.errors import CatalogError
from ymera.core.model import Model, ModelKind

__all__ = [
    "Answered",
    "Facts",
    "Fetched",
    "Layer",
    "Learned",
    "Origin",
    "Row",
    "Upkeep",
    "decode_fetched",
    "decode_learned",
    "decode_own",
    "encode_fetched",
    "encode_learned",
    "known",
]

_VERSION = 1
_MAX_USD_PER_MTOK = 1_000_000
_ORIGIN = frozenset({"source", "as_of"})

Decoded = TypeVar("Decoded", bound="Facts | Origin | Answered")


class Layer(StrEnum):
    """Who says so; a later one wins."""

    SNAPSHOT = "snapshot"
    FETCHED = "fetched"
    LEARNED = "learned"
    USER = "user"


class Facts(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What a layer says of one model; None = nothing.

    Attributes:
        input_usd_per_mtok, output_usd_per_mtok: list price in USD per million tokens.
        free_now: whether it was seen to cost nothing; the free guard still has the last word.
        listed: whether its provider's list has it; False benches it.
        rpm, rpd, tpm, tpd, concurrency: limits of the free tier.
        other fields: as in the catalogue's rows.
    """

    name: Text | None = None
    kind: ModelKind | None = None
    status: ModelStatus | None = None
    context_window: Tokens | None = None
    max_output: Tokens | None = None
    inputs: tuple[Text, ...] | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    input_usd_per_mtok: Decimal | None = None
    output_usd_per_mtok: Decimal | None = None
    free_now: bool | None = None
    rpm: Count | None = None
    rpd: Count | None = None
    tpm: Count | None = None
    tpd: Count | None = None
    concurrency: Count | None = None
    listed: bool | None = None


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who said something, and on which day."""

    source: Text
    as_of: IsoDate


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer says of one model, and where each field of it comes from."""

    facts: Facts = Facts()
    origins: Mapping[str, Origin] = MappingProxyType({})

    def saying(self, facts: Facts, origin: Origin) -> Row:
        """Return the row with these facts laid over its own."""
        new = known(facts)
        return Row(
            facts=msgspec.structs.replace(self.facts, **new),
            origins={**self.origins, **dict.fromkeys(new, origin)},
        )


class Answered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a live test of one model with one key went.

    Attributes:
        ok: it answered.
        at: when, UTC.
        detail: one sentence; never holds the key.
        gone: the provider said that the model is not to be had (any more) with this key.
    """

    ok: bool
    at: datetime.datetime
    detail: str = ""
    gone: bool = False


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What model lists said.

    Attributes:
        rows: by model id.
        missed: model id -> how many lists in a row were without it.
    """

    rows: Mapping[str, Row] = MappingProxyType({})
    missed: Mapping[str, int] = MappingProxyType({})


class Learned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What live tests showed: model id -> key id -> how it went."""

    version: int = _VERSION
    answers: dict[str, dict[str, Answered]] = {}


class _Said(Origin, frozen=True, kw_only=True, forbid_unknown_fields=True):
    value: object


class _FetchedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    models: dict[str, dict[str, _Said]] = {}
    missed: dict[str, Count] = {}


_fetched_file = msgspec.json.Decoder(_FetchedFile)


class Upkeep(msgspec.Struct, frozen=True, kw_only=True):
    """What a catalogue knows beyond its rows.

    Attributes:
        layers: which layer said what, the winning one last, by model id.
        listed: models that only a list names and that have not answered yet; not to be routed to.
        unproven: those of `listed` that would cost nothing.
        benched: why a model is out of use, by id.
        free_but: those of `benched` that would cost nothing.
        answers: outcomes of live tests, by model id and key id.
    """

    layers: Mapping[str, tuple[tuple[Layer, Row], ...]] = MappingProxyType({})
    listed: Mapping[str, Model] = MappingProxyType({})
    unproven: frozenset[str] = frozenset()
    benched: Mapping[str, str] = MappingProxyType({})
    free_but: frozenset[str] = frozenset()
    answers: Mapping[str, Mapping[str, Answered]] = MappingProxyType({})


def known(facts: Facts) -> dict[str, object]:
    """Return the fields that say something."""
    return {k: value for k, value in msgspec.structs.asdict(facts).items() if value is not None}


def decode_fetched(file: str, data: bytes) -> Fetched:
    """Decode what `encode_fetched` wrote.

    Raises:
        CatalogError: it is broken; the message names file, entry and field.
    """
    try:
        tree = _fetched_file.decode(data)
        rows = {_checked_id(model_id): _row(said) for model_id, said in tree.models.items()}
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError):
        return _explained_fetched(file, data)  # slower, and names entry and field
    return Fetched(rows=rows, missed=tree.missed)


def _checked_id(model_id: str) -> str:
    provider, _, upstream = model_id.partition("/")
    if not (provider and upstream):
        raise ValueError("an id is `provider/model`")
    return model_id


def _row(said: Mapping[str, _Said]) -> Row:
    """Return a row of the file.

    Raises:
        ValueError: something is wrong with it.
    """
    facts = msgspec.convert({field: each.value for field, each in said.items()}, Facts)
    for amount in (facts.input_usd_per_mtok, facts.output_usd_per_mtok):
        if amount is not None and not _is_price(amount):
            raise ValueError
    origins = {
        field: Origin(source=each.source, as_of=each.as_of)
        for field, each in said.items()
        if each.value is not None
    }
    for day in {origin.as_of for origin in origins.values()}:
        datetime.date.fromisoformat(day)
    return Row(facts=facts, origins=origins)


def _explained_fetched(file: str, data: bytes) -> Fetched:
    tree = _versioned(file, data, {"models", "missed"})
    rows = {
        model_id: _sourced_row(file, model_id, row)
        for model_id, row in _table(file, "models", tree.get("models", {})).items()
    }
    try:
        missed = msgspec.convert(tree.get("missed", {}), dict[str, Count])
    except msgspec.ValidationError as error:
        raise _broken(file, f"field 'missed': {error}") from error
    return Fetched(rows=rows, missed=missed)


def encode_fetched(fetched: Fetched) -> bytes:
    """Return the file, which people can read, too."""
    models = {
        model_id: {
            field: {
                "value": value,
                "source": row.origins[field].source,
                "as_of": row.origins[field].as_of,
            }
            for field, value in known(row.facts).items()
        }
        for model_id, row in sorted(fetched.rows.items())
    }
    tree = {"version": _VERSION, "models": models, "missed": dict(sorted(fetched.missed.items()))}
    return msgspec.json.format(msgspec.json.encode(tree), indent=1)


def decode_learned(file: str, data: bytes) -> Learned:
    """Decode what `encode_learned` wrote.

    Raises:
        CatalogError: it is broken; the message names file, entry and field.
    """
    tree = _versioned(file, data, {"answers"})
    answers = {
        model_id: {
            key_id: _converted(file, f"entry '{model_id}', field '{key_id}'", outcome, Answered)
            for key_id, outcome in _table(file, model_id, keys).items()
        }
        for model_id, keys in _table(file, "answers", tree.get("answers", {})).items()
    }
    return Learned(answers=answers)


def encode_learned(learned: Learned) -> bytes:
    """Return the file, which people can read, too."""
    return msgspec.json.format(msgspec.json.encode(learned), indent=1)


def decode_own(file: str, tree: Mapping[str, object], as_of: str) -> dict[str, Row]:
    """Return the rows of one of the user's files.

    Args:
        file: name for messages, and the source of what names none.
        tree: what the file holds: a table `models` of model ids.
        as_of: the ISO day of what gives none.

    Raises:
        CatalogError: it is broken; the message names file, entry and field.
    """
    if unknown := tree.keys() - {"models", "version"}:
        raise _broken(file, f"field '{min(unknown)}': unknown field")
    rows: dict[str, Row] = {}
    for model_id, row in _table(file, "models", tree.get("models", {})).items():
        table = _table(file, model_id, row)
        head = {"source": file, "as_of": as_of}
        head |= {k: str(table[k]) for k in _ORIGIN & table.keys()}
        origin = _converted(file, f"entry '{model_id}'", head, Origin)
        _check_day(file, model_id, "as_of", origin.as_of)
        values = {k: value for k, value in table.items() if k not in _ORIGIN}
        rows[model_id] = Row().saying(_facts(file, model_id, values), origin)
    return rows


def _sourced_row(file: str, model_id: str, row: object) -> Row:
    values: dict[str, object] = {}
    origins: dict[str, Origin] = {}
    for field, said in _table(file, model_id, row).items():
        place = f"entry '{model_id}', field '{field}'"
        parts = dict(_table(file, f"{model_id}: {field}", said))
        if "value" not in parts:
            raise _broken(file, f"{place}: it has no value")
        values[field] = parts.pop("value")
        origins[field] = _converted(file, place, parts, Origin)
        _check_day(file, model_id, field, origins[field].as_of)
    facts = _facts(file, model_id, values)
    return Row(facts=facts, origins={field: origins[field] for field in known(facts)})


def _facts(file: str, model_id: str, values: Mapping[str, object]) -> Facts:
    try:
        _checked_id(model_id)
    except ValueError as error:
        raise _broken(file, f"entry '{model_id}': {error}") from None
    for field, value in values.items():
        if field not in Facts.__struct_fields__:
            raise _broken(file, f"entry '{model_id}', field '{field}': unknown field")
        place = f"entry '{model_id}', field '{field}'"
        found = getattr(_converted(file, place, {field: value}, Facts), field)
        if isinstance(found, Decimal) and not _is_price(found):
            raise _broken(file, f"{place}: {found} is no price in USD per million tokens")
    return msgspec.convert(values, Facts)


def _is_price(amount: Decimal) -> bool:
    return amount.is_finite() and 0 <= amount <= _MAX_USD_PER_MTOK


def _check_day(file: str, model_id: str, field: str, day: str) -> None:
    try:
        datetime.date.fromisoformat(day)
    except ValueError:
        complaint = f"entry '{model_id}', field '{field}': no such day as {day}"
        raise _broken(file, complaint) from None


def _converted(file: str, place: str, value: object, kind: type[Decoded]) -> Decoded:
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ArithmeticError) as error:
        raise _broken(file, f"{place}: {str(error).partition(' - at ')[0]}") from error


def _versioned(file: str, data: bytes, fields: set[str]) -> Mapping[str, object]:
    try:
        tree = msgspec.json.decode(data, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(file, f"not a JSON object: {error}") from error
    if tree.get("version") != _VERSION:
        raise _broken(file, f"field 'version': it must be {_VERSION}")
    if unknown := tree.keys() - fields - {"version"}:
        raise _broken(file, f"field '{min(unknown)}': unknown field")
    return tree


def _table(file: str, name: str, value: object) -> Mapping[str, object]:
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return value
    raise _broken(file, f"'{name}' must be a table")


def _broken(file: str, complaint: str) -> CatalogError:
    return CatalogError(
        f"The catalogue file {file} is broken: {complaint}.",
        hint="Correct that place, or delete the file; the other layers are used meanwhile.",
        param=file,
    )
