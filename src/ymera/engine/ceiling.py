"""What one model can be asked of a request: bounds it can keep, signatures it can read."""

from __future__ import annotations

import msgspec

from ymera.core.chat import ChatRequest
from ymera.core.model import Model
from ymera.core.task import TaskProfile
from ymera.wire.signatures import readable_by

__all__ = ["under_ceiling"]

_LEAST_TOKENS = 256
"""Less room than this is the router's business: it should not have chosen the model."""


def under_ceiling(
    request: ChatRequest, model: Model, profile: TaskProfile
) -> tuple[ChatRequest, tuple[str, ...]]:
    """Return the request with a bound the model can keep, and what was changed.

    Signatures of other vendors' models, which it would be refused for, are left out, too (see
    `ymera.wire.signatures`).

    Messages in Anthropic's dialect must name `max_tokens`, and clients name the most their usual
    model can write. A host refuses what its model cannot write, or what does not fit beside the
    prompt. A bound that was meant (`profile.output_bounded`) stays as it is.
    """
    request, lost = readable_by(model.id, request)
    wanted = request.sampling.max_tokens
    if wanted is None or profile.output_bounded or model.weights is not None:
        return request, lost
    bounds = [model.max_output]
    if model.context_window is not None:
        bounds.append(max(_LEAST_TOKENS, model.context_window - profile.est_input_tokens))
    most = min((bound for bound in bounds if bound is not None), default=wanted)
    if wanted <= most:
        return request, lost
    sampling = msgspec.structs.replace(request.sampling, max_tokens=most)
    loss = f"max_tokens was lowered from {wanted:,} to {most:,}, the most that fits this model."
    return msgspec.structs.replace(request, sampling=sampling), (*lost, loss)
