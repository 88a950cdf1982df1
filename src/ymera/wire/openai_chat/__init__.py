"""The OpenAI chat dialect, both directions: `POST {base}/chat/completions` and `GET {base}/models`.

Spoken by the OpenAI API and by most free hosts (Groq, OpenRouter, Mistral, Cerebras, NVIDIA,
Cloudflare, ...), llama.cpp's server, Ollama, vLLM. What those do differently is read here, so that
nothing above knows of it; what is written is what all of them and the official SDKs accept.
"""

from ymera.wire.openai_chat.answer import StreamDecoder, decode_answer
from ymera.wire.openai_chat.errors import decode_error, encode_error
from ymera.wire.openai_chat.reply import StreamEncoder, encode_answer, encode_model, encode_models
from ymera.wire.openai_chat.request import decode_request
from ymera.wire.openai_chat.upstream_request import encode_request

__all__ = [
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
