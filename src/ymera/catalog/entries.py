"""The rows of a catalogue file, as they stand on disk.

Facts that every request needs are fields; what only `why` and `check` read lies under `evidence`
and stays undecoded until someone asks.
"""

from __future__ import annotations

import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ymera.catalog.free import FreeClass
from ymera.core.model import Limits, LocalWeights, ModelKind, ProviderKind, Quirk
from ymera.core.usage import Price

__all__ = [
    "Auth",
    "Conflict",
    "Evidence",
    "Flag",
    "FreeEntry",
    "ModelEntry",
    "ModelStatus",
    "PoolLimits",
    "Privacy",
    "ProviderEntry",
    "ProviderStatus",
    "QualityEvidence",
    "Snapshot",
    "Source",
]

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]
Tokens = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
IsoDate = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
# Lower case, so that `provider/model` splits at the first slash without doubt.
ProviderId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class _Row(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A row: unknown fields are errors, defaults are left out of the file."""


class ProviderStatus(StrEnum):
    """Whether a provider can be used."""

    ACTIVE = "active"
    RESTRICTED = "restricted"
    RETIRED = "retired"


class ModelStatus(StrEnum):
    """What a provider says of a model."""

    ACTIVE = "active"
    DEPRECATED = "deprecated"
    CLOSED_TO_NEW = "closed-to-new"
    RETIRED_FOR_FREE = "retired-for-free"


class Auth(_Row, frozen=True, kw_only=True):
    """Header that carries the key; `extra` holds further headers the dialect demands."""

    header: Text = "Authorization"
    format: Annotated[str, Meta(pattern=r"\{key\}")] = "Bearer {key}"
    extra: dict[str, str] = {}


class Flag(_Row, frozen=True, kw_only=True):
    """Why a quirk is set: one sentence, and source ids (none = seen by nobody we can name)."""

    reason: Text
    src: tuple[str, ...] = ()


class PoolLimits(_Row, frozen=True, kw_only=True):
    """What a provider allows on its free tier.

    Attributes:
        rpm, rpd, tpm, tpd, rps, monthly_requests, monthly_tokens: counts; None = not published.
        monthly_credit_usd: credit that comes back each month.
        scope: what shares one allowance: key, account, project, IP address.
        per_model: True when each model has this allowance for itself.
        reset: when it comes back, with the time zone.
        other: whatever does not fit a number.
        src: source ids.
    """

    rpm: Count | None = None
    rpd: Count | None = None
    tpm: Count | None = None
    tpd: Count | None = None
    rps: Annotated[float, Meta(ge=0)] | None = None
    monthly_requests: Count | None = None
    monthly_tokens: Count | None = None
    monthly_credit_usd: Annotated[float, Meta(ge=0)] | None = None
    scope: str | None = None
    per_model: bool | None = None
    reset: str | None = None
    other: str | None = None
    src: tuple[str, ...] = ()


class Privacy(_Row, frozen=True, kw_only=True):
    """Whether free traffic may train models; `trains` None counts as "may"."""

    trains: bool | None = None
    flag: str = "unknown"
    note: str | None = None
    src: tuple[str, ...] = ()


class ProviderEntry(_Row, frozen=True, kw_only=True):
    """One host.

    Attributes:
        base_url: of the OpenAI dialect. native_base_url: of its own dialect, if it has one.
        wire: dialects it speaks, preferred first, also those Ymera does not speak.
        auth: how the OpenAI dialect carries the key. native_auth: how its own does, if otherwise.
        key_env: environment variables that may hold the key, preferred first.
        models_endpoint: method and address of its model list; `{base_url}` stands for base_url.
        ratelimit_headers: names on answers; empty = sends none, or not known.
        ratelimit_headers_confirmed: False when the source itself was not sure.
        usage_in_stream, error_shape: behaviour in words.
        quirks: one sentence each; `[unverified]` in front when no source backs it.
        flags: what an encoder has to heed, each with its reason.
        address_env: variable that, where it is set, holds the host and port to call instead.
        card_required, phone_required, commercial_ok: terms of signing up; None = not known.
    """

    id: ProviderId
    name: Text
    kind: ProviderKind
    status: ProviderStatus = ProviderStatus.ACTIVE
    wire: tuple[Text, ...]
    base_url: str | None = None
    native_base_url: str | None = None
    auth: Auth = Auth()
    native_auth: Auth | None = None
    key_env: tuple[Text, ...] = ()
    extra_env: tuple[Text, ...] = ()
    keyless: bool = False
    signup_url: str | None = None
    models_endpoint: str | None = None
    free_class: FreeClass = FreeClass.NONE
    free_confidence: Literal["high", "medium", "low"] | None = None
    free_limits: PoolLimits = PoolLimits()
    card_required: bool | None = None
    phone_required: bool | None = None
    commercial_ok: bool | None = None
    ratelimit_headers: tuple[Text, ...] = ()
    ratelimit_headers_confirmed: bool = True
    ratelimit_headers_src: tuple[str, ...] = ()
    usage_in_stream: str | None = None
    error_shape: str | None = None
    quirks: tuple[Text, ...] = ()
    flags: dict[Quirk, Flag] = {}
    address_env: Text | None = None
    privacy: Privacy = Privacy()
    src: tuple[str, ...] = ()


class FreeEntry(_Row, frozen=True, kw_only=True):
    """Free terms of one model; `as_of` is the date of the newest dated source."""

    free_now: bool | None = None
    rpm: Count | None = None
    rpd: Count | None = None
    tpm: Count | None = None
    tpd: Count | None = None
    concurrency: Count | None = None
    as_of: IsoDate | None = None

    @property
    def limits(self) -> Limits:
        """The numbers alone."""
        return Limits(
            rpm=self.rpm, rpd=self.rpd, tpm=self.tpm, tpd=self.tpd, concurrency=self.concurrency
        )


class Conflict(_Row, frozen=True, kw_only=True):
    """A field on which sources disagree, with what each of them says."""

    field: Text
    values: dict[str, str]


class QualityEvidence(_Row, frozen=True, kw_only=True):
    """Which variant a quality figure was measured on, and by whom.

    `pass_rate` (0..1) and `run_date` stand for benchmarks that give a score of their own.
    """

    variant: str | None = None
    src: Text
    pass_rate: Share | None = None
    run_date: str | None = None


class Evidence(_Row, frozen=True, kw_only=True):
    """Where a model's facts come from; read by `why` and `check` only."""

    src: dict[str, str] = {}
    quality: dict[str, QualityEvidence] = {}
    free_src: tuple[str, ...] = ()
    free_note: str | None = None
    price_notes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


class ModelEntry(_Row, frozen=True, kw_only=True):
    """One model as one provider serves it; `id` is the exact string the provider expects."""

    provider: ProviderId
    id: Text
    name: str | None = None
    family: str | None = None
    kind: ModelKind = ModelKind.CHAT
    status: ModelStatus = ModelStatus.ACTIVE
    context_window: Tokens | None = None
    max_output: Tokens | None = None
    inputs: tuple[Text, ...] | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    open_weights: bool | None = None
    embedding_dims: Tokens | None = None
    price: Price = Price()
    free: FreeEntry = FreeEntry()
    quality: dict[str, Share] = {}
    speed_tps: Annotated[float, Meta(gt=0)] | None = None
    release_date: str | None = None
    weights: LocalWeights | None = None
    flags: dict[Quirk, Flag] = {}
    evidence: msgspec.Raw = msgspec.Raw(b"{}")

    @property
    def full_id(self) -> str:
        """Catalogue id, `provider/model`."""
        return f"{self.provider}/{self.id}"


class Source(_Row, frozen=True, kw_only=True):
    """Where facts were read; `date` may be a month or say that the copy is undated."""

    title: Text
    date: Text
    licence: Text
    url: str | None = None
    note: str | None = None


class Snapshot(_Row, frozen=True, kw_only=True):
    """One catalogue file; each bundled file fills a part of it."""

    schema_version: Literal[1]
    generated: datetime.date
    attribution: tuple[str, ...] = ()
    sources: dict[str, Source] = {}
    providers: tuple[ProviderEntry, ...] = ()
    models: tuple[ModelEntry, ...] = ()
