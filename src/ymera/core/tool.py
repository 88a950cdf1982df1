"""A tool, what came of calling it, and a text that was brought in from outside."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["ContextItem", "ContextUse", "Tool", "ToolEffect", "ToolResult", "ToolUse", "Trust"]


class Trust(StrEnum):
    """Who vouches for a text; only `system` and `user` may give orders."""

    SYSTEM = "system"
    USER = "user"
    MODEL = "model"
    TOOL = "tool"
    RETRIEVED = "retrieved"


class ToolEffect(StrEnum):
    """What a call does to the world."""

    READ_ONLY = "read_only"
    SIDE_EFFECT = "side_effect"


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Something a model may call.

    Attributes:
        name: 1-128 letters, digits, `_`, `-`; of a server's tool `server__tool`.
        description: what it does, for models.
        parameters: JSON Schema of its arguments, encoded; an object.
        effect: read-only, or with side effects; unknown counts as side effect.
        source: `builtin`, or `mcp:<server>`.
        timeout_s: seconds one call may take.
        max_output_chars: longer results are cut, and say so.
    """

    name: str
    description: str
    parameters: msgspec.Raw
    effect: ToolEffect = ToolEffect.SIDE_EFFECT
    source: str = "builtin"
    timeout_s: float = 30.0
    max_output_chars: int = 20_000


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a call gave; a failing tool is a result the model sees, not an exception.

    Attributes:
        text: the output, cut to the tool's `max_output_chars`.
        is_error: whether the tool failed (or refused).
        error_code: stable word when it failed: `timeout`, `denied`, `invalid_arguments`,
            `unavailable`, `unknown_tool`, `tool_error`.
        cut_chars: characters of output that were left out.
        structured: JSON the tool gave beside its text, encoded.
    """

    text: str
    is_error: bool = False
    error_code: str | None = None
    cut_chars: int = 0
    structured: msgspec.Raw | None = None


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call as the record keeps it: no arguments, no output.

    Attributes:
        name, source: of the tool.
        ok: whether it gave a result.
        error_code: as in `ToolResult`; None when ok.
        latency_s: seconds it took.
        output_chars: length of the result before it was cut.
        approved_by: what let it run: `read_only`, `allowlist`, or who approved.
    """

    name: str
    source: str
    ok: bool
    error_code: str | None = None
    latency_s: float = 0.0
    output_chars: int = 0
    approved_by: str | None = None


class ContextItem(msgspec.Struct, frozen=True, kw_only=True):
    """A text brought into a prompt from outside, with where it came from.

    Attributes:
        text: what may be put into the prompt.
        source: such as `mcp:files:file:///notes.txt` or `tool:current_time`.
        trust: never `system`; a retrieved text gives no orders.
        cut_chars: characters left out to fit the budget.
    """

    text: str
    source: str
    trust: Trust = Trust.RETRIEVED
    cut_chars: int = 0


class ContextUse(msgspec.Struct, frozen=True, kw_only=True):
    """One `ContextItem` as the record keeps it: its source and size, not its text."""

    source: str
    trust: Trust
    chars: int
    cut_chars: int = 0
