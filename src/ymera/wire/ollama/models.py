"""What this dialect says of models: `/api/tags`, `/api/show`, `/api/ps`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

import msgspec

__all__ = ["API_VERSION", "ModelCard", "encode_running", "encode_shown", "encode_tags"]

API_VERSION = "0.13.0"
"""The version of Ollama whose API this is: clients look whether it is new enough for them."""

_UNKNOWN_FAMILY = "unknown"


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """One name that can be asked for.

    Attributes:
        name: as callers write it.
        family: vendor line; None when not known.
        context_window: tokens; None when not known.
        capabilities: of `completion`, `tools`, `vision`, `thinking`, `embedding`.
        size_bytes: of its file; 0 where there is none on this machine.
        sha256: of its file; None where there is none.
    """

    name: str
    family: str | None = None
    context_window: int | None = None
    capabilities: tuple[str, ...] = ("completion",)
    size_bytes: int = 0
    sha256: str | None = None

    @property
    def digest(self) -> str:
        """Return 64 hexadecimal digits, for clients that cut them to size: else of the name."""
        return self.sha256 or sha256(self.name.encode()).hexdigest()


def encode_tags(cards: Iterable[ModelCard], at: datetime) -> bytes:
    """Return the list of models; `at` is when the list was made."""
    return msgspec.json.encode({"models": [{**_row(card), "modified_at": at} for card in cards]})


def encode_running(cards: Iterable[ModelCard]) -> bytes:
    """Return the list of models that are loaded on this machine, none of it on a graphics card."""
    rows = [{**_row(card), "size_vram": 0, "context_length": card.context_window} for card in cards]
    return msgspec.json.encode({"models": rows})


def encode_shown(card: ModelCard, at: datetime) -> bytes:
    """Return what is known of one model."""
    family = card.family or _UNKNOWN_FAMILY
    info: dict[str, object] = {"general.architecture": family, "general.basename": card.name}
    if card.context_window is not None:
        info[f"{family}.context_length"] = card.context_window
    return msgspec.json.encode(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": _details(card),
            "model_info": info,
            "capabilities": card.capabilities,
            "modified_at": at,
        }
    )


def _row(card: ModelCard) -> dict[str, object]:
    return {
        "name": card.name,
        "model": card.name,
        "size": card.size_bytes,
        "digest": card.digest,
        "details": _details(card),
    }


def _details(card: ModelCard) -> dict[str, object]:
    return {
        "parent_model": "",
        "format": "gguf" if card.sha256 else "",
        "family": card.family or "",
        "families": [card.family] if card.family else None,
        "parameter_size": "",
        "quantization_level": "",
    }
