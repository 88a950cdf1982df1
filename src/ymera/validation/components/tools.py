"""tools: the built-in ones do their work, and neither a path, a statement nor a gate gives way."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ymera.core.access import LOCAL_OWNER
from ymera.core.tool import Tool, ToolEffect, ToolResult
from ymera.storage.records import SqlRecordStore
from ymera.validation.report import Check, Unmet, check

if TYPE_CHECKING:
    from pathlib import Path

    from ymera.app import App
    from ymera.validation.installation import Installation

__all__ = ["examine"]

_DATABASE = "requests"
_COUNT = "SELECT count(*) AS n FROM ymera_requests"
_WRITES = (
    "DELETE FROM ymera_requests",
    "DROP TABLE ymera_requests",
    "SELECT 1; DROP TABLE ymera_requests",
)
_PRIVATE = ("http://127.0.0.1/", "http://169.254.169.254/latest/meta-data/", "file:///etc/hosts")
_CLOCK_WITHIN = timedelta(minutes=2)


async def examine(installation: Installation) -> AsyncGenerator[Check, None]:
    """Make the checks."""
    root = installation.directory("files")
    word = os.urandom(6).hex()
    (root / "notes.txt").write_text(f"The word is {word}.\n", encoding="utf-8")
    (root.parent / "outside.txt").write_text("not for tools\n", encoding="utf-8")
    database = installation.directory("database") / "requests.sqlite3"
    store = SqlRecordStore(database)
    store.open()
    store.close()
    flags: dict[str, object] = {
        "tools.read_root": str(root),
        f"tools.databases.{_DATABASE}.url": f"sqlite:///{database}",
        "tools.allow": (),
        "tools.enable_fetch": True,
    }
    async with installation.app(flags=flags) as app:
        yield await check("calculator", _calculator(app))
        yield await check("clock", _clock(app))
        yield await check("read_file", _read_file(app, word, root))
        yield await check("query_database", _query(app))
        yield await check("fetch_page", _fetch(app))
        yield await check("gate", _gate(app))


async def _calculator(app: App) -> str:
    result = await _call(app, "calculator", {"expression": "12345 * 6789 + 1"})
    if result.is_error or "83810206" not in result.text.replace(",", ""):
        raise Unmet(f"12345 * 6789 + 1 gave {result.text!r}.")
    huge = await _call(app, "calculator", {"expression": "9 ** 9 ** 9 ** 9"})
    if not huge.is_error:
        raise Unmet("An endless power was worked out.")
    return "83810206, and an endless power is refused"


async def _clock(app: App) -> str:
    result = await _call(app, "current_time", {})
    now = datetime.now(UTC)
    days = {(now + offset).strftime("%Y-%m-%d") for offset in (-_CLOCK_WITHIN, _CLOCK_WITHIN)}
    if result.is_error or not any(day in result.text for day in days):
        raise Unmet(f"The clock says {result.text!r}.")
    return result.text


async def _read_file(app: App, word: str, root: Path) -> str:
    result = await _call(app, "read_file", {"path": "notes.txt"})
    if result.is_error or word not in result.text:
        raise Unmet(f"The file gave {result.text!r}.")
    for path in ("../outside.txt", str(root.parent / "outside.txt")):
        outside = await _call(app, "read_file", {"path": path})
        if not outside.is_error:
            raise Unmet(f"{path} was read, which lies outside of tools.read_root.")
    return "a file below its root is read, one outside is not"


async def _query(app: App) -> str:
    count = {"database": _DATABASE, "sql": _COUNT}
    before = await _call(app, "query_database", count)
    if before.is_error or "0" not in before.text:
        raise Unmet(f"Counting an empty table gave {before.text!r}.")
    for sql in (
        "DELETE FROM ymera_requests",
        "DROP TABLE requests",
        "SELECT 1; DROP TABLE requests",
    ):
        changed = await _call(app, "query_database", {"database": _DATABASE, "sql": sql})
        if not changed.is_error:
            raise Unmet(f"{sql!r} was let through.")
    if (await _call(app, "query_database", count)).text != before.text:
        raise Unmet("The table is not what it was.")
    return "reads rows, refuses to write"


async def _fetch(app: App) -> str:
    for url in _PRIVATE:
        result = await _call(app, "fetch_page", {"url": url})
        if not result.is_error:
            raise Unmet(f"{url} was fetched, which is not public.")
    return "no private address is fetched (public ones are not tried: no network is needed)"


async def _gate(app: App) -> str:
    """What changes something is refused unless it is on the allowlist."""
    writer = Tool(
        name="files__write_file",
        description="Writes a file.",
        parameters=msgspec.Raw(b'{"type":"object"}'),
        effect=ToolEffect.SIDE_EFFECT,
        source="mcp:files",
    )
    verdict = app.securing.manager.validate_tool_execution(writer, {"path": "a.txt"})
    if verdict["allowed"] or "tools.allow" not in (verdict["hint"] or ""):
        raise Unmet("A tool with side effects was let through.")
    reader = msgspec.structs.replace(writer, name="files__read", effect=ToolEffect.READ_ONLY)
    if not app.securing.manager.validate_tool_execution(reader, {"path": "a.txt"})["allowed"]:
        raise Unmet("A tool that only reads was refused.")
    return "a tool with side effects needs tools.allow"


async def _call(app: App, name: str, arguments: Mapping[str, object]) -> ToolResult:
    return (await app.tools.box.call(name, arguments, LOCAL_OWNER)).result
