"""What a server answers, as results of ours: text joined, the rest described, all of it bounded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from ymera.core.tool import ToolResult
from ymera.tools.mcp_tools import clean_text

if TYPE_CHECKING:
    from mcp_types import (
        BlobResourceContents,
        CallToolResult,
        ContentBlock,
        ResourceLink,
        TextResourceContents,
    )

__all__ = ["content_text", "cut", "failed", "tool_result"]

_MAX_SHORT_CHARS = 300


def tool_result(answer: CallToolResult, limit: int) -> ToolResult:
    """Return the result of a call.

    Args:
        answer: as the SDK gives it.
        limit: characters of text that are kept; structured content over it is left out.
    """
    structured = None
    if answer.structured_content is not None:
        structured = msgspec.json.encode(answer.structured_content)
    text = content_text(answer.content)
    if not text and structured is not None:
        text = structured.decode()
    kept, cut_chars = cut(text, limit)
    fits = structured is not None and len(structured) <= limit
    return ToolResult(
        text=kept,
        is_error=answer.is_error,
        error_code="tool_error" if answer.is_error else None,
        cut_chars=cut_chars,
        structured=msgspec.Raw(structured) if structured is not None and fits else None,
    )


def failed(code: str, text: str) -> ToolResult:
    """Return the result of a call that gave none.

    Args:
        code: as in `ToolResult.error_code`.
        text: one sentence for the model.
    """
    return ToolResult(text=text, is_error=True, error_code=code)


def cut(text: str, limit: int) -> tuple[str, int]:
    """Return at most `limit` characters, and how many are missing; the text says so itself."""
    if len(text) <= limit:
        return text, 0
    said = f"\n[cut: {len(text)} characters in all]"
    kept = max(0, limit - len(said))
    return (text[:kept] + said)[:limit], len(text) - kept


def content_text(blocks: Iterable[ContentBlock]) -> str:
    """Return content as text; what is no text is described in brackets."""
    return "\n".join(_block_text(block) for block in blocks)


def _block_text(block: ContentBlock) -> str:
    match block.type:
        case "text":
            return block.text
        case "image" | "audio":
            kind = clean_text(block.mime_type, _MAX_SHORT_CHARS)
            return f"[{block.type} {kind}, {_size(block.data)}]"
        case "resource_link":
            return _link(block)
        case "resource":
            return resource_text(block.resource)


def resource_text(resource: TextResourceContents | BlobResourceContents) -> str:
    """Return a resource's text, or a description of what is none."""
    from mcp_types import TextResourceContents

    if isinstance(resource, TextResourceContents):
        return resource.text
    kind = clean_text(resource.mime_type or "bytes", _MAX_SHORT_CHARS)
    uri = clean_text(resource.uri, _MAX_SHORT_CHARS)
    return f"[resource {uri} {kind}, {_size(resource.blob)}]"


def _link(link: ResourceLink) -> str:
    parts = (link.uri, link.name, link.description)
    return f"[resource {' '.join(clean_text(p, _MAX_SHORT_CHARS) for p in parts if p)}]"


def _size(base64_text: str) -> str:
    return f"{len(base64_text) * 3 // 4:,} bytes"
