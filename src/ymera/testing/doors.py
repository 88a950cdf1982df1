"""Which door of a simulated provider a request knocked at: its dialect and what is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from ymera.core.model import Dialect, Endpoint, Provider

__all__ = ["PLACEHOLDER", "Door", "Wish", "door_of", "endpoint_path", "key_of"]

PLACEHOLDER = "simulated"
"""Stands for account ids in addresses."""

_BRACES = re.compile(r"\{\w+\}")
_GEMINI = re.compile(
    r"/(?:v1|v1beta)/models/(?P<model>.+):"
    r"(?P<verb>generateContent|streamGenerateContent|embedContent|batchEmbedContents)"
)
_GEMINI_LIST = re.compile(r"/(?:v1|v1beta)/models")


class Wish(StrEnum):
    """What is wanted."""

    CHAT = "chat"
    EMBED = "embed"
    MODELS = "models"
    SHOW = "show"
    VERSION = "version"
    COUNT = "count"


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request came in.

    Attributes:
        wish: what is wanted.
        dialect: in which words.
        model: as the path names it; empty when the body does.
        stream: as the path says it.
        single: the path is that of one embedding.
    """

    wish: Wish
    dialect: Dialect
    model: str = ""
    stream: bool = False
    single: bool = False


def endpoint_path(base_url: str) -> str:
    """Return the path of a base URL, account ids filled in, without a slash at the end."""
    return urlsplit(_BRACES.sub(PLACEHOLDER, base_url)).path.rstrip("/")


def door_of(provider: Provider, method: str, path: str, headers: dict[str, str]) -> Door | None:
    """Return the door, or None where this provider has none.

    Args:
        provider: the row.
        method: of HTTP.
        path: what follows the provider's own prefix; with the query.
        headers: names in lower case.
    """
    bare = unquote(urlsplit(path).path)
    for door, wanted, tail in _doors(provider, bare, headers):
        if method == wanted and bare == tail:
            return door
    return None


def _doors(
    provider: Provider, path: str, headers: dict[str, str]
) -> Iterator[tuple[Door, str, str]]:
    """Yield each door with its method and path."""
    spoken = provider.dialects
    for base in _native_bases(provider):
        if Dialect.GEMINI in spoken:
            yield from _gemini(base, path)
        if Dialect.OLLAMA in spoken:
            yield from _ollama(base)
        if Dialect.ANTHROPIC in spoken:
            chat = Door(wish=Wish.CHAT, dialect=Dialect.ANTHROPIC)
            yield chat, "POST", f"{base}/v1/messages"
            counted = Door(wish=Wish.COUNT, dialect=Dialect.ANTHROPIC)
            yield counted, "POST", f"{base}/v1/messages/count_tokens"
            if "anthropic-version" in headers:
                listed = Door(wish=Wish.MODELS, dialect=Dialect.ANTHROPIC)
                yield listed, "GET", f"{base}/v1/models"
    base = endpoint_path(provider.base_url or "")
    if Dialect.OPENAI_CHAT in spoken:
        plain = Dialect.OPENAI_CHAT
        yield Door(wish=Wish.CHAT, dialect=plain), "POST", f"{base}/chat/completions"
        yield Door(wish=Wish.EMBED, dialect=plain), "POST", f"{base}/embeddings"
        yield Door(wish=Wish.MODELS, dialect=plain), "GET", f"{base}/models"
    if Dialect.OPENAI_RESPONSES in spoken:
        responses = Door(wish=Wish.CHAT, dialect=Dialect.OPENAI_RESPONSES)
        yield responses, "POST", f"{base}/responses"


def _native_bases(provider: Provider) -> set[str]:
    """Return the paths below which the provider's own dialects lie."""
    own = {
        endpoint_path(endpoint.base_url)
        for endpoint in provider.endpoints
        if endpoint.dialect is not Dialect.OPENAI_CHAT
    }
    return own or {""}


def _gemini(base: str, path: str) -> Iterator[tuple[Door, str, str]]:
    inner = path.removeprefix(base)
    if _GEMINI_LIST.fullmatch(inner):
        yield Door(wish=Wish.MODELS, dialect=Dialect.GEMINI), "GET", path
    if found := _GEMINI.fullmatch(inner):
        verb, model = found["verb"], found["model"]
        wish = Wish.EMBED if "mbed" in verb else Wish.CHAT
        door = Door(
            wish=wish,
            dialect=Dialect.GEMINI,
            model=model,
            stream=verb == "streamGenerateContent",
            single=verb == "embedContent",
        )
        yield door, "POST", path


def _ollama(base: str) -> Iterator[tuple[Door, str, str]]:
    own = Dialect.OLLAMA
    yield Door(wish=Wish.CHAT, dialect=own), "POST", f"{base}/api/chat"
    yield Door(wish=Wish.EMBED, dialect=own), "POST", f"{base}/api/embed"
    yield Door(wish=Wish.MODELS, dialect=own), "GET", f"{base}/api/tags"
    yield Door(wish=Wish.SHOW, dialect=own), "POST", f"{base}/api/show"
    yield Door(wish=Wish.VERSION, dialect=own), "GET", f"{base}/api/version"


def key_of(provider: Provider, dialect: Dialect, path: str, headers: dict[str, str]) -> str:
    """Return the key that came along where this provider reads keys; empty without one."""
    ways = [("authorization", "Bearer {key}")]
    ways += [_way(each) for each in provider.endpoints if each.dialect is dialect]
    if dialect is Dialect.OPENAI_CHAT:
        ways.append((provider.auth_header.lower(), provider.auth_format))
    if dialect is Dialect.GEMINI:
        ways.append(("x-goog-api-key", "{key}"))
        if key := parse_qs(urlsplit(path).query).get("key"):
            return key[0]
    if dialect is Dialect.ANTHROPIC:
        ways.append(("x-api-key", "{key}"))
    for name, form in ways:
        before = form.partition("{key}")[0]
        value = headers.get(name, "")
        if value and value.startswith(before):
            return value.removeprefix(before).strip()
    return ""


def _way(endpoint: Endpoint) -> tuple[str, str]:
    return endpoint.auth_header.lower(), endpoint.auth_format
