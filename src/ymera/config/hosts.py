"""What the settings say of a host (`providers.ID`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ymera.config.section import Section
from ymera.config.types import HttpUrl, Many, Text, VariableName
from ymera.core.model import Quirk

__all__ = ["ProviderSettings"]


class ProviderSettings(Section):
    """A host of your own, or what is to differ for a host of the catalogue.

    For a host of the catalogue only what is set differs; a host of your own needs `models` and,
    unless it is scripted, `base_url`.
    """

    # Code that lays this over a row of the catalogue asks `model_fields_set` what is set.

    kind: Literal["openai-chat", "scripted"] = Field(
        "openai-chat",
        description="openai-chat is any host of that dialect; scripted is the shipped double.",
    )
    base_url: HttpUrl | None = Field(
        None,
        description="Address of the OpenAI dialect, such as http://127.0.0.1:8000/v1; it replaces"
        " every address of a catalogue's host.",
    )
    dialect: Literal["openai-chat", "anthropic", "gemini", "ollama"] | None = Field(
        None,
        description="What is spoken at that address; null: openai-chat. The others' addresses end"
        " before /v1, /v1beta or /api.",
    )
    flags: Annotated[tuple[Annotated[Quirk, Many], ...], Many] | None = Field(
        None,
        description="How the host departs from its dialect (docs/providers.md); null leaves what"
        " the catalogue says.",
    )
    key_env: VariableName | None = Field(
        None,
        description="Name of the environment variable that holds the key, not the key; null:"
        " the id in capitals and _API_KEY for a host of your own.",
    )
    models: Annotated[tuple[Text, ...], Many] = Field(
        (), description="Models of this host, as the host names them."
    )
    embedding_models: Annotated[tuple[Text, ...], Many] = Field(
        (), description="Those of its models that make vectors of texts."
    )
    free: bool = Field(False, description="You vouch that its models cost nothing.")
    keyless: bool = Field(False, description="The host answers without a key.")
    context_window: int | None = Field(
        None, ge=256, le=100_000_000, description="Tokens of context of its models; null: unknown."
    )
    tools: bool | None = Field(
        None, description="Its models call tools by themselves; null: unknown, counts as no."
    )
    json_schema: bool | None = Field(
        None, description="Its models keep to a JSON Schema; null: unknown, counts as no."
    )
    keys_share_quota: bool = Field(
        True,
        description="Several keys of this host count against one quota, as keys of one account"
        " do; false: each is of an account of its own.",
    )
    rpm: int | None = Field(
        None,
        ge=1,
        le=10**12,
        description="Requests a minute that its models together may be asked; null:"
        " what the catalogue says, else unknown. So with the next three. What is known of single"
        " models holds besides.",
    )
    rpd: int | None = Field(None, ge=1, le=10**12, description="Requests in any 24 hours.")
    tpm: int | None = Field(None, ge=1, le=10**12, description="Tokens a minute, in and out.")
    tpd: int | None = Field(None, ge=1, le=10**12, description="Tokens in any 24 hours.")
    enabled: bool = Field(True, description="false takes the host out of every choice.")
