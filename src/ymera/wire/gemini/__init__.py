"""The Gemini dialect, both directions: `POST {base}/v1beta/models/{id}:generateContent`.

Spoken by the vendor's own API. The model and whether the answer is streamed stand in the path, so
a server calls `decode_request_for` with what its path says.
"""

from ymera.core.model import Dialect
from ymera.wire.codec import CallerDialect, Framing, UpstreamDialect
from ymera.wire.gemini.answer import StreamDecoder, decode_answer
from ymera.wire.gemini.errors import decode_error, encode_error
from ymera.wire.gemini.models import ListedModel, decode_models, encode_model, encode_models
from ymera.wire.gemini.reply import StreamEncoder, encode_answer
from ymera.wire.gemini.request import decode_request, decode_request_for
from ymera.wire.gemini.upstream_request import encode_request, path

__all__ = [
    "CALLER",
    "UPSTREAM",
    "ListedModel",
    "StreamDecoder",
    "StreamEncoder",
    "decode_answer",
    "decode_error",
    "decode_models",
    "decode_request",
    "decode_request_for",
    "encode_answer",
    "encode_error",
    "encode_model",
    "encode_models",
    "encode_request",
]

UPSTREAM = UpstreamDialect(
    dialect=Dialect.GEMINI,
    framing=Framing.SSE,
    path=path,
    encode_request=encode_request,
    decode_answer=lambda body, secrets: decode_answer(body, secrets=secrets),
    stream_decoder=lambda secrets: StreamDecoder(secrets=secrets),
    decode_error=decode_error,
)

CALLER = CallerDialect(
    dialect=Dialect.GEMINI,
    framing=Framing.SSE,
    decode_request=decode_request,
    encode_answer=encode_answer,
    stream_encoder=StreamEncoder,
    encode_error=encode_error,
)
