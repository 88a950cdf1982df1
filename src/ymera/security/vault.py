"""Provider keys at rest, encrypted; and the document's `encrypt_api_key`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ymera.core.errors import InvalidRequest, MachineError
from ymera.security.envelope import Envelope, KeyFile, Undecryptable, from_token, to_token
from ymera.security.private_files import (
    locked,
    private_directory,
    read_private,
    replace_private,
)

__all__ = ["StoredKey", "Vault", "masked", "require_key"]

_KEY_FILE = "key_encryption_keys.json"
_ROWS_FILE = "provider_keys.json"
_TOKEN = "ymv1"  # noqa: S105 - the kind of a token
_KEY = re.compile(r"[\x21-\x7e]{4,8192}")
_BEGINNING = re.compile(r"[A-Za-z]{1,8}[-_]")


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a stored key.

    Attributes:
        provider: catalogue id.
        id: name of this key, `key_` and 8 hex digits.
        created_at: when it was stored (UTC).
        shown: the recognisable beginning and a mask.
        problem: why it cannot be used; None when it can.
    """

    provider: str
    id: str
    created_at: datetime
    shown: str
    problem: str | None = None


class _Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    provider: str
    id: str
    version: int
    created_at: datetime
    envelope: Envelope

    @property
    def belongs_to(self) -> str:
        """What is authenticated together with the key."""
        return f"ymera|provider_key|{self.provider}|{self.id}|{self.version}"


class _Rows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int = 1
    rows: tuple[_Row, ...] = ()


class Vault:
    """Keeps keys of providers in two files of mode 0600; touches the disk when asked only.

    Args:
        directory: of both files (0700); created when the first key is stored.
        now: returns the current time (UTC).
    """

    def __init__(self, directory: Path, *, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._now = now
        self._rows_path = directory / _ROWS_FILE
        self._keys = KeyFile(
            directory / _KEY_FILE, now=now, in_use=lambda: bool(self._read_rows().rows)
        )

    @property
    def path(self) -> Path:
        """The file that changes whenever a provider key does."""
        return self._rows_path

    def set(self, provider: str, key: str) -> StoredKey:
        """Store the key of a provider in place of any it had.

        Raises:
            InvalidRequest: the key has blanks or control characters, or is shorter than 4.
            MachineError: the files are lost, damaged, readable by others or not writable.
        """
        require_key(key)
        private_directory(self._directory)
        with locked(self._directory):
            kept = [row for row in self._read_rows().rows if row.provider != provider]
            row = self._sealed(provider, key)
            self._write_rows((*kept, row))
        return self._stored(row)

    def list(self) -> tuple[StoredKey, ...]:
        """Return what may be shown of every key, by provider.

        Raises:
            MachineError: the rows are damaged or readable by others.
        """
        rows = sorted(self._read_rows().rows, key=lambda row: (row.provider, row.created_at))
        return tuple(self._stored(row) for row in rows)

    def reveal(self, *, strict: bool = False) -> Mapping[str, str]:
        """Return the keys that can be used, by provider.

        Args:
            strict: whether a key that was changed is an error; else it is left out.

        Raises:
            MachineError: the files are lost, damaged or readable by others.
        """
        found: dict[str, str] = {}
        for row in self._read_rows().rows:
            try:
                found[row.provider] = self._keys.open(row.envelope, row.belongs_to)
            except Undecryptable as error:
                if strict:
                    raise _not_opened(row.provider, error) from error
        return found

    def remove(self, provider: str | None) -> int:
        """Forget the keys of a provider (None: of all); return how many there were.

        Needs no key file, so that it is the way out when that is lost.

        Raises:
            MachineError: the rows are damaged or not writable.
        """
        if not self._rows_path.exists():
            return 0
        private_directory(self._directory)
        with locked(self._directory):
            rows = self._read_rows().rows
            kept = tuple(row for row in rows if provider is not None and row.provider != provider)
            if len(kept) != len(rows):
                self._write_rows(kept)
        return len(rows) - len(kept)

    def rotate(self) -> int:
        """Take a new key-encryption key and bring every stored key under it; return how many.

        Raises:
            MachineError: as `reveal`, or a key was changed; then every key stays as it was.
        """
        private_directory(self._directory)
        self.reveal(strict=True)  # all of them open, or nothing is touched
        self._keys.rotate()
        with locked(self._directory):
            rows = tuple(self._rewrapped(row) for row in self._read_rows().rows)
            self._write_rows(rows)
        return len(rows)

    def encrypt(self, secret: str) -> str:
        """Return `secret` as a token that only `decrypt` on this machine opens.

        Raises:
            MachineError: as `set`.
        """
        private_directory(self._directory)
        return to_token(_TOKEN, self._keys.seal(secret, "ymera|token"))

    def decrypt(self, token: str) -> str:
        """Return what `encrypt` was given.

        Raises:
            InvalidRequest: it is no such token, was changed, or was made elsewhere.
            MachineError: the key file is lost, damaged or readable by others.
        """
        try:
            return self._keys.open(from_token(_TOKEN, token), "ymera|token")
        except Undecryptable as error:
            raise InvalidRequest(
                f"The encrypted key cannot be opened: {error}.",
                hint="Pass on exactly what encrypt_api_key returned on this machine.",
                param="token",
            ) from error

    def key_ages(self) -> tuple[datetime, ...]:
        """Return when each key-encryption key was made, the newest last.

        Raises:
            MachineError: the key file is damaged or readable by others.
        """
        return self._keys.ages()

    def _sealed(self, provider: str, key: str) -> _Row:
        row = _Row(
            provider=provider,
            id=f"key_{secrets.token_hex(4)}",
            version=1,
            created_at=self._now().astimezone(UTC),
            envelope=Envelope(kek="", wrapped=b"", sealed=b""),
        )
        return msgspec.structs.replace(row, envelope=self._keys.seal(key, row.belongs_to))

    def _rewrapped(self, row: _Row) -> _Row:
        envelope = self._keys.rewrap(row.envelope, row.belongs_to)
        return msgspec.structs.replace(row, envelope=envelope)

    def _stored(self, row: _Row) -> StoredKey:
        shown, problem = masked(""), None
        try:
            shown = masked(self._keys.open(row.envelope, row.belongs_to))
        except Undecryptable as error:
            problem = f"cannot be decrypted: {error}"
        except MachineError as error:
            problem = error.message
        return StoredKey(
            provider=row.provider,
            id=row.id,
            created_at=row.created_at,
            shown=shown,
            problem=problem,
        )

    def _read_rows(self) -> _Rows:
        data = read_private(self._rows_path)
        if data is None:
            return _Rows()
        try:
            return msgspec.json.decode(data, type=_Rows)
        except msgspec.DecodeError as error:
            raise MachineError(
                f"The stored keys in '{self._rows_path}' are damaged.",
                hint="Put the file back from a backup, or delete it and set the keys anew.",
            ) from error

    def _write_rows(self, rows: tuple[_Row, ...]) -> None:
        replace_private(self._rows_path, msgspec.json.encode(_Rows(rows=rows)))


def require_key(key: str) -> None:
    """Check the form of a provider's key.

    Raises:
        InvalidRequest: it has blanks or control characters, or is shorter than 4.
    """
    if not _KEY.fullmatch(key):
        raise InvalidRequest(
            "This cannot be a key: it has blanks or other characters that no key has, or is too"
            " short.",
            hint="Copy the key alone, without quotes and without its name.",
            param="key",
        )


def masked(key: str) -> str:
    """Return what may be shown of a key: its vendor's beginning, if it has one, and a mask."""
    beginning = _BEGINNING.match(key)
    return f"{beginning[0] if beginning else ''}***"


def _not_opened(provider: str, error: Undecryptable) -> MachineError:
    return MachineError(
        f"The stored key of {provider} cannot be decrypted: {error}.",
        hint=f"`ymera keys set {provider}` stores it anew, `ymera keys remove {provider}` drops"
        " it.",
    )
