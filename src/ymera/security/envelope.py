"""Encryption at rest: each secret under a key of its own, those under a key-encryption key.

AES-256-GCM throughout. What a secret belongs to is authenticated with it, so that a row cannot be
passed off as another's. Changing the key-encryption key re-wraps small keys, never secrets.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ymera.core.errors import MachineError
from ymera.security.private_files import create_private, locked, read_private, replace_private

__all__ = ["Envelope", "KeyFile", "Undecryptable", "from_token", "to_token"]

_KEY_BYTES = 32
_NONCE_BYTES = 12


class Undecryptable(Exception):
    """A secret was changed, belongs to something else, or its key-encryption key is not here."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One encrypted secret.

    Attributes:
        kek: id of the key-encryption key.
        wrapped: the secret's own key: nonce and ciphertext.
        sealed: the secret: nonce and ciphertext.
    """

    kek: str
    wrapped: bytes
    sealed: bytes


class _Kek(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    created_at: datetime
    key: bytes


class _KeyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file holds: the newest key comes last, older ones still open older secrets."""

    version: int
    keys: tuple[_Kek, ...]


class KeyFile:
    """The key-encryption keys, in a file of mode 0600; made at the first secret.

    Args:
        path: of the file; its directory exists.
        now: returns the current time (UTC).
        in_use: whether secrets exist that need an existing key file: then a missing one is an
            error, and no new one is made over it.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], datetime], in_use: Callable[[], bool]
    ) -> None:
        self._path = path
        self._now = now
        self._in_use = in_use

    def seal(self, secret: str, belongs_to: str) -> Envelope:
        """Encrypt `secret`, bound to `belongs_to`.

        Raises:
            MachineError: the key file is lost, damaged, readable by others or not writable.
        """
        kek = self._keys(create=True).keys[-1]
        own = secrets.token_bytes(_KEY_BYTES)
        return Envelope(
            kek=kek.id,
            wrapped=_encrypt(kek.key, own, f"{belongs_to}|{kek.id}"),
            sealed=_encrypt(own, secret.encode(), belongs_to),
        )

    def open(self, envelope: Envelope, belongs_to: str) -> str:
        """Return the secret.

        Raises:
            Undecryptable: it was changed, or is not `belongs_to`'s, or its key is not here.
            MachineError: as `seal`.
        """
        own = self._own_key(self._keys(), envelope, belongs_to)
        return _decrypt(own, envelope.sealed, belongs_to).decode()

    def rewrap(self, envelope: Envelope, belongs_to: str) -> Envelope:
        """Return the envelope under the newest key-encryption key.

        Raises:
            Undecryptable, MachineError: as `open`.
        """
        keys = self._keys()
        own = self._own_key(keys, envelope, belongs_to)
        newest = keys.keys[-1]
        wrapped = _encrypt(newest.key, own, f"{belongs_to}|{newest.id}")
        return Envelope(kek=newest.id, wrapped=wrapped, sealed=envelope.sealed)

    def rotate(self) -> str:
        """Add a new key-encryption key, used from now on; return its id.

        Older ones stay in the file: what is sealed under them still opens.

        Raises:
            MachineError: as `seal`.
        """
        with locked(self._path.parent):
            keys = self._keys(create=True)
            new = self._new_key()
            self._write(msgspec.structs.replace(keys, keys=(*keys.keys, new)))
        return new.id

    def ages(self) -> tuple[datetime, ...]:
        """Return when each key-encryption key was made, the newest last; never a key.

        Raises:
            MachineError: as `seal`.
        """
        return tuple(k.created_at for k in self._keys().keys) if self._path.exists() else ()

    def _own_key(self, keys: _KeyFile, envelope: Envelope, belongs_to: str) -> bytes:
        kek = next((each for each in keys.keys if each.id == envelope.kek), None)
        if kek is None:
            raise Undecryptable(f"it was encrypted under the key {envelope.kek!a}, not held here")
        return _decrypt(kek.key, envelope.wrapped, f"{belongs_to}|{kek.id}")

    def _keys(self, *, create: bool = False) -> _KeyFile:
        data = read_private(self._path)
        if data is None and create and not self._in_use():
            fresh = _KeyFile(version=1, keys=(self._new_key(),))
            create_private(self._path, msgspec.json.encode(fresh))
            data = read_private(self._path)  # ours, or that of a process that was first
        if data is None:
            raise MachineError(
                f"The key file '{self._path}' is lost; without it nothing stored can be decrypted.",
                hint="Put it back from a backup. If there is none: `ymera keys remove --all`, then"
                " set the keys anew. Nothing was overwritten.",
            )
        try:
            found = msgspec.json.decode(data, type=_KeyFile)
        except msgspec.DecodeError as error:
            raise self._damaged() from error
        if not found.keys or any(len(each.key) != _KEY_BYTES for each in found.keys):
            raise self._damaged()
        return found

    def _damaged(self) -> MachineError:
        return MachineError(
            f"The key file '{self._path}' is damaged.",
            hint="Put it back from a backup. Nothing was overwritten.",
        )

    def _new_key(self) -> _Kek:
        return _Kek(
            id=f"kek_{secrets.token_hex(4)}",
            created_at=self._now().astimezone(UTC),
            key=secrets.token_bytes(_KEY_BYTES),
        )

    def _write(self, keys: _KeyFile) -> None:
        replace_private(self._path, msgspec.json.encode(keys))


def to_token(prefix: str, envelope: Envelope) -> str:
    """Return an envelope as one word of letters, digits, `.`, `-` and `_`."""
    parts = (envelope.wrapped, envelope.sealed)
    return ".".join((prefix, envelope.kek, *(_text(part) for part in parts)))


def from_token(prefix: str, token: str) -> Envelope:
    """Return the envelope of a token.

    Raises:
        Undecryptable: it is not one.
    """
    pieces = token.strip().split(".")
    if len(pieces) != 4 or pieces[0] != prefix:
        raise Undecryptable("it is no token of this kind")
    try:
        wrapped, sealed = (
            base64.b64decode(p + "=" * (-len(p) % 4), altchars=b"-_", validate=True)
            for p in pieces[2:]
        )
    except ValueError as error:
        raise Undecryptable("it is no token of this kind") from error
    return Envelope(kek=pieces[1], wrapped=wrapped, sealed=sealed)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encrypt(key: bytes, data: bytes, belongs_to: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, belongs_to.encode())


def _decrypt(key: bytes, data: bytes, belongs_to: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], belongs_to.encode())
    except (InvalidTag, ValueError) as error:  # ValueError: too short to be one
        raise Undecryptable("it was changed, or belongs to something else") from error
