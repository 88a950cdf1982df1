"""A conversation that moves to another vendor's model leaves signed reasoning behind, on record."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.support.engine import Stage
from ymera.core.access import LOCAL_OWNER
from ymera.core.chat import ChatRequest, ReasoningPart
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.model import Dialect
from ymera.testing.scripted import ScriptedProvider
from ymera.wire import anthropic
from ymera.wire.signatures import marked

SIGNATURE = marked("c2lnbmVk", "first/m", Dialect.ANTHROPIC)


def conversation() -> ChatRequest:
    thought = {"type": "thinking", "thinking": "hm", "signature": SIGNATURE}
    turns = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Done."}]},
        {"role": "user", "content": "And now?"},
    ]
    body = {"model": "auto", "max_tokens": 99, "messages": turns}
    return anthropic.decode_request(json.dumps(body).encode())


def signed(request: ChatRequest) -> list[str | None]:
    parts = (part for message in request.messages for part in message.content)
    return [part.signature for part in parts if isinstance(part, ReasoningPart)]


@pytest.mark.proves("wire.signature-maker")
async def test_the_model_that_takes_over_is_not_sent_what_the_first_one_signed() -> None:
    busy = ProviderError("busy", kind=ProviderErrorKind.UPSTREAM_BUSY)
    first, second = ScriptedProvider(answers=[busy]), ScriptedProvider()
    stage = Stage({"first": first, "second": second})
    reply = await stage.gateway().handle(conversation(), LOCAL_OWNER)
    await reply.answer()

    assert signed(first.requests[0]) == ["c2lnbmVk"]
    assert signed(second.requests[0]) == [None]
    bodies = [
        anthropic.encode_request(each.requests[0], "m").body.decode() for each in (first, second)
    ]
    assert ['"signature":"c2lnbmVk"' in body for body in bodies] == [True, False]
    assert "hm" not in str(msgspec.json.decode(bodies[1])["messages"])
    lost, kept = reply.trace.attempts[1].losses, reply.trace.attempts[0].losses
    assert (len(kept), [("other vendors' models" in loss) for loss in lost]) == (0, [True])
