"""The Anthropic Messages dialect, both directions: `POST {base}/v1/messages`.

Spoken by Anthropic's API, by hosts that took it over and, towards us, by Anthropic's SDKs and
Claude Code. A turn is a list of blocks, the system prompt stands apart, arguments of tools are
objects, and `max_tokens` is a must.
"""

from ymera.core.model import Dialect
from ymera.wire.anthropic.answer import StreamDecoder, decode_answer
from ymera.wire.anthropic.errors import decode_error, encode_error
from ymera.wire.anthropic.models import ListedModel, encode_model, encode_models
from ymera.wire.anthropic.reply import StreamEncoder, encode_answer
from ymera.wire.anthropic.request import decode_request
from ymera.wire.anthropic.upstream_request import DEFAULT_MAX_TOKENS, encode_request
from ymera.wire.codec import CallerDialect, Framing, UpstreamDialect

__all__ = [
    "CALLER",
    "DEFAULT_MAX_TOKENS",
    "UPSTREAM",
    "ListedModel",
    "StreamDecoder",
    "StreamEncoder",
    "decode_answer",
    "decode_error",
    "decode_request",
    "encode_answer",
    "encode_error",
    "encode_model",
    "encode_models",
    "encode_request",
]

UPSTREAM = UpstreamDialect(
    dialect=Dialect.ANTHROPIC,
    framing=Framing.SSE,
    path=lambda _upstream_id, _stream: "/v1/messages",
    encode_request=encode_request,
    decode_answer=lambda body, secrets: decode_answer(body, secrets=secrets),
    stream_decoder=lambda secrets: StreamDecoder(secrets=secrets),
    decode_error=decode_error,
)

CALLER = CallerDialect(
    dialect=Dialect.ANTHROPIC,
    framing=Framing.SSE,
    decode_request=decode_request,
    encode_answer=encode_answer,
    stream_encoder=StreamEncoder,
    encode_error=encode_error,
)
