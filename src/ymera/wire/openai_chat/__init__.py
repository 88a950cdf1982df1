"""The OpenAI chat dialect, both directions: `POST {base}/chat/completions` and `GET {base}/models`.

Spoken by the OpenAI API and by most free hosts (Groq, OpenRouter, Mistral, Cerebras, NVIDIA,
Cloudflare, ...), llama.cpp's server, Ollama, vLLM. What those do differently is read here, so that
nothing above knows of it; what is written is what all of them and the official SDKs accept.
"""

from ymera.core.model import Dialect
from ymera.wire.codec import CallerDialect, Framing, UpstreamDialect
from ymera.wire.openai_chat.answer import StreamDecoder, decode_answer
from ymera.wire.openai_chat.errors import decode_error, encode_error
from ymera.wire.openai_chat.reply import (
    StreamEncoder,
    answer_for,
    encode_answer,
    encode_model,
    encode_models,
    stream_encoder_for,
)
from ymera.wire.openai_chat.request import decode_request
from ymera.wire.openai_chat.upstream_request import encode_request

__all__ = [
    "CALLER",
    "UPSTREAM",
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
    dialect=Dialect.OPENAI_CHAT,
    framing=Framing.SSE,
    path=lambda _upstream_id, _stream: "/chat/completions",
    encode_request=encode_request,
    decode_answer=lambda body, secrets: decode_answer(body, secrets=secrets),
    stream_decoder=lambda secrets: StreamDecoder(secrets=secrets),
    decode_error=decode_error,
)

CALLER = CallerDialect(
    dialect=Dialect.OPENAI_CHAT,
    framing=Framing.SSE,
    decode_request=decode_request,
    encode_answer=answer_for,
    stream_encoder=stream_encoder_for,
    encode_error=encode_error,
)
