"""How tokens are drawn, how long is thought and in which form is answered, for upstreams.

The vendor refuses most sampling fields while a model thinks, and thinking while a tool is forced;
what has to give way is a loss.
"""

from __future__ import annotations

from ymera.core.chat import ChatRequest, Sampling

__all__ = ["SAMPLING", "encode_output_config", "encode_sampling"]

SAMPLING = ("temperature", "top_p", "top_k")
"""The fields that newer versions of the vendor's API refuse."""

_MIN_BUDGET = 1024
_MAX_TEMPERATURE = 1.0
_MIN_TOP_P_THINKING = 0.95
_EFFORTS = {"minimal": "low"} | {word: word for word in ("low", "medium", "high", "xhigh", "max")}
_NO_THINKING = "none"

_Fields = dict[str, object]


def encode_sampling(request: ChatRequest, losses: list[str]) -> _Fields:
    """Return the fields, those without a value as None; what could not be said joins `losses`."""
    sampling = request.sampling
    thinking = _thinking(request, losses)
    thinks = thinking is not None and thinking["type"] != "disabled"
    if sampling.seed is not None:
        losses.append("seed was left out: this dialect does not know it.")
    stops = [each for each in sampling.stop if each.strip()]
    if len(stops) < len(sampling.stop):
        losses.append("Blank stop strings were left out.")
    return {
        "max_tokens": sampling.max_tokens,
        "stop_sequences": stops or None,
        "thinking": thinking,
        **_drawing(sampling, losses, thinks=thinks),
    }


def encode_output_config(request: ChatRequest, losses: list[str]) -> _Fields:
    """Return `output_config`; what could not be said joins `losses`."""
    config: _Fields = {}
    effort = request.sampling.reasoning_effort
    if effort is not None and effort != _NO_THINKING:
        if effort not in _EFFORTS:
            losses.append(
                f"reasoning_effort {effort!r} was left out: this dialect has no such word."
            )
        else:
            config["effort"] = _EFFORTS[effort]
            if _EFFORTS[effort] != effort:
                losses.append(f"reasoning_effort {effort!r} was sent as {_EFFORTS[effort]!r}.")
    wanted = request.response_format
    if wanted is not None and wanted.schema is None:
        losses.append("JSON without a schema was not demanded: this dialect cannot.")
    elif wanted is not None:
        config["format"] = {"type": "json_schema", "schema": wanted.schema}
    return {"output_config": config or None}


def _thinking(request: ChatRequest, losses: list[str]) -> _Fields | None:
    sampling = request.sampling
    if sampling.reasoning_effort == _NO_THINKING:
        return {"type": "disabled"}
    if sampling.reasoning_tokens is None and sampling.reasoning_effort not in _EFFORTS:
        return None
    if request.tool_choice not in {None, "auto", "none"}:
        losses.append("Thinking was left out: it does not go with a forced tool.")
        return None
    if sampling.reasoning_tokens is None:
        return {"type": "adaptive"}
    return _budget(sampling.reasoning_tokens, sampling.max_tokens, losses)


def _budget(wanted: int, max_tokens: int | None, losses: list[str]) -> _Fields | None:
    """Return the budget, which has to be at least the vendor's least and below `max_tokens`."""
    if max_tokens is not None and max_tokens <= _MIN_BUDGET:
        losses.append(f"Thinking was left out: it needs max_tokens above {_MIN_BUDGET}.")
        return None
    budget = max(wanted, _MIN_BUDGET)
    if max_tokens is not None and budget >= max_tokens:
        budget = max(_MIN_BUDGET, max_tokens * 3 // 4)
    if budget != wanted:
        losses.append(f"The thinking budget of {wanted} tokens was changed to {budget}.")
    return {"type": "enabled", "budget_tokens": budget}


def _drawing(sampling: Sampling, losses: list[str], *, thinks: bool) -> _Fields:
    temperature, top_p, top_k = sampling.temperature, sampling.top_p, sampling.top_k
    if thinks:
        if temperature not in {None, _MAX_TEMPERATURE}:
            losses.append("temperature was left out: it does not go with thinking.")
            temperature = None
        if top_k is not None:
            losses.append("top_k was left out: it does not go with thinking.")
            top_k = None
        if top_p is not None and top_p < _MIN_TOP_P_THINKING:
            losses.append("top_p was left out: it does not go with thinking.")
            top_p = None
    if temperature is not None and temperature > _MAX_TEMPERATURE:
        losses.append(f"temperature {temperature} was lowered to {_MAX_TEMPERATURE}.")
        temperature = _MAX_TEMPERATURE
    if temperature is not None and top_p is not None:
        losses.append("top_p was left out: newer models refuse it beside temperature.")
        top_p = None
    return {"temperature": temperature, "top_p": top_p, "top_k": top_k}
