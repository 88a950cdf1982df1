"""Fetches one file of a model hub over HTTPS, going on by Range where a connection was cut."""

from __future__ import annotations

import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import cast
from urllib.parse import quote, urlsplit

from ymera.core.errors import ConfigError, MachineError
from ymera.core.model import HubFile
from ymera.providers.pull_file import PartFile, read_chunks

__all__ = ["OFFICIAL_HUB", "fetch_hub_file"]

OFFICIAL_HUB = "https://huggingface.co"

_MAX_CONNECTIONS = 20
_SILENCE_S = 30.0
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def fetch_hub_file(source: HubFile, part: PartFile, hub_url: str) -> None:
    """Append to `part` what it lacks of the file.

    A cut connection is followed by another one as long as each brings something. When the
    network gives up, `part` is kept for the next try.

    Args:
        source: repository and path.
        part: receives the bytes; what it holds already is not asked for again.
        hub_url: of the hub, https (http on this machine only).

    Raises:
        ConfigError: `hub_url` is neither.
        MachineError: unreachable, refused, or disk full.
    """
    url = _address(source, hub_url)
    for _ in range(_MAX_CONNECTIONS):
        if part.complete:
            return
        before = part.size_bytes
        reason = "the connection is cut at once"
        try:
            with _open(url, before) as answer:
                _append(answer, part)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                part.restart()
                continue
            raise _refused(error.code, source, url) from error
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", error))
        if part.size_bytes <= before:
            raise _unreachable(url, reason)
    if not part.complete:
        raise _unreachable(url, "the connection is cut again and again")


def _address(source: HubFile, hub_url: str) -> str:
    hub = urlsplit(hub_url)
    if hub.scheme != "https" and not (hub.scheme == "http" and hub.hostname in _LOOPBACK):
        raise ConfigError(
            f"The address of the model hub, {hub_url!r}, does not start with https://.",
            hint="Correct it (HF_ENDPOINT), or leave it out for the official hub.",
        )
    return f"{hub_url.rstrip('/')}/{quote(source.repo)}/resolve/main/{quote(source.file)}"


def _open(url: str, offset_bytes: int) -> HTTPResponse:
    headers = {"User-Agent": "ymera"}
    if offset_bytes:
        headers["Range"] = f"bytes={offset_bytes}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - `_address` checked it
    return cast(
        "HTTPResponse",
        urllib.request.urlopen(request, timeout=_SILENCE_S),  # noqa: S310 - likewise
    )


def _append(answer: HTTPResponse, part: PartFile) -> None:
    """Add the body, from the start when the server did not heed the range."""
    expected = f"bytes {part.size_bytes}-"
    if part.size_bytes and not answer.headers.get("Content-Range", "").startswith(expected):
        part.restart()
    for chunk in read_chunks(answer):
        part.write(chunk)


def _refused(status: int, source: HubFile, url: str) -> MachineError:
    host = urlsplit(url).hostname
    match status:
        case 404:
            what, hint = f"does not have {source}", "Update Ymera: the file may have moved."
        case 401 | 403:
            what, hint = f"does not give {source} to everyone", "Choose another model."
        case _:
            what, hint = f"answered with status {status}", "Try again later."
    return MachineError(f"The model hub {host} {what}.", hint=hint)


def _unreachable(url: str, reason: str) -> MachineError:
    return MachineError(
        f"The model hub {urlsplit(url).hostname} cannot be reached: {reason}.",
        hint="Check the network and pull again: it goes on where it stopped. Where the hub is out "
        "of reach, HF_ENDPOINT may name a mirror of it.",
    )
