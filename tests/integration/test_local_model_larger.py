"""The larger embedded model, which in CI comes in parts of several wheels."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support import local_model
from ymera.core.answer import TextDelta
from ymera.core.chat import (
    ChatRequest,
    Message,
    Role,
    TextPart,
)
from ymera.core.ports import Deadlines
from ymera.providers.local import LocalProvider
from ymera.providers.local_settings import LocalSettings
from ymera.providers.transport import HttpTransport


@pytest.fixture(scope="module")
def models_dir() -> Path:
    return local_model.pulled(local_model.LARGER)


@pytest.mark.full
@pytest.mark.proves("local.answers", "pull.wheel-parts")
async def test_the_larger_model_knows_what_the_small_one_does_not(models_dir: Path) -> None:
    model = local_model.model(local_model.LARGER)
    transport = HttpTransport()
    provider = LocalProvider("local", models_dir, transport, LocalSettings(context_tokens=512))
    turn = Message(role=Role.USER, content=(TextPart("What is the capital of France?"),))
    request = ChatRequest(model=model.id, messages=(turn,))
    try:
        async with asyncio.timeout(120):
            stream = provider.stream(request, model, Deadlines())
            events = [event async for batch in stream for event in batch]
    finally:
        await provider.close()
        await transport.close()

    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert "Paris" in text
