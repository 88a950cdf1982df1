"""The vendor's model list, and what a model's name says of how it is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from ymera.core.errors import ProviderError, ProviderErrorKind

__all__ = [
    "ListedModel",
    "decode_models",
    "encode_model",
    "encode_models",
    "needs_signatures",
    "thinking_levels",
    "thinks_in_tokens",
]

_GENERATION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_NEWEST = (99, 0)
_LOW_TO_HIGH = ("low", "medium", "high")


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the list.

    Attributes:
        id: without `models/`.
        name: for people.
        input_tokens, output_tokens: limits; None when the list does not say.
        methods: what it can be asked for, such as `generateContent` and `embedContent`.
    """

    id: str
    name: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    methods: tuple[str, ...] = ("generateContent",)


class _Model(msgspec.Struct, rename="camel"):
    name: str
    display_name: str | None = None
    input_token_limit: int | None = None
    output_token_limit: int | None = None
    supported_generation_methods: list[str] | None = None


class _Models(msgspec.Struct, rename="camel"):
    models: list[_Model] = []
    next_page_token: str | None = None


_models = msgspec.json.Decoder(_Models)


def encode_models(models: Iterable[ListedModel]) -> bytes:
    """Return the model list, as `GET {base}/v1beta/models` answers; one page."""
    return msgspec.json.encode({"models": [_wire_model(model) for model in models]})


def encode_model(model: ListedModel) -> bytes:
    """Return one entry, as `GET {base}/v1beta/models/{id}` answers."""
    return msgspec.json.encode(_wire_model(model))


def _wire_model(model: ListedModel) -> dict[str, object]:
    fields: dict[str, object] = {
        "name": f"models/{model.id}",
        "displayName": model.name,
        "inputTokenLimit": model.input_tokens,
        "outputTokenLimit": model.output_tokens,
        "supportedGenerationMethods": model.methods,
    }
    return {name: value for name, value in fields.items() if value is not None}


def decode_models(body: bytes) -> tuple[tuple[ListedModel, ...], str | None]:
    """Return one page of the list, and the token of the next page; None after the last.

    Raises:
        ProviderError: it is no model list.
    """
    try:
        page = _models.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(
            "The upstream sent no model list.", kind=ProviderErrorKind.BAD_ANSWER
        ) from error
    listed = tuple(
        ListedModel(
            id=model.name.removeprefix("models/"),
            name=model.display_name or model.name.removeprefix("models/"),
            input_tokens=model.input_token_limit,
            output_tokens=model.output_token_limit,
            methods=tuple(model.supported_generation_methods or ()),
        )
        for model in page.models
    )
    return listed, page.next_page_token or None


def _generation(upstream_id: str) -> tuple[int, int] | None:
    """Return (3, 7) for `gemini-3.7-flash`; None for the vendor's open models."""
    if upstream_id.startswith("gemma"):
        return None
    found = _GENERATION.match(upstream_id)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def needs_signatures(upstream_id: str) -> bool:
    """Return whether calls in its history must carry a thought signature."""
    generation = _generation(upstream_id)
    return generation is not None and generation >= (3, 0)


def thinks_in_tokens(upstream_id: str) -> bool:
    """Return whether its thinking is bounded in tokens; otherwise it is set by levels."""
    generation = _generation(upstream_id)
    return generation is not None and generation < (3, 0)


def thinking_levels(upstream_id: str) -> tuple[str, ...]:
    """Return the levels it knows, lowest first; others are refused.

    Gemma knows two. `minimal` is known to the third generation's Flash models up to 3.6, and to
    the lite ones.
    """
    generation = _generation(upstream_id)
    if generation is None:
        return ("minimal", "high")
    early = (3, 0) <= generation <= (3, 6) and "flash" in upstream_id
    if early or "flash-lite" in upstream_id:
        return ("minimal", *_LOW_TO_HIGH)
    return _LOW_TO_HIGH
