"""Types of settings that need more than a range: names, addresses, directories.

Each check raises ValueError with the noun phrase that completes "KEY must be ...".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

__all__ = ["Directory", "Host", "HttpUrl", "Many", "Origin", "ProviderId", "Text", "VariableName"]

_PROVIDER_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")


def _check_provider_id(text: str) -> str:
    if not _PROVIDER_ID.fullmatch(text):
        raise ValueError("a lower-case name of letters, digits, - and _, up to 64 long")
    return text


def _check_variable_name(text: str) -> str:
    if not _VARIABLE_NAME.fullmatch(text):
        raise ValueError("the name of an environment variable, never the key itself")
    return text


def _check_http_url(text: str) -> str:
    phrase = "an http:// or https:// address without user name, password, query or fragment"
    try:
        url = urlsplit(text)
        _ = url.port  # parsed on access
    except ValueError:
        raise ValueError(phrase) from None
    if url.scheme not in {"http", "https"} or not url.hostname or "@" in url.netloc:
        raise ValueError(phrase)
    if url.query or url.fragment or any(char.isspace() for char in text):
        raise ValueError(phrase)
    return text


def _check_host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("a host name or address, without scheme and path")
    return text


def _check_origin(text: str) -> str:
    phrase = "an origin such as https://chat.example.org, without path"
    try:
        _check_http_url(text)
    except ValueError:
        raise ValueError(phrase) from None
    if urlsplit(text).path:
        raise ValueError(phrase)
    return text


def _check_not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("text that is not empty")
    return text


def _check_path(value: object) -> object:
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise ValueError("the path of a directory")
    return value


Text = Annotated[str, AfterValidator(_check_not_empty)]
ProviderId = Annotated[str, AfterValidator(_check_provider_id)]
VariableName = Annotated[str, AfterValidator(_check_variable_name)]
HttpUrl = Annotated[str, AfterValidator(_check_http_url)]
Host = Annotated[str, AfterValidator(_check_host)]
Origin = Annotated[str, AfterValidator(_check_origin)]
# Files know lists and text only, so the container may be lax; its items stay strict.
Directory = Annotated[Path, BeforeValidator(_check_path), Field(strict=False)]
Many = Field(strict=False)
