"""Model lists, as each dialect and vendor writes them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ymera.core.model import Dialect, Model, ModelKind
from ymera.testing.stage import CREATED

__all__ = ["model_list"]

_Json = dict[str, object]
_DAY = "2026-01-01T00:00:00Z"


def model_list(provider_id: str, models: Sequence[Model], dialect: Dialect) -> bytes:
    """Return the body of a provider's model list."""
    match dialect:
        case Dialect.GEMINI:
            rows = [_gemini(model) for model in models]
            return msgspec.json.encode({"models": rows, "nextPageToken": ""})
        case Dialect.OLLAMA:
            return msgspec.json.encode({"models": [_ollama(model) for model in models]})
        case Dialect.ANTHROPIC:
            ids = [model.upstream_id for model in models]
            rows = [_anthropic(model) for model in models]
            page: _Json = {"data": rows, "has_more": False}
            page |= {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
            return msgspec.json.encode(page)
        case _:
            rows = [_openai(provider_id, model) for model in models]
            return msgspec.json.encode({"object": "list", "data": rows})


def _openai(provider_id: str, model: Model) -> _Json:
    row: _Json = {
        "id": model.upstream_id,
        "object": "model",
        "created": CREATED,
        "owned_by": provider_id,
    }
    if provider_id == "openrouter":
        return row | _openrouter(model)
    if provider_id == "groq":
        extra = {"active": True, "context_window": model.context_window or 131_072}
        return row | extra | {"max_completion_tokens": model.max_output or 8192}
    return row


def _openrouter(model: Model) -> _Json:
    inputs = ["text", "image"] if model.vision else ["text"]
    wishes = ["max_tokens", "temperature", "top_p", "stop"]
    wishes += ["tools", "tool_choice"] if model.tools else []
    wishes += ["response_format", "structured_outputs"] if model.json_schema else []
    wishes += ["reasoning", "include_reasoning"] if model.reasoning else []
    free = model.upstream_id.endswith(":free") or model.free.may_auto_route
    price = model.price
    return {
        "name": model.name,
        "context_length": model.context_window,
        "architecture": {"input_modalities": inputs, "output_modalities": ["text"]},
        "pricing": {
            "prompt": _per_token(Decimal(0) if free else price.input_usd_per_mtok),
            "completion": _per_token(Decimal(0) if free else price.output_usd_per_mtok),
        },
        "top_provider": {
            "context_length": model.context_window,
            "max_completion_tokens": model.max_output,
        },
        "supported_parameters": wishes,
    }


def _per_token(usd_per_mtok: Decimal | None) -> str:
    return "-1" if usd_per_mtok is None else format(usd_per_mtok / 1_000_000, "f")


def _anthropic(model: Model) -> _Json:
    return {
        "type": "model",
        "id": model.upstream_id,
        "display_name": model.name,
        "created_at": _DAY,
    }


def _gemini(model: Model) -> _Json:
    methods = ["generateContent", "countTokens"]
    if model.kind is ModelKind.EMBEDDING:
        methods = ["embedContent", "batchEmbedContents"]
    return {
        "name": f"models/{model.upstream_id}",
        "displayName": model.name,
        "inputTokenLimit": model.context_window or 1_048_576,
        "outputTokenLimit": model.max_output or 65_536,
        "supportedGenerationMethods": methods,
    }


def _ollama(model: Model) -> _Json:
    tag = model.upstream_id if ":" in model.upstream_id else f"{model.upstream_id}:latest"
    details = {"family": "sim", "parameter_size": "1B", "quantization_level": "Q4_0"}
    row: _Json = {"name": tag, "model": tag, "modified_at": _DAY}
    return row | {"size": 1, "digest": "0" * 64, "details": details}
