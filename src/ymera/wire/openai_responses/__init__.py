"""The OpenAI Responses dialect, for callers: `POST /v1/responses`.

Spoken by Codex, the Agents SDK and newer OpenAI SDKs. Upstreams are asked in other dialects.
Nothing is stored here: a caller sends the whole conversation each time, as with `store: false`.
"""

from ymera.core.model import Dialect
from ymera.wire.codec import CallerDialect, Framing
from ymera.wire.openai_chat import encode_error
from ymera.wire.openai_responses.reply import encode_answer
from ymera.wire.openai_responses.request import decode_request
from ymera.wire.openai_responses.stream import StreamEncoder

__all__ = ["CALLER", "StreamEncoder", "decode_request", "encode_answer", "encode_error"]

CALLER = CallerDialect(
    dialect=Dialect.OPENAI_RESPONSES,
    framing=Framing.SSE,
    decode_request=decode_request,
    encode_answer=encode_answer,
    stream_encoder=StreamEncoder,
    encode_error=encode_error,
)
