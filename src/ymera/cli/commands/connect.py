"""`ymera connect`: other programs' settings, printed or written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import click

from ymera.cli.clients.files import backup_of, read_text, replace_text
from ymera.cli.clients.merge import merged
from ymera.cli.clients.table import CLIENTS, PLACEHOLDER, Client
from ymera.cli.output import echo_json, note
from ymera.core.errors import ConfigError, InvalidRequest

__all__ = ["command"]

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?"
)
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - recognised, not listened on
_LOOPBACK = re.compile(r"127\.\d+\.\d+\.\d+|localhost|\[::1\]")


@click.command(name="connect", short_help="Another program's settings for asking Ymera.")
@click.argument("client", metavar="CLIENT", type=click.Choice(list(CLIENTS)))
@click.option("--write", is_flag=True, help="Write them, a copy of the old file beside it.")
@click.option("--url", metavar="URL", help="Where the server listens, if not as configured.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(client: str, write: bool, url: str | None, as_json: bool) -> None:
    """Print what CLIENT has to be told to ask Ymera, and where; or write it.

    CLIENT is claude-code, codex, aider, opencode or open-webui. Other settings in the file are
    kept. No key is written: on loopback the server wants none.
    """
    row = CLIENTS[client]
    base = _base_url(url) if url else _configured_url()
    path = row.path(os.environ, Path.home())
    values = row.values(base)
    old, new = _planned(row, path, values, write=write)
    backup = _write(path, old, new) if write and new is not None else None
    notes = (*row.notes, *_about(base))
    if as_json:
        echo_json(
            {
                "client": client,
                "url": base,
                "model": row.model,
                "routes": row.routes,
                "file": str(path),
                "format": row.kind,
                "settings": values,
                "written": write and new != old,
                "up_to_date": new is not None and new == old,
                "backup": None if backup is None else str(backup),
                "notes": notes,
            }
        )
    elif write:
        _tell_written(row, path, backup, changed=new != old)
        _tell(notes)
    else:
        note(f"{row.name} asks {', '.join(row.routes)}. Into {path}:")
        click.echo(merged(row.kind, "", values), nl=False)
        _tell(notes)
        note(f"`ymera connect {client} --write` does it and keeps your other settings.")


def _planned(
    row: Client, path: Path, values: Mapping[str, object], *, write: bool
) -> tuple[str | None, str | None]:
    """Return what the file holds and what it would hold; None for the latter if it cannot be.

    Raises:
        ConfigError: it shall be written, and cannot be read or edited.
    """
    try:
        old = read_text(path)
        return old, merged(row.kind, old or "", values)
    except ConfigError as error:
        if not write:
            return None, None
        if str(path) in error.message:
            raise
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from error


def _write(path: Path, old: str | None, new: str) -> Path | None:
    """Write the file unless it says so already; return the copy of what it held."""
    if new == old:
        return None
    backup = None if old is None else backup_of(path)
    replace_text(path, new, backup=backup)
    return backup


def _tell_written(row: Client, path: Path, backup: Path | None, *, changed: bool) -> None:
    if not changed:
        note(f"{path} says so already; nothing was changed.")
        return
    note(f"{row.name} will ask Ymera: {path} is written.")
    if backup is not None:
        note(f"What it held before is in {backup}.")


def _tell(notes: tuple[str, ...]) -> None:
    for line in notes:
        note(f"  {line}")


def _about(base: str) -> tuple[str, ...]:
    found = _URL.fullmatch(base)
    if found is not None and _LOOPBACK.fullmatch(found["host"]):
        return ("The server has to run: ymera serve.",)
    return (f"This is not loopback: put an access key where {PLACEHOLDER!r} stands.",)


def _base_url(given: str) -> str:
    """Return scheme, host and port of a URL.

    Raises:
        InvalidRequest: it is something else, or carries a password or a query.
    """
    base = given.strip().rstrip("/").removesuffix("/v1")
    found = _URL.fullmatch(base)
    if found is None or (found[3] and not 0 < int(found[3]) < 65_536):
        raise InvalidRequest(
            "The URL of the server is not understood.",
            hint="Give scheme, host and port alone: --url http://127.0.0.1:8080",
            param="url",
        )
    return base


def _configured_url(environ: Mapping[str, str] | None = None) -> str:
    from ymera.config.load import load_settings

    server = load_settings(environ=environ).settings.server
    host = _ANY_ADDRESS.get(server.host, server.host)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{server.port or 8080}"
