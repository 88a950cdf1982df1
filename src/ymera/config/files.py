"""Reading configuration files: TOML or JSON, UTF-8, of modest size.

Whatever is wrong with a file is a `ConfigError` that names it, with line and column where it does
not parse. Numbers with a fraction become `Decimal`, so that money stays exact.
"""

from __future__ import annotations

import json
import re
import stat
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple, NoReturn

from ymera.core.errors import ConfigError

__all__ = ["MAX_FILE_BYTES", "FileStamp", "file_stamp", "read_table"]

MAX_FILE_BYTES = 1_048_576
_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


class FileStamp(NamedTuple):
    """What changes when a file is edited or replaced; times in nanoseconds, size in bytes."""

    modified_ns: int
    changed_ns: int
    size: int
    inode: int


def file_stamp(path: Path) -> FileStamp | None:
    """Return the stamp of a file, None where there is none to be seen."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return FileStamp(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def read_table(path: Path) -> dict[str, object] | None:
    """Return what a file holds, None when it does not exist.

    Args:
        path: read as JSON when its name ends in `.json`, else as TOML.

    Raises:
        ConfigError: it cannot be read, is no regular file, larger than 1 MiB, not UTF-8, does not
            parse, or holds no table.
    """
    data = _read_bytes(path)
    if data is None:
        return None
    try:
        text = data.decode("utf-8-sig")  # editors of some systems write a byte order mark
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: byte {error.start + 1} is not UTF-8.", hint="Save the file as UTF-8."
        ) from error
    parsed = _parse_json(path, text) if path.suffix == ".json" else _parse_toml(path, text)
    if not isinstance(parsed, dict):
        raise ConfigError(
            f"{path}: the file must hold one JSON object.",
            hint='Write settings as {"models": {"prefer_free": true}}.',
        )
    return parsed


def _read_bytes(path: Path) -> bytes | None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ConfigError(
                f"{path} is a directory, not a configuration file.",
                hint="Name a file, or move the directory out of the way.",
            )
        if not stat.S_ISREG(mode):  # reading a pipe or a device might never end
            raise ConfigError(
                f"{path} is not a regular file.", hint="Write the settings to a file first."
            )
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise ConfigError(
            f"{str(path)!a} cannot be read: {reason}.",
            hint="Make it readable for your user, or move it out of the way.",
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(
            f"{path} is larger than {MAX_FILE_BYTES:,} bytes.",
            hint="A configuration file holds a few lines; is this the right file?",
        )
    return data


def _parse_toml(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        reason = message[: place.start()] if place else message
        if place and place["line"]:
            line, column = int(place["line"]), int(place["column"])
        else:
            last = text.splitlines()[-1] if text.splitlines() else ""
            line, column = max(1, len(text.splitlines())), len(last) + 1
        _fail_to_parse(path, "TOML", line, column, reason, error)
    except (ValueError, ArithmeticError, RecursionError) as error:
        _fail_to_parse(path, "TOML", None, None, "a value is too large or too deep", error)


def _parse_json(path: Path, text: str) -> object:
    def table(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in pairs:
            if name in found:
                raise ConfigError(
                    f"{path}: {json.dumps(name[:60])} stands twice in one object.",
                    hint="Keep one of the two.",
                )
            found[name] = value
        return found

    try:
        return json.loads(text, parse_float=Decimal, object_pairs_hook=table)
    except json.JSONDecodeError as error:
        reason = error.msg[0].upper() + error.msg[1:]
        _fail_to_parse(path, "JSON", error.lineno, error.colno, reason, error)
    except (ValueError, ArithmeticError, RecursionError) as error:
        _fail_to_parse(path, "JSON", None, None, "a value is too large or too deep", error)


def _fail_to_parse(
    path: Path, form: str, line: int | None, column: int | None, reason: str, error: Exception
) -> NoReturn:
    place = "" if line is None else f", line {line}, column {column}"
    raise ConfigError(
        f"{path}{place}: not valid {form}: {reason}.", hint="Correct the file at that place."
    ) from error
