"""Ollama's own dialect, both directions: `POST {base}/api/chat`, and `/api/generate` for callers.

Lines of JSON instead of server-sent events; tool arguments are objects; images are base64. What is
read follows Ollama's `api/types.go`, what is written is what its official clients read.
"""

from ymera.core.model import Dialect
from ymera.wire.codec import CallerDialect, Framing, UpstreamDialect
from ymera.wire.ollama.answer import StreamDecoder, decode_answer
from ymera.wire.ollama.errors import encode_error
from ymera.wire.ollama.generate import decode_generate
from ymera.wire.ollama.reply import (
    encode_answer,
    encode_generated,
    generate_encoder_for,
    stream_encoder_for,
)
from ymera.wire.ollama.request import decode_request
from ymera.wire.ollama.upstream_request import encode_request
from ymera.wire.upstream_error import decode_error

__all__ = [
    "CALLER",
    "GENERATE_CALLER",
    "UPSTREAM",
    "StreamDecoder",
    "decode_answer",
    "decode_generate",
    "decode_request",
    "encode_answer",
    "encode_error",
    "encode_generated",
    "encode_request",
]

UPSTREAM = UpstreamDialect(
    dialect=Dialect.OLLAMA,
    framing=Framing.NDJSON,
    path=lambda _upstream_id, _stream: "/api/chat",
    encode_request=encode_request,
    decode_answer=lambda body, secrets: decode_answer(body, secrets=secrets),
    stream_decoder=lambda secrets: StreamDecoder(secrets=secrets),
    decode_error=decode_error,
)

CALLER = CallerDialect(
    dialect=Dialect.OLLAMA,
    framing=Framing.NDJSON,
    decode_request=decode_request,
    encode_answer=encode_answer,
    stream_encoder=stream_encoder_for,
    encode_error=encode_error,
)
"""`/api/chat`."""

GENERATE_CALLER = CallerDialect(
    dialect=Dialect.OLLAMA,
    framing=Framing.NDJSON,
    decode_request=decode_generate,
    encode_answer=encode_generated,
    stream_encoder=generate_encoder_for,
    encode_error=encode_error,
)
"""`/api/generate`: one prompt instead of messages."""
