"""`read_file` and `list_files`: text files below one configured directory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ymera.core.tool import ContextItem, Tool, ToolEffect
from ymera.tools.builtin import BuiltinTool, ToolFailed, text_argument
from ymera.tools.builtin.files_below import FilesBelow
from ymera.tools.relevance import relevance, shared_terms, terms

__all__ = ["make_list_files", "make_read_file"]

_MAX_CHOICES = 100
_MAX_LISTED = 500
_MAX_LISTED_FOR_A_QUESTION = 25
_MAX_NAMED_FILES = 3
_MAX_SEARCHED = 300
_SEARCHED_BYTES = 10_000
_LEAST_SHARE = 0.5
_PATH = re.compile(r"[\w./-]*[\w-]\.\w+")


def make_read_file(
    root: Path, *, max_output_chars: int = 20_000, max_bytes: int = 1_000_000
) -> BuiltinTool:
    """Return `read_file`.

    For a question it brings in the files the question names, else a list of those whose names or
    first 10,000 bytes bear on it.

    Args:
        root: directory whose files may be read.
        max_output_chars: longest text of one file handed on.
        max_bytes: larger files are read up to here.
    """
    files = FilesBelow(root, max_bytes=max_bytes)

    async def describe() -> Tool:
        return _described(await asyncio.to_thread(files.names), max_output_chars)

    async def run(arguments: Mapping[str, object]) -> str:
        return await asyncio.to_thread(files.read, text_argument(arguments, "path"))

    async def context(query: str) -> Sequence[ContextItem]:
        return await asyncio.to_thread(_context, files, query)

    return BuiltinTool(describe=describe, run=run, context=context)


def make_list_files(root: Path) -> BuiltinTool:
    """Return `list_files`.

    Args:
        root: directory whose files are listed.
    """
    files = FilesBelow(root)

    async def describe() -> Tool:
        return _LIST_FILES

    async def run(arguments: Mapping[str, object]) -> str:
        folder = text_argument(arguments, "folder", "").strip("./")
        names = await asyncio.to_thread(files.names)
        below = [name for name in names if not folder or name.startswith(f"{folder}/")]
        rest = f"\n[{len(below) - _MAX_LISTED} more]" if len(below) > _MAX_LISTED else ""
        return "\n".join(below[:_MAX_LISTED]) + rest or "No files there."

    return BuiltinTool(describe=describe, run=run)


def _described(names: list[str], max_output_chars: int) -> Tool:
    path: dict[str, object] = {"type": "string", "description": "As list_files shows it."}
    if 0 < len(names) <= _MAX_CHOICES:
        path["enum"] = names
    return Tool(
        name="read_file",
        description="Reads a text file: notes, documents, settings, tables, logs.",
        parameters=msgspec.Raw(
            msgspec.json.encode(
                {
                    "type": "object",
                    "properties": {"path": path},
                    "required": ["path"],
                    "additionalProperties": False,
                }
            )
        ),
        effect=ToolEffect.READ_ONLY,
        timeout_s=10.0,
        max_output_chars=max_output_chars,
    )


def _context(files: FilesBelow, query: str) -> list[ContextItem]:
    names = files.names()
    items = []
    for name in _named(query, names)[:_MAX_NAMED_FILES]:
        try:
            items.append(ContextItem(text=files.read(name), source=f"file:{name}"))
        except ToolFailed:
            continue
    if items or not names:
        return items
    listed = "\n".join(_fitting(files, query, names))
    return [ContextItem(text=f"Files:\n{listed}", source="tool:read_file")]


def _fitting(files: FilesBelow, query: str, names: list[str]) -> list[str]:
    """Return the files whose names or contents bear on the question, with the words they share.

    All of them, by name, when none does.
    """
    texts = [f"{name} {_beginning(files, name)}" for name in names[:_MAX_SEARCHED]]
    scores = relevance(query, texts)
    ranked = sorted(range(len(texts)), key=lambda place: -scores[place])
    best = scores[ranked[0]]
    if best == 0:
        return names[:_MAX_LISTED_FOR_A_QUESTION]
    near = [place for place in ranked if scores[place] >= _LEAST_SHARE * best]
    words = re.findall(r"\w+", query.lower())
    lines = []
    for place in near[:_MAX_LISTED_FOR_A_QUESTION]:
        shared = shared_terms(query, texts[place])
        shown = dict.fromkeys(word for word in words if shared.intersection(terms(word)))
        lines.append(f"{names[place]} ({', '.join(shown)})")
    return lines


def _beginning(files: FilesBelow, name: str) -> str:
    try:
        return files.read(name, max_bytes=_SEARCHED_BYTES)
    except ToolFailed:
        return ""


def _named(query: str, names: list[str]) -> list[str]:
    """Return the files a question names, by whole path or by a name that only one file has."""
    found: dict[str, None] = {}
    for written in _PATH.findall(query):
        path = written.strip("./")
        fitting = [name for name in names if name == path or name.endswith(f"/{path}")]
        if path in fitting:
            found[path] = None
        elif len(fitting) == 1:
            found[fitting[0]] = None
    return list(found)


_LIST_FILES = Tool(
    name="list_files",
    description="Lists the names of the text files that read_file can read.",
    parameters=msgspec.Raw(
        msgspec.json.encode(
            {
                "type": "object",
                "properties": {
                    "folder": {"type": "string", "description": "Only below it; empty for all."}
                },
                "additionalProperties": False,
            }
        )
    ),
    effect=ToolEffect.READ_ONLY,
    timeout_s=10.0,
)
