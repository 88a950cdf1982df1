"""Providers' model lists: from bytes to rows, each vendor's words for the same facts.

Vendors add fields as they like and disagree on their types, so whatever is missing, odd or out of
range counts as not said; a row without a usable id is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Dialect, ModelKind

__all__ = ["Listed", "Page", "decode_list"]

_MAX_ROWS = 5000
_MAX_TOKENS = 100_000_000
_MAX_USD_PER_MTOK = Decimal(1_000_000)
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_EMBEDS = re.compile(r"embed|\b(bge|e5|gte)-", re.IGNORECASE)
_HEARS = re.compile(r"whisper|transcri|speech-to-text|asr", re.IGNORECASE)
_NO_WORDS = re.compile(
    r"rerank|tts|dall-?e|imagen|image|veo|sora|video|flux|diffusion|moderation|guard|realtime|ocr"
    r"|audio|lyria|aqa",
    re.IGNORECASE,
)
_ROWS = ("data", "models", "result")

_Json = Mapping[str, object]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a list; None = not said.

    Attributes:
        id: as requests name it.
        kind: None for what neither chats, nor embeds, nor transcribes.
        active: False where the list itself says that it is out of use.
        input_usd_per_mtok, output_usd_per_mtok: USD per million tokens. Read only where the unit
            is certain (`pricing.prompt` and `pricing.completion`, USD per token).
        other fields: as in the catalogue's rows.
    """

    id: str
    name: str | None = None
    kind: ModelKind | None = ModelKind.CHAT
    active: bool = True
    context_window: int | None = None
    max_output: int | None = None
    inputs: tuple[str, ...] | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    input_usd_per_mtok: Decimal | None = None
    output_usd_per_mtok: Decimal | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list; `next` is the token of the following one, None after the last."""

    rows: tuple[Listed, ...]
    next: str | None = None


def decode_list(dialect: Dialect, body: bytes) -> Page:
    """Return one page of a model list.

    Args:
        dialect: in which it was asked for.
        body: as it came.

    Raises:
        ProviderError: it is no model list.
    """
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_list() from error
    top: _Json = tree if isinstance(tree, dict) else {}
    rows: object = tree
    if not isinstance(tree, list):
        rows = next((top[name] for name in _ROWS if isinstance(top.get(name), list)), None)
    if not isinstance(rows, list):
        raise _no_list()
    read = _gemini if dialect is Dialect.GEMINI else _row
    found: dict[str, Listed] = {}
    for row in rows[:_MAX_ROWS]:
        if isinstance(row, dict) and (listed := read(row)) is not None:
            found.setdefault(listed.id, listed)
    return Page(rows=tuple(found.values()), next=_next(top))


def _next(top: _Json) -> str | None:
    token = top.get("nextPageToken") or top.get("next_page_token")
    if not token and top.get("has_more") is True:
        token = top.get("last_id")
    return token if isinstance(token, str) and _ID.fullmatch(token) else None


def _gemini(row: _Json) -> Listed | None:
    id = _id(row, "name")
    if id is None:
        return None
    id = id.removeprefix("models/")
    methods = _texts(row.get("supportedGenerationMethods"))
    kind: ModelKind | None = ModelKind.CHAT
    if methods is not None and "generateContent" not in methods:
        embeds = any(method.endswith("mbedContent") for method in methods)
        embeds = embeds or "batchEmbedContents" in methods
        kind = ModelKind.EMBEDDING if embeds else None
    elif _NO_WORDS.search(id):
        kind = None
    return Listed(
        id=id,
        name=_text(row, "displayName"),
        kind=kind,
        context_window=_tokens(row, "inputTokenLimit"),
        max_output=_tokens(row, "outputTokenLimit"),
    )


def _row(row: _Json) -> Listed | None:
    # Cloudflare's `id` is a number of its own; what requests name is its `name`.
    id = _id(row, "name" if "task" in row else "id") or _id(row, "name")
    if id is None:
        return None
    top, says = _sub(row, "top_provider"), _sub(row, "capabilities")
    wishes = _texts(row.get("supported_parameters"))
    window = ("context_length", "context_window", "max_context_length", "max_model_len")
    price_in, price_out = _prices(_sub(row, "pricing"))
    context = _tokens(row, *window, "max_input_tokens") or _tokens(top, "context_length")
    inputs = _texts(_sub(row, "architecture").get("input_modalities"))
    return Listed(
        id=id,
        name=_text(row, "display_name") or _text(row, "name"),
        kind=_kind(id, row),
        active=row.get("active") is not False and row.get("archived") is not True,
        context_window=context or _property(row, "context_window"),
        max_output=_tokens(top, "max_completion_tokens")
        or _tokens(row, "max_completion_tokens", "max_output_tokens"),
        inputs=inputs and tuple(sorted(inputs)),
        tools=_says(wishes, "tools") if wishes is not None else _flag(says, "function_calling"),
        json_schema=_says(wishes, "structured_outputs"),
        reasoning=_says(wishes, "reasoning"),
        input_usd_per_mtok=price_in,
        output_usd_per_mtok=price_out,
    )


def _kind(id: str, row: _Json) -> ModelKind | None:
    ways = _texts(row.get("endpoints"))
    task = str(_sub(row, "task").get("name") or row.get("type") or "").lower()
    if ways is not None:
        if "chat" in ways:
            return ModelKind.CHAT
        return ModelKind.EMBEDDING if "embed" in ways else None
    if _EMBEDS.search(id) or "embedding" in task:
        return ModelKind.EMBEDDING
    if _HEARS.search(id):
        return ModelKind.TRANSCRIPTION
    told = "task" not in row or "text generation" in task
    return ModelKind.CHAT if told and not _NO_WORDS.search(id) else None


def _prices(pricing: _Json) -> tuple[Decimal | None, Decimal | None]:
    return _per_mtok(pricing.get("prompt")), _per_mtok(pricing.get("completion"))


def _per_mtok(per_token: object) -> Decimal | None:
    """Return USD per million tokens; None for what varies (-1) or is no price."""
    if isinstance(per_token, bool) or not isinstance(per_token, str | int | float):
        return None
    try:
        price = Decimal(str(per_token)[:40])
        if not price.is_finite() or not 0 <= price <= 1:
            return None
        price = round(price * 1_000_000, 9).normalize()
    except InvalidOperation:
        return None
    return Decimal(format(price, "f")) if price <= _MAX_USD_PER_MTOK else None


def _property(row: _Json, name: str) -> int | None:
    """Return a number of Cloudflare's list of properties."""
    properties = row.get("properties")
    for each in properties if isinstance(properties, list) else ():
        if isinstance(each, dict) and each.get("property_id") == name:
            return _tokens(each, "value")
    return None


def _id(row: _Json, name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _text(row: _Json, name: str) -> str | None:
    value = row.get(name)
    if not isinstance(value, str):
        return None
    return "".join(char for char in value if char.isprintable())[:100].strip() or None


def _texts(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(each for each in value if isinstance(each, str) and _ID.fullmatch(each))


def _tokens(row: _Json, *names: str) -> int | None:
    return next(_counts(row, names), None)


def _counts(row: _Json, names: tuple[str, ...]) -> Iterator[int]:
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_TOKENS:
            yield value


def _flag(row: _Json, name: str) -> bool | None:
    value = row.get(name)
    return value if isinstance(value, bool) else None


def _says(words: tuple[str, ...] | None, word: str) -> bool | None:
    """Return whether it is among them; a list that is empty says nothing."""
    return word in words if words else None


def _sub(row: _Json, name: str) -> _Json:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _no_list() -> ProviderError:
    return ProviderError("The upstream sent no model list.", kind=ProviderErrorKind.BAD_ANSWER)
