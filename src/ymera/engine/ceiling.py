"""A bound that a caller's dialect makes it name is a ceiling, not a wish."""

from __future__ import annotations

import msgspec

from ymera.core.chat import ChatRequest
from ymera.core.model import Model
from ymera.core.task import TaskProfile

__all__ = ["under_ceiling"]

_LEAST_TOKENS = 256
"""Less room than this is the router's business: it should not have chosen the model."""


def under_ceiling(
    request: ChatRequest, model: Model, profile: TaskProfile
) -> tuple[ChatRequest, tuple[str, ...]]:
    """Return the request with a bound the model can keep, and what was changed.

    Messages in Anthropic's dialect must name `max_tokens`, and clients name the most their usual
    model can write. A host refuses what its model cannot write, or what does not fit beside the
    prompt. A bound that was meant (`profile.output_bounded`) stays as it is.
    """
    wanted = request.sampling.max_tokens
    if wanted is None or profile.output_bounded or model.weights is not None:
        return request, ()
    bounds = [model.max_output]
    if model.context_window is not None:
        bounds.append(max(_LEAST_TOKENS, model.context_window - profile.est_input_tokens))
    most = min((bound for bound in bounds if bound is not None), default=wanted)
    if wanted <= most:
        return request, ()
    sampling = msgspec.structs.replace(request.sampling, max_tokens=most)
    loss = f"max_tokens was lowered from {wanted:,} to {most:,}, the most that fits this model."
    return msgspec.structs.replace(request, sampling=sampling), (loss,)
