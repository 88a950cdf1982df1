"""The audit log: one JSON line per request or event, never with the text of a prompt."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from ymera.core.errors import MachineError
from ymera.core.record import RequestRecord
from ymera.core.redaction import redact

__all__ = ["AuditLog", "AuditValue"]

AuditValue = str | int | float | bool | None

_MAX_VALUE_CHARS = 500
_MAX_REMEMBERED_CHARS = 100
_OWN_ID = re.compile(r"req_[0-9a-f]{24}").fullmatch
"""Ids that we give; nothing in them can look like a credential."""

_encoder = msgspec.json.Encoder()
_log = logging.getLogger(__name__)


class AuditLog:
    """Appends to `audit-YYYY-MM-DD.jsonl`, one file per UTC day, readable by its owner alone.

    Lines are canonical: keys sorted, no spaces, UTF-8, times in UTC. A line belongs to the day of
    its `ts`. Lines go out in one `write` to a file opened for appending, so several processes may
    share a directory; a line that a crash cut short is closed off before the next one.

    Constructing one touches nothing. `write_batch` is a `BatchWriter` for `BatchingSink`.

    Args:
        directory: created when missing.
        now: returns the current time (UTC).
    """

    def __init__(self, directory: Path, *, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._now = now
        self._failing = False

    @property
    def directory(self) -> Path:
        """Where the files lie."""
        return self._directory

    def open(self) -> None:
        """Make sure that today's file can be written, to fail early.

        Raises:
            MachineError: it cannot.
        """
        self._append(self._now().astimezone(UTC).date(), b"")

    def write_batch(self, records: Sequence[RequestRecord]) -> None:
        """Append one line per request.

        Raises:
            MachineError: the directory or file cannot be written.
        """
        lines: dict[date, list[_Line]] = {}
        for record in records:
            at = record.at if record.at.tzinfo is UTC else record.at.astimezone(UTC)
            lines.setdefault(at.date(), []).append(_request_line(record, at))
        for day, of_day in lines.items():
            self._append(day, _encoder.encode_lines(of_day))

    def log(self, action: str, **fields: AuditValue) -> None:
        """Append one line for something that is no request: a start, a change, a refused origin.

        Writes at once (some 20 us). Like every sink it never raises: a full disk must not turn a
        refusal into a crash. Values that look like credentials are masked.
        """
        at = self._now().astimezone(UTC)
        detail = {name: _shown(value) for name, value in fields.items()}
        try:
            self._append(at.date(), _line({"action": action, "detail": detail, "ts": at}))
            self._failing = False
        except MachineError as error:
            if not self._failing:
                _log.warning("%s %s", error.message, error.hint)
            self._failing = True

    def _append(self, day: date, lines: bytes) -> None:
        path = self._directory / f"audit-{day.isoformat()}.jsonl"
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _append_whole(path, lines)
        except OSError as error:
            raise MachineError(
                f"The audit log '{path}' cannot be written ({error.strerror}).",
                hint="Make the directory writable, free some disk space, or switch off"
                " monitoring.enable_audit_log.",
            ) from error


def _append_whole(path: Path, lines: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if not lines:
            return
        if _is_cut(descriptor):
            lines = b"\n" + lines
        while lines:  # one call, unless the disk runs full in the middle of it
            lines = lines[os.write(descriptor, lines) :]
    finally:
        os.close(descriptor)


def _is_cut(descriptor: int) -> bool:
    if os.lseek(descriptor, 0, os.SEEK_END) == 0:
        return False
    os.lseek(descriptor, -1, os.SEEK_END)
    return os.read(descriptor, 1) != b"\n"


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is written of a request; fields in the order of the alphabet, which is the line's."""

    action: str = "request"
    error_code: str | None
    findings: tuple[str, ...] | msgspec.UnsetType
    model: str | None
    outcome: str
    principal: AuditValue
    principal_kind: str
    request_id: AuditValue
    requested_model: AuditValue
    ts: datetime


def _request_line(record: RequestRecord, at: datetime) -> _Line:
    principal, id_ = record.principal, record.id
    return _Line(
        error_code=record.error_code,
        findings=record.findings or msgspec.UNSET,
        model=record.model_id,
        outcome="success" if record.error_code is None else "failure",
        principal=_shown_name(principal.id),
        principal_kind=principal.kind,
        request_id=id_ if _OWN_ID(id_) else _shown(id_),
        requested_model=_shown_name(record.requested_model),
        ts=at,
    )


def _line(values: dict[str, object]) -> bytes:
    return msgspec.json.encode(values, order="sorted") + b"\n"


def _shown(value: AuditValue) -> AuditValue:
    """Return a value that may come from outside in a form that is safe to write down."""
    if not isinstance(value, str):
        return value
    value = redact(value[:_MAX_VALUE_CHARS])
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def _shown_name(name: str) -> AuditValue:
    """Return a name that many requests share, as `_shown`."""
    return _shown_before(name) if len(name) <= _MAX_REMEMBERED_CHARS else _shown(name)


@lru_cache(maxsize=256)
def _shown_before(name: str) -> AuditValue:
    return _shown(name)
