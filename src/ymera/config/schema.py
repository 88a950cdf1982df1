"""Every setting: its name, type, range, default and meaning.

The sections `models`, `security`, `performance` and `monitoring` and their names and defaults are
those of the document's configuration system (task 4); `models.default_model`,
`monitoring.store_prompts` and the other sections are ours. Descriptions are the reference: the
JSON Schema and the tables of `docs/configuration.md` are made from them.

Types are strict: the text "yes" in a file is not True and "30" is not 30. Environment variables
hold text by nature; `ymera.config.keys` parses them by the type a setting has here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, Field

from ymera.config.hosts import ProviderSettings
from ymera.config.section import Section as _Section
from ymera.config.types import (
    Directory,
    Host,
    HttpUrl,
    Many,
    Origin,
    ProviderId,
    Text,
    VariableName,
)
from ymera.core.task import TaskComplexity

__all__ = [
    "BudgetSettings",
    "DatabaseSettings",
    "LocalSettings",
    "McpServerSettings",
    "McpSettings",
    "ModelSettings",
    "MonitoringSettings",
    "PerformanceSettings",
    "ProviderSettings",
    "RunSettings",
    "SecuritySettings",
    "ServerSettings",
    "Settings",
    "ToolSettings",
]


class ModelSettings(_Section):
    """Which model answers."""

    prefer_free: bool = Field(
        True, description="Rank every model that costs nothing before any that does."
    )
    default_complexity: TaskComplexity = Field(
        TaskComplexity.MEDIUM,
        strict=False,
        description="Complexity assumed where neither the caller nor the prompt settles it.",
    )
    enable_multi_model: bool = Field(
        True,
        description="Let an agent use several models for the phases of one task. No effect yet: "
        "comes with multi-model runs.",
    )
    max_retries: int = Field(
        3,
        ge=0,
        le=20,
        description="Fallbacks: further candidates asked after one failed, each once. At 0 only "
        "the first is asked.",
    )
    default_model: Text = Field(
        "auto", description="Model asked when a request names none: catalogue id, alias or agent."
    )


class SecuritySettings(_Section):
    """What is checked and refused."""

    enable_input_validation: bool = Field(
        True, description="Run the input guards over every request before it is routed."
    )
    enable_output_validation: bool = Field(
        True,
        description="Run the output guards over every answer: credentials are redacted.",
    )
    rate_limit_per_hour: int = Field(
        100,
        ge=1,
        le=1_000_000_000,
        description="Requests per hour of one access key or named user. It never holds for the "
        "local owner, the person at this machine.",
    )
    max_input_length: int = Field(
        100_000,
        ge=1,
        le=100_000_000,
        description="Longest prompt in characters, all messages together.",
    )


class PerformanceSettings(_Section):
    """Time, concurrency and caching."""

    enable_caching: bool = Field(
        True,
        description="Answer a repeated request of the same caller from memory. Never those that "
        "are private, have tools, or draw by chance (temperature above 0 without a seed).",
    )
    cache_ttl_seconds: int = Field(
        3600,
        ge=0,
        le=31_536_000,
        description="Age in seconds from which a cached answer is no longer used; 0: none is kept.",
    )
    timeout_seconds: int = Field(
        30,
        ge=1,
        le=3600,
        description="Seconds for one call to a hosted model; each attempt has its own. A plain "
        "call has them in total, a stream for its first byte and for each silence after it. "
        "Embedded models have local.answer_timeout_seconds.",
    )
    max_concurrent_requests: int = Field(
        10,
        ge=1,
        le=10_000,
        description="Upstream calls under way at once. Further ones queue; none is refused below "
        "1,000 waiting.",
    )
    hedge_after_seconds: int | None = Field(
        None,
        ge=1,
        le=3600,
        description="Seconds after which a call that has not begun to answer (a plain one: is not "
        "whole) gets company: the next candidate is asked as well, and the first to answer wins. "
        "It spends quota, since vendors count the call that is given up, too. Free hosted models "
        "alone are asked so. null: never.",
    )


class MonitoringSettings(_Section):
    """What is counted and kept."""

    enable_metrics: bool = Field(True, description="Count requests, failures and latency.")
    enable_audit_log: bool = Field(
        True, description="Write one audit line per request under security/audit_logs."
    )
    metrics_retention_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="Days that request records, ratings and audit files are kept; older ones are "
        "removed once a day.",
    )
    store_prompts: bool = Field(
        False,
        description="Keep the text of prompts and answers with each record; without it only "
        "sizes are kept. A request with the no-store hint is never kept.",
    )


class BudgetSettings(_Section):
    """What may be spent."""

    max_usd_per_request: Decimal = Field(
        Decimal(0),
        ge=0,
        le=10_000,
        strict=False,
        allow_inf_nan=False,
        description="Most that one request may be estimated to cost, in USD. At 0 no paid model "
        "is ever called, whatever else is set.",
    )


class ServerSettings(_Section):
    """Where `ymera serve` listens and whom it listens to."""

    host: Host = Field(
        "127.0.0.1",
        description="Address to listen on. Any but loopback needs an access key. Takes effect at "
        "the next start.",
    )
    port: int = Field(
        8080,
        ge=0,
        le=65_535,
        description="Port to listen on; 0 lets the system choose. Takes effect at the next start.",
    )
    allowed_hosts: Annotated[tuple[Host, ...], Many] = Field(
        (), description="Host names accepted in requests besides loopback and `host` itself."
    )
    allowed_origins: Annotated[tuple[Origin, ...], Many] = Field(
        (),
        description="Values of the Origin header accepted besides the server's own, for clients "
        "that send one (a proxy, an extension). Preflights of browsers are not granted.",
    )
    max_body_bytes: int = Field(
        10_485_760,
        ge=1024,
        le=1_073_741_824,
        description="Largest request body in bytes.",
    )


class LocalSettings(_Section):
    """Embedded models: llama.cpp in child processes."""

    enabled: bool = Field(True, description="Offer embedded models as candidates.")
    model: Text = Field(
        "smollm2-135m",
        description="What `ymera models pull` fetches when it is given no name. Which model "
        "answers is not chosen here: every pulled one is a candidate.",
    )
    context_tokens: int = Field(
        4096, ge=256, le=1_048_576, description="Tokens of context of each slot."
    )
    slots: int = Field(2, ge=1, le=64, description="Answers one model writes at once.")
    threads: int | None = Field(
        None, ge=1, le=1024, description="Threads that generate; null chooses by the machine."
    )
    max_running_models: int = Field(
        2,
        ge=1,
        le=64,
        description="Models in memory at once. One more ends the idle one used least recently, "
        "or waits until one is idle.",
    )
    start_timeout_seconds: int = Field(
        60, ge=1, le=3600, description="Seconds within which a model must be loaded."
    )
    answer_timeout_seconds: int = Field(
        300,
        ge=1,
        le=86_400,
        description="Longest answer of an embedded model, in seconds, its wait for a slot "
        "included.",
    )
    unload_after_seconds: int | None = Field(
        600,
        ge=1,
        le=31_536_000,
        description="Idle seconds after which a model's weights leave memory until its next "
        "request; null: never.",
    )
    models_dir: Directory | None = Field(
        None, description="Directory of model files; null is `models` in the data directory."
    )


class RunSettings(_Section):
    """Multi-model runs: bounds, and where they are kept."""

    max_calls: int = Field(40, ge=1, le=100_000, description="Most model calls of one run.")
    max_tokens: int = Field(
        200_000, ge=1, le=1_000_000_000, description="Most tokens of one run, in and out."
    )
    max_usd: Decimal = Field(
        Decimal(0),
        ge=0,
        le=10_000,
        strict=False,
        allow_inf_nan=False,
        description="Most money of one run, in USD.",
    )
    max_seconds: int = Field(1800, ge=1, le=604_800, description="Longest run in seconds.")
    max_parallel_runs: int = Field(
        4, ge=1, le=1000, description="Runs under way at once in one process; others wait."
    )
    retention_days: int = Field(
        30, ge=1, le=3650, description="Days after which a finished run is removed."
    )
    database_url_env: VariableName | None = Field(
        None,
        description="Name of the environment variable that holds a PostgreSQL URL "
        "(postgresql://user:password@host/name) for runs; null keeps them in SQLite files in the "
        "data directory. Takes effect at the next start.",
    )


class DatabaseSettings(_Section):
    """A database that the read-only SQL tool may query."""

    url: Text | None = Field(
        None, description="SQLAlchemy URL without a password, such as sqlite:///sales.db."
    )
    url_env: VariableName | None = Field(
        None, description="Name of the environment variable that holds the URL instead."
    )
    description: Text | None = Field(None, description="What is in it, for models.")


class ToolSettings(_Section):
    """Tools that models may call, and how far."""

    always: bool = Field(
        False,
        description="Offer tools and MCP context to every question of `ask`, `chat` and the "
        "library, as if each had asked for them.",
    )
    allow: Annotated[tuple[Text, ...], Many] = Field(
        (),
        description="Tools with side effects that may run without asking: names such as "
        "`files__write_file`, or `files__*` for all of a server.",
    )
    read_root: Directory | None = Field(
        None, description="Directory that the tool read_file may read below; null: none."
    )
    databases: dict[ProviderId, DatabaseSettings] = Field(
        {}, description="Databases that the tool query_database may read, by name."
    )
    enable_fetch: bool = Field(
        True, description="Offer fetch_page, which reads public web pages and no private address."
    )
    max_steps: int = Field(8, ge=1, le=100, description="Most tool calls on the way to one answer.")
    timeout_seconds: int = Field(30, ge=1, le=3600, description="Seconds one tool call may take.")
    max_output_chars: int = Field(
        20_000, ge=100, le=10_000_000, description="Longest output of one call; more is cut."
    )
    max_context_tokens: int = Field(
        1500,
        ge=0,
        le=1_000_000,
        description="Tokens of context that may be brought in from outside per request.",
    )


class McpServerSettings(_Section):
    """One MCP server: a command to start, or an address."""

    command: Text | None = Field(None, description="Program to start; it speaks over stdio.")
    args: Annotated[tuple[str, ...], Many] = Field((), description="Its arguments.")
    env: Annotated[tuple[VariableName, ...], Many] = Field(
        (), description="Names of environment variables handed on to it; it gets no others."
    )
    cwd: Directory | None = Field(None, description="Its working directory.")
    url: HttpUrl | None = Field(None, description="Address of a streamable HTTP server.")
    bearer_env: VariableName | None = Field(
        None, description="Name of the environment variable that holds its bearer token."
    )
    read_only: Annotated[tuple[Text, ...], Many] = Field(
        (),
        description="Its tools that change nothing, by their own names, `*` for all; they run "
        "without asking. What a server says of its own tools is not relied on.",
    )
    enabled: bool = Field(True, description="false: not started.")
    timeout_seconds: int | None = Field(
        None, ge=1, le=3600, description="Seconds one call may take; null: tools.timeout_seconds."
    )


class McpSettings(_Section):
    """MCP servers whose tools and resources models may use."""

    servers: dict[ProviderId, McpServerSettings] = Field({}, description="Servers by name.")
    start_timeout_seconds: int = Field(
        20, ge=1, le=600, description="Seconds within which a server must answer after its start."
    )
    unload_after_seconds: int | None = Field(
        600,
        ge=1,
        le=31_536_000,
        description="Idle seconds after which a server is ended until its next use; null: never.",
    )


class Settings(_Section):
    """All settings, read by `ymera.config.load_settings`.

    Made directly, `Settings()` is the defaults: it reads neither files nor the environment.

    Raises:
        pydantic.ValidationError: a value of the wrong type or out of range, or an unknown name.
            `load_settings` turns it into a `ConfigError`.
    """

    model_config = ConfigDict(title="Ymera settings")

    models: ModelSettings = ModelSettings()
    security: SecuritySettings = SecuritySettings()
    performance: PerformanceSettings = PerformanceSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    budget: BudgetSettings = BudgetSettings()
    server: ServerSettings = ServerSettings()
    local: LocalSettings = LocalSettings()
    runs: RunSettings = RunSettings()
    tools: ToolSettings = ToolSettings()
    mcp: McpSettings = McpSettings()
    providers: dict[ProviderId, ProviderSettings] = Field(
        {}, description="Hosts of your own, and changes to hosts of the catalogue, by id."
    )
    keyless_consent: Annotated[tuple[ProviderId, ...], Many] = Field(
        (),
        description="Ids of hosts that may be sent prompts without a key: you have read their "
        "terms and agree.",
    )
    data_dir: Directory | None = Field(
        None,
        description="Data directory; null is an existing ./_data, else the platform's directory "
        "for user data. Takes effect at the next start.",
    )
