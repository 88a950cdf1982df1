"""Turns the researched fact table into the bundled catalogue.

Run: `python scripts/build_catalog.py --data DIR [--out DIR]`, where DIR holds `providers.json` and
`models.json` as their README describes. Writes `providers.json`, `models.json` and `sources.json`;
`local_models.json` beside them is written by hand. What we know better than the table, quirks as
flags among it, stands in `catalog_corrections.toml` beside this script. The same input always gives
the same bytes, and nothing is written unless the result loads. A column this script does not know
stops it: someone has to decide whether the product needs the new fact.
"""

from __future__ import annotations

import argparse
import datetime
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from ymera.catalog.decode import decode_snapshot
from ymera.catalog.entries import (
    Auth,
    Conflict,
    Evidence,
    Flag,
    FreeEntry,
    ModelEntry,
    ModelStatus,
    PoolLimits,
    Privacy,
    ProviderEntry,
    ProviderStatus,
    QualityEvidence,
    Snapshot,
    Source,
)
from ymera.catalog.free import FreeClass
from ymera.core.model import ModelKind, ProviderKind, Quirk
from ymera.core.usage import Price

OUT = Path(__file__).parents[1] / "src" / "ymera" / "catalog" / "data"

ATTRIBUTION = (
    "Quality figures: Arena (LMArena) leaderboard, 2026-10-20, CC BY 4.0, as percentiles.",
    "Capabilities: models.dev (MIT). Prices: genai-prices, models.dev, LiteLLM (MIT).",
    "Free terms: freelm, freellmpool, flexrouter, free-llm-api, free-llm-api-hub (MIT) "
    "and vendors' pages (facts only).",
    "Also any-llm and aider (Apache-2.0), ollama documentation (MIT).",
)

CORRECTIONS = Path(__file__).with_name("catalog_corrections.toml")

FIELDS = {  # names of the table -> names of the catalogue; None: not shipped
    "modalities_in": "inputs",
    "modalities_out": None,
    "structured_output": "json_schema",
    "price_in_per_mtok": "price",
    "price_out_per_mtok": "price",
    "type": "kind",
}


encoder = msgspec.json.Encoder(decimal_format="number")


class _Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the fact table: a column nobody decided about is an error."""


class RawAuth(_Column, frozen=True, kw_only=True):
    """How the key travels, in the table's words."""

    header: str
    format: str
    openai_compat_header: str | None = None
    also: str | None = None
    extra: dict[str, str] = {}


class RawPrivacy(_Column, frozen=True, kw_only=True):
    """Training terms."""

    trains_on_free_tier: bool | None
    flag: str
    note: str | None
    src: tuple[str, ...]


class RawProvider(_Column, frozen=True, kw_only=True):
    """One row of providers.json."""

    id: str
    name: str
    kind: ProviderKind
    status: ProviderStatus
    openai_base_url: str | None
    native_base_url: str | None
    wire: tuple[str, ...]
    auth: RawAuth
    key_env: str | None
    key_env_aliases: tuple[str, ...]
    extra_env: tuple[str, ...]
    keyless: bool
    signup_url: str | None
    models_endpoint: str | None
    free_class: FreeClass
    free_confidence: Literal["high", "medium", "low"] | None
    free_limits: PoolLimits
    card_required: bool | None
    phone_required: bool | None
    commercial_ok: bool | None
    ratelimit_headers: tuple[str, ...]
    ratelimit_headers_src: tuple[str, ...]
    usage_in_stream: str | None
    quirks: tuple[str, ...]
    error_shape: str | None
    privacy: RawPrivacy
    src: tuple[str, ...]


class RawFree(_Column, frozen=True, kw_only=True):
    """Free terms of a model; some rows leave the numbers out."""

    free_now: bool | None
    src: tuple[str, ...]
    rpm: int | None = None
    rpd: int | None = None
    tpm: int | None = None
    tpd: int | None = None
    concurrency: int | None = None
    note: str | None = None


class RawQuality(_Column, frozen=True, kw_only=True):
    """One quality figure."""

    variant: str | None
    src: str
    elo: float | None = None
    low: float | None = None
    high: float | None = None
    percentile: float | None = None
    pass_rate_2_pct: float | None = None
    run_date: str | None = None


class RawModel(_Column, frozen=True, kw_only=True):
    """One row of models.json."""

    provider: str
    id: str
    name: str | None
    family: str | None
    type: ModelKind
    status: ModelStatus
    open_weights: bool | None
    context_window: int | None
    max_output: int | None
    modalities_in: tuple[str, ...] | None
    modalities_out: tuple[str, ...] | None
    tools: bool | None
    structured_output: bool | None
    reasoning: bool | None
    embedding_dims: int | None
    price_in_per_mtok: Decimal | None
    price_out_per_mtok: Decimal | None
    price_notes: tuple[str, ...]
    release_date: str | None
    free: RawFree | None
    quality: dict[str, RawQuality]
    speed_tps: float | None
    notes: tuple[str, ...]
    conflicts: list[dict[str, str | int | float | list[int | float]]]
    src: dict[str, str]


class RawTable(_Column, frozen=True, kw_only=True):
    """Either file."""

    schema_version: int | str
    generated: datetime.date
    sources: dict[str, Source]
    providers: list[RawProvider] = []
    models: list[RawModel] = []
    arena_tasks: dict[str, str] = {}


class HostCorrection(_Column, frozen=True, kw_only=True):
    """What replaces or completes a host's row.

    Attributes:
        base_url, address_env: as in `ProviderEntry`.
        headers: replace those of the dialect that demands them.
        quirks: further ones.
        flags: what an encoder has to heed.
        free_limits, free_confidence: replace the table's, where newer evidence contradicts it.
    """

    base_url: str | None = None
    address_env: str | None = None
    headers: dict[str, str] | None = None
    quirks: tuple[str, ...] = ()
    flags: dict[Quirk, Flag] = {}
    free_limits: PoolLimits | None = None
    free_confidence: Literal["high", "medium", "low"] | None = None


class ModelCorrection(_Column, frozen=True, kw_only=True):
    """Flags of some models of a host; what replaces the note on free terms, and who backs it."""

    provider: str
    ids: tuple[str, ...]
    flags: dict[Quirk, Flag] = {}
    free_note: str | None = None
    free_src: tuple[str, ...] = ()


class Corrections(_Column, frozen=True, kw_only=True):
    """The file of corrections."""

    providers: dict[str, HostCorrection]
    models: tuple[ModelCorrection, ...]
    sources: dict[str, Source] = {}

    def flags_of(self, provider: str, model: str) -> dict[Quirk, Flag]:
        """Return the flags of one model."""
        groups = (each for each in self.models if each.provider == provider and model in each.ids)
        return dict(
            sorted((quirk, flag) for group in groups for quirk, flag in group.flags.items())
        )

    def noted(self, row: RawModel) -> RawModel:
        """Return a row with the note on its free terms replaced."""
        for each in self.models:
            mine = each.provider == row.provider and row.id in each.ids
            if mine and row.free and each.free_note:
                src = (*row.free.src, *each.free_src)
                free = msgspec.structs.replace(row.free, note=each.free_note, src=src)
                row = msgspec.structs.replace(row, free=free)
        return row


def corrections() -> Corrections:
    """Read the file of corrections."""
    return msgspec.toml.decode(CORRECTIONS.read_bytes(), type=Corrections)


def provider_entry(raw: RawProvider, better: HostCorrection) -> ProviderEntry:
    """Return the catalogue row of a provider."""
    auth, native_auth = split_auth(raw.auth, better.headers)
    headers_src = tuple(source.partition(" (")[0] for source in raw.ratelimit_headers_src)
    endpoint = raw.models_endpoint
    return ProviderEntry(
        id=raw.id,
        name=raw.name,
        kind=raw.kind,
        status=raw.status,
        wire=raw.wire,
        base_url=better.base_url or raw.openai_base_url,
        native_base_url=raw.native_base_url,
        auth=auth,
        native_auth=native_auth,
        key_env=tuple(name for name in (raw.key_env, *raw.key_env_aliases) if name),
        extra_env=raw.extra_env,
        keyless=raw.keyless,
        signup_url=raw.signup_url,
        models_endpoint=endpoint.replace("{openai_base_url}", "{base_url}") if endpoint else None,
        free_class=raw.free_class,
        free_confidence=better.free_confidence or raw.free_confidence,
        free_limits=better.free_limits or raw.free_limits,
        card_required=raw.card_required,
        phone_required=raw.phone_required,
        commercial_ok=raw.commercial_ok,
        ratelimit_headers=raw.ratelimit_headers,
        ratelimit_headers_confirmed=headers_src == raw.ratelimit_headers_src,
        ratelimit_headers_src=headers_src,
        usage_in_stream=raw.usage_in_stream,
        error_shape=raw.error_shape,
        quirks=(*raw.quirks, *better.quirks),
        flags=dict(sorted(better.flags.items())),
        address_env=better.address_env,
        privacy=Privacy(
            trains=raw.privacy.trains_on_free_tier,
            flag=raw.privacy.flag,
            note=raw.privacy.note,
            src=raw.privacy.src,
        ),
        src=raw.src,
    )


def split_auth(raw: RawAuth, headers: dict[str, str] | None = None) -> tuple[Auth, Auth | None]:
    """Return how the OpenAI dialect carries the key and, if otherwise, how the native one does.

    The table puts the native way first where a host has two; `headers` replace its further ones.
    """
    extra = raw.extra if headers is None else headers
    native = Auth(header=raw.header, format=raw.format, extra=extra)
    other = raw.openai_compat_header or raw.also
    if other is None:
        return native, None
    header, _, form = other.partition(": ")
    return Auth(header=header, format=form.partition(" (")[0]), native


def model_entry(raw: RawModel, sources: dict[str, Source], flags: dict[Quirk, Flag]) -> ModelEntry:
    """Return the catalogue row of a model."""
    shares = {task: q.percentile for task, q in raw.quality.items() if q.percentile is not None}
    return ModelEntry(
        provider=raw.provider,
        id=raw.id,
        name=raw.name,
        family=raw.family,
        kind=raw.type,
        status=raw.status,
        context_window=raw.context_window,
        max_output=raw.max_output,
        inputs=raw.modalities_in,
        tools=raw.tools,
        json_schema=raw.structured_output,
        reasoning=raw.reasoning,
        open_weights=raw.open_weights,
        embedding_dims=raw.embedding_dims,
        price=Price(
            input_usd_per_mtok=raw.price_in_per_mtok, output_usd_per_mtok=raw.price_out_per_mtok
        ),
        free=free_entry(raw.free, sources) if raw.free else FreeEntry(),
        quality=shares,
        speed_tps=raw.speed_tps,
        release_date=raw.release_date,
        flags=flags,
        evidence=msgspec.Raw(encoder.encode(evidence(raw))),
    )


def free_entry(raw: RawFree, sources: dict[str, Source]) -> FreeEntry:
    """Return the free terms, dated by their newest source."""
    return FreeEntry(
        free_now=raw.free_now,
        rpm=raw.rpm,
        rpd=raw.rpd,
        tpm=raw.tpm,
        tpd=raw.tpd,
        concurrency=raw.concurrency,
        as_of=newest(sources[source].date for source in raw.src),
    )


def newest(dates: Iterable[str]) -> str | None:
    """Return the newest ISO date; a month counts from its first day, other text not at all."""
    found = (re.fullmatch(r"(\d{4}-\d{2})(-\d{2})?", text) for text in dates)
    return max((f"{match[1]}{match[2] or '-01'}" for match in found if match), default=None)


def evidence(raw: RawModel) -> Evidence:
    """Return what only `why` and `check` read."""
    named = ((FIELDS.get(field, field), source) for field, source in raw.src.items())
    return Evidence(
        src=dict(sorted((field, source) for field, source in named if field)),
        quality={task: quality_evidence(figure) for task, figure in sorted(raw.quality.items())},
        free_src=raw.free.src if raw.free else (),
        free_note=raw.free.note if raw.free else None,
        price_notes=raw.price_notes,
        notes=raw.notes,
        conflicts=tuple(conflict(fields) for fields in raw.conflicts),
    )


def quality_evidence(raw: RawQuality) -> QualityEvidence:
    """Return which variant was measured; a benchmark's own score becomes a share."""
    score = raw.pass_rate_2_pct
    return QualityEvidence(
        variant=raw.variant,
        src=raw.src,
        pass_rate=None if score is None else round(score / 100, 4),
        run_date=raw.run_date,
    )


def conflict(fields: dict[str, str | int | float | list[int | float]]) -> Conflict:
    """Return what each source says of a field; a price is `input/output`, USD per million."""
    said = {key: value for key, value in fields.items() if key != "field"}
    return Conflict(
        field=str(fields["field"]),
        values={
            source: "/".join(f"{part}" for part in value) if isinstance(value, list) else str(value)
            for source, value in sorted(said.items())
        },
    )


def read(path: Path) -> RawTable:
    """Read one file of the fact table; an unknown column is an error that names it."""
    return msgspec.json.decode(path.read_bytes(), type=RawTable)


def build(data: Path) -> dict[str, Snapshot]:
    """Return the three generated files by name."""
    hosts, pairs = read(data / "providers.json"), read(data / "models.json")
    generated = max(hosts.generated, pairs.generated)
    better = corrections()
    sources = {**hosts.sources, **pairs.sources, **better.sources}
    none = HostCorrection()
    providers = sorted(
        (provider_entry(row, better.providers.get(row.id, none)) for row in hosts.providers),
        key=lambda row: row.id,
    )
    models = sorted(
        (
            model_entry(better.noted(row), sources, better.flags_of(row.provider, row.id))
            for row in pairs.models
        ),
        key=lambda row: row.full_id,
    )
    return {
        "providers.json": Snapshot(
            schema_version=1, generated=generated, providers=tuple(providers)
        ),
        "models.json": Snapshot(schema_version=1, generated=generated, models=tuple(models)),
        "sources.json": Snapshot(
            schema_version=1,
            generated=generated,
            attribution=ATTRIBUTION,
            sources=dict(sorted(sources.items())),
        ),
    }


def main(arguments: list[str] | None = None) -> None:
    """Build, check that the result loads, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the fact table")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the catalogue")
    options = parser.parse_args(arguments)
    files = {
        name: msgspec.json.format(encoder.encode(snapshot), indent=1) + b"\n"
        for name, snapshot in build(options.data).items()
    }
    for name, content in files.items():
        decode_snapshot(name, content)
    for name, content in files.items():
        (options.out / name).write_bytes(content)
        print(f"{name}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
