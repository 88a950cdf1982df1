"""Chat requests to upstreams."""

from __future__ import annotations

import msgspec

from ymera.core.chat import ChatRequest, Sampling, ToolSpec, verbatim_for
from ymera.core.errors import InvalidRequest
from ymera.core.model import Dialect, Quirk
from ymera.wire.codec import EncodedRequest
from ymera.wire.field_names import ALIKE_WITHIN, UNREAD, alike_within, is_named_like, unread
from ymera.wire.gemini.contents import encode_contents, unsigned_step
from ymera.wire.gemini.fields import KNOWN_FIELDS
from ymera.wire.gemini.models import needs_signatures, thinking_levels, thinks_in_tokens

__all__ = ["encode_request", "path"]

_NEVER_FORWARDED = frozenset({"model", "serviceTier", "service_tier", "stream"})
"""Fields with which a caller could make the upstream use another model than the one that was
routed to, or buy an extra on the owner's key; `stream` is not of this dialect."""

_OWNERS_CONFIG = ("modelSelectionConfig", "routingConfig", "modelConfig")
"""The same within `generationConfig`: they name a model, or let the vendor choose one."""

_IN_TURNS = frozenset(
    {"role", "parts", "text", "thought", "thoughtSignature", "functionCall", "functionResponse"}
    | {"inlineData", "fileData"}
)
"""Fields of turns and their parts in which something is said, or from which it hangs."""

_DECIDED = _NEVER_FORWARDED | KNOWN_FIELDS
"""Fields that were read, which others must not be taken for."""

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SAMPLING = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}

_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_BUDGETS |= {"xhigh": 24576, "max": 24576}
"""Tokens for each word of effort, as the vendor's own OpenAI endpoint takes them."""
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def path(upstream_id: str, stream: bool) -> str:
    """Return what follows the endpoint's base URL; the model stands in it."""
    raw = upstream_id.removeprefix("models/").encode("utf-8", "replace")
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{name}:{method}"


def encode_request(
    request: ChatRequest, upstream_id: str, flags: frozenset[Quirk] = frozenset()
) -> EncodedRequest:
    """Return the body that asks an upstream; see `ymera.wire.codec.EncodeRequest`.

    Raises:
        InvalidRequest: a string holds half of a surrogate pair, so it has no UTF-8 form.
        Unsupported: an image that cannot be sent; `param` names it.
    """
    model = upstream_id.removeprefix("models/")
    losses: list[str] = []
    verbatim = verbatim_for(request, Dialect.GEMINI)
    if verbatim is not None and alike_within(verbatim.get("contents"), _IN_TURNS):
        verbatim = None
        losses.append(ALIKE_WITHIN)
    if verbatim is not None and needs_signatures(model) and unsigned_step(request.messages):
        verbatim = None  # calls of another model in its history: they need to be marked
    if verbatim is not None:
        fields: dict[str, object] = {name: raw for name, raw in verbatim.items() if _passes(name)}
        _heed_flags(fields, flags, losses)
    else:
        fields = _encoded_fields(request, model, flags, losses)
    _leave_to_owner(fields, losses)
    try:
        body = msgspec.json.encode(fields)
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            "The request holds text that is not valid Unicode (half of a surrogate pair).",
            hint="Remove or re-encode the broken characters.",
        ) from error
    return EncodedRequest(body=body, losses=tuple(losses))


def _leave_to_owner(fields: dict[str, object], losses: list[str]) -> None:
    """Take out of the caller's own settings what would choose another model."""
    raw = fields.get("generationConfig")
    if isinstance(raw, msgspec.Raw):
        if not any(name.encode() in bytes(raw) for name in _OWNERS_CONFIG):
            return
        config: dict[str, object] = dict(_fields.decode(raw))
    elif isinstance(raw, dict):
        config = dict(raw)
    else:
        return
    found = [name for name in _OWNERS_CONFIG if config.pop(name, None) is not None]
    losses += [
        f"{name} was left out: that is for the owner of the key to decide." for name in found
    ]
    fields["generationConfig"] = config


def _passes(name: str) -> bool:
    return name not in _NEVER_FORWARDED and not is_named_like(name, _DECIDED)


def _heed_flags(fields: dict[str, object], flags: frozenset[Quirk], losses: list[str]) -> None:
    """Take out of the caller's own fields what the model would refuse."""
    raw = fields.get("generationConfig")
    if not isinstance(raw, msgspec.Raw) or not flags & {Quirk.NO_SAMPLING, Quirk.NO_SEED}:
        return
    config = _fields.decode(raw)
    refused = [*_SAMPLING.values()] if Quirk.NO_SAMPLING in flags else []
    refused += ["seed"] if Quirk.NO_SEED in flags else []
    found = [name for name in refused if config.pop(name, None) is not None]
    losses += [f"{name} was left out: the model refuses it." for name in found]
    fields["generationConfig"] = config


def _encoded_fields(
    request: ChatRequest, model: str, flags: frozenset[Quirk], losses: list[str]
) -> dict[str, object]:
    contents = encode_contents(request, model)
    losses += contents.losses
    fields = contents.fields()
    if request.tools:
        fields["tools"] = [{"functionDeclarations": [_declare(tool) for tool in request.tools]}]
        if any(tool.strict for tool in request.tools):
            losses.append("strict was left out of the tools: this dialect does not know it.")
    if request.tool_choice is not None:
        if Quirk.NO_TOOL_CHOICE in flags:
            losses.append("tool_choice was left out: the model refuses it.")
        else:
            fields["toolConfig"] = {"functionCallingConfig": _choice(request.tool_choice)}
    if request.parallel_tools is False and request.tools:
        losses.append("Tools may be called at once: this dialect cannot forbid it.")
    if config := _config(request, model, flags, losses):
        fields["generationConfig"] = config
    own = request.verbatim is not None and request.verbatim.dialect is Dialect.GEMINI
    held = unread(request) if own else []
    if held:
        losses.append(f"{', '.join(held)} {UNREAD}")
    for name, raw in request.extra.items():
        if name in held:
            continue
        if own and _passes(name):
            fields.setdefault(name, raw)
        elif not own:
            losses.append(f"{name} was left out: this dialect does not know it.")
    return fields


def _declare(tool: ToolSpec) -> dict[str, object]:
    fields = {
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": tool.parameters,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _choice(choice: str) -> dict[str, object]:
    if choice in _MODES:
        return {"mode": _MODES[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}


def _config(
    request: ChatRequest, model: str, flags: frozenset[Quirk], losses: list[str]
) -> dict[str, object]:
    sampling, wanted = request.sampling, request.response_format
    config = _kept_config(request)
    if sampling.max_tokens is not None:
        config["maxOutputTokens"] = sampling.max_tokens
    for field, name in _SAMPLING.items():
        value = getattr(sampling, field)
        if value is not None and Quirk.NO_SAMPLING in flags:
            losses.append(f"{field} was left out: the model refuses it.")
        elif value is not None:
            config[name] = value
    if sampling.stop:
        config["stopSequences"] = sampling.stop
    if sampling.seed is not None:
        if Quirk.NO_SEED in flags:
            losses.append("seed was left out: the model refuses it.")
        elif not -(2**31) <= sampling.seed < 2**31:
            losses.append("seed was left out: this dialect takes 32 bits.")
        else:
            config["seed"] = sampling.seed
    if wanted is not None:
        config["responseMimeType"] = "application/json"
        if wanted.schema is not None:
            config["responseJsonSchema"] = wanted.schema
    thinking = _thinking(sampling, model, losses)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


_KNOWN_CONFIG = frozenset(
    {"maxOutputTokens", "stopSequences", "seed", "responseMimeType", "responseJsonSchema"}
    | {"responseSchema", "thinkingConfig", "candidateCount", *_SAMPLING.values()}
)


def _kept_config(request: ChatRequest) -> dict[str, object]:
    """Return what a caller of this dialect said in `generationConfig` that no field of ours holds.

    The request as a whole is no longer as it came, but nobody changes these.
    """
    verbatim = request.verbatim
    if verbatim is None or verbatim.dialect is not Dialect.GEMINI:
        return {}
    raw = verbatim.fields.get("generationConfig")
    if raw is None or not bytes(raw).lstrip().startswith(b"{"):
        return {}
    return {name: raw for name, raw in _fields.decode(raw).items() if name not in _KNOWN_CONFIG}


def _thinking(sampling: Sampling, model: str, losses: list[str]) -> dict[str, object]:
    """Say how much to think: in tokens up to generation 2.5, by levels after it."""
    effort, tokens = sampling.reasoning_effort, sampling.reasoning_tokens
    if effort is not None and effort not in _EFFORTS:
        losses.append("reasoning_effort was left out: this dialect does not know its value.")
        effort = None
    if effort is None and tokens is None:
        return {}
    if thinks_in_tokens(model):
        budget = tokens if tokens is not None else _BUDGETS[effort or "medium"]
        if "pro" in model and budget < 128:
            budget = 128
            losses.append("Thinking cannot be switched off: as little as possible is asked for.")
        return {"thinkingBudget": budget, "includeThoughts": budget > 0}
    if effort is None:
        effort = next(
            (word for word in ("low", "medium") if _BUDGETS[word] >= (tokens or 0)), "high"
        )
        losses.append(f"reasoning_tokens became the level {effort}: the model knows levels only.")
    level = _level(effort, thinking_levels(model))
    if level != effort:
        losses.append(f"reasoning_effort {effort} became the level {level}.")
    return {"thinkingLevel": level, "includeThoughts": effort != "none"}


def _level(effort: str, levels: tuple[str, ...]) -> str:
    """Return the model's level nearest to what was asked for, the higher one of two."""
    asked = _EFFORTS.index(effort)
    return next((level for level in levels if _EFFORTS.index(level) >= asked), levels[-1])
