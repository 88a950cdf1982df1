"""Logs of the server and the command line: one line each, on standard error, without secrets."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from ymera.core.redaction import redact

__all__ = ["configure_logging"]


def configure_logging(
    level: str = "warning", *, json_lines: bool = False, stream: TextIO | None = None
) -> None:
    """Send every log record of this process to one stream; for programs, never for the library.

    Calling it again replaces what it set up before and leaves other handlers alone. Whatever
    looks like a credential is masked, also in tracebacks. Tracebacks are shown at level debug.

    Args:
        level: debug, info, warning, error or critical, in any case.
        json_lines: one JSON object a line instead of a line for people.
        stream: where to; None for standard error.

    Raises:
        ValueError: no level has this name.
    """
    root = logging.getLogger()
    root.setLevel(level.upper())
    handler = _Handler(sys.stderr if stream is None else stream)
    tracebacks = root.level <= logging.DEBUG
    handler.setFormatter(_JsonLine(tracebacks) if json_lines else _HumanLine(tracebacks))
    for earlier in [found for found in root.handlers if isinstance(found, _Handler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)


class _Handler(logging.StreamHandler[TextIO]):
    """A type of its own, to be recognised when logging is configured again."""


class _OneLine(logging.Formatter):
    def __init__(self, tracebacks: bool) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def message(self, record: logging.LogRecord) -> str:
        """Return the message and what was raised, as one line."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text = f"{text}: {type(error).__name__}: {error}"
        return redact(text).replace("\r", "\\r").replace("\n", "\\n")

    def traceback(self, record: logging.LogRecord) -> str | None:
        """Return the traceback when there is one and it is wanted."""
        if not (self._tracebacks and record.exc_info):
            return None
        return redact(self.formatException(record.exc_info))


class _HumanLine(_OneLine):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower()} {record.name}: {self.message(record)}"
        traceback = self.traceback(record)
        return line if traceback is None else f"{line}\n{traceback}"


class _JsonLine(_OneLine):
    def format(self, record: logging.LogRecord) -> str:
        values = {
            "ts": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
        }
        traceback = self.traceback(record)
        if traceback is not None:
            values["traceback"] = traceback
        return msgspec.json.encode(values).decode()
