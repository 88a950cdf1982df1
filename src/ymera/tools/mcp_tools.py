"""What a server offers, as tools of ours: names, effects and bounds. Nothing it says is trusted."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ymera.core.tool import Tool, ToolEffect
from ymera.tools.mcp_spec import McpServerSpec

if TYPE_CHECKING:
    from mcp_types import Tool as OfferedTool
    from mcp_types import ToolAnnotations

__all__ = ["ExposedTool", "clean_text", "expose", "exposed_names"]

_MAX_NAME_CHARS = 128
_MAX_DESCRIPTION_CHARS = 1024
_MAX_SCHEMA_BYTES = 64 * 1024
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_ANY_OBJECT = msgspec.Raw(b'{"type":"object"}')


class ExposedTool(msgspec.Struct, frozen=True):
    """A server's tool as models see it.

    Attributes:
        tool: what models see.
        own_name: what the server calls it.
        note: what was done differently than asked, for the user; None when nothing.
    """

    tool: Tool
    own_name: str
    note: str | None = None


def expose(spec: McpServerSpec, offered: Sequence[OfferedTool]) -> tuple[ExposedTool, ...]:
    """Return a server's tools in the order of their names; of two of one name the first counts."""
    first = {tool.name: tool for tool in reversed(offered)}
    names = exposed_names(spec.name, tuple(first))
    exposed = (_expose(spec, names[own], tool) for own, tool in first.items())
    return tuple(sorted(exposed, key=lambda one: one.tool.name))


def exposed_names(server: str, own_names: Sequence[str]) -> dict[str, str]:
    """Return `server__tool` for each own name: valid, unique, whatever their order.

    What had to be changed and is no longer unique ends in a digest of its own name.
    """
    plain = {own: _NOT_IN_NAMES.sub("_", f"{server}__{own}")[:_MAX_NAME_CHARS] for own in own_names}
    shared = Counter(plain.values())
    names: dict[str, str] = {}
    for own, name in plain.items():
        if shared[name] > 1 and name != f"{server}__{own}":
            digest = hashlib.sha256(own.encode("utf-8", "surrogatepass")).hexdigest()[:12]
            names[own] = f"{name[: _MAX_NAME_CHARS - 13]}_{digest}"
        else:
            names[own] = name
    return names


def clean_text(text: str | None, limit: int) -> str:
    """Return a server's words on one line, without control characters, cut to `limit`."""
    kept = "".join(char if char.isprintable() else " " for char in text or "")
    return " ".join(kept.split())[:limit]


def _expose(spec: McpServerSpec, name: str, offered: OfferedTool) -> ExposedTool:
    effect, note = _effect(spec, offered.name, offered.annotations)
    schema = msgspec.Raw(msgspec.json.encode(offered.input_schema))
    if len(bytes(schema)) > _MAX_SCHEMA_BYTES:
        schema, note = _ANY_OBJECT, f"the schema of {name} is too large and was left out"
    tool = Tool(
        name=name,
        description=clean_text(offered.description or offered.title, _MAX_DESCRIPTION_CHARS),
        parameters=schema,
        effect=effect,
        source=f"mcp:{spec.name}",
        timeout_s=spec.call_timeout_s,
        max_output_chars=spec.max_output_chars,
    )
    return ExposedTool(tool, offered.name, note)


def _effect(
    spec: McpServerSpec, own_name: str, hints: ToolAnnotations | None
) -> tuple[ToolEffect, str | None]:
    """Only the user's list makes a tool read-only; what the server says may only tighten."""
    if not {own_name, "*"} & set(spec.read_only):
        return ToolEffect.SIDE_EFFECT, None
    if hints is not None and (hints.read_only_hint is False or _destructive(hints)):
        note = (
            f"{clean_text(own_name, 60)} is in read_only, but the server says that it "
            "changes things: it counts as a tool with side effects"
        )
        return ToolEffect.SIDE_EFFECT, note
    return ToolEffect.READ_ONLY, None


def _destructive(hints: ToolAnnotations) -> bool:
    return bool(hints.destructive_hint) and not hints.read_only_hint
