"""Simulated models that answer with the embedded model's own words."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support import local_model
from tests.support.chat import make_request
from tests.support.simulated import client_of, model_of
from ymera.core.answer import AnswerBuilder
from ymera.core.chat import Sampling
from ymera.core.errors import UnknownModel
from ymera.core.model import Dialect
from ymera.core.ports import Deadlines
from ymera.providers.transport import HttpTransport
from ymera.testing import embedded_answers, simulated_providers


@pytest.fixture(scope="session")
def models_dir() -> Path:
    return local_model.pulled()


@pytest.mark.proves("simulator.answers")
async def test_the_embedded_model_speaks_for_another(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(models_dir))
    transport = HttpTransport()
    builder = AnswerBuilder()

    async with (
        embedded_answers("smollm2-135m") as answers,
        simulated_providers("groq", answers=answers) as simulator,
    ):
        client = client_of(simulator, "groq", Dialect.OPENAI_CHAT, transport)
        model = model_of("groq/openai/gpt-oss-20b")
        request = msgspec.structs.replace(
            make_request("What is the capital of France?", stream=False),
            sampling=Sampling(max_tokens=24),
        )
        async for batch in client.stream(request, model, Deadlines(first_byte_s=60, total_s=60)):
            for event in batch:
                builder.add(event)
    await transport.close()

    answer = builder.build()
    assert answer.text.strip()
    assert not answer.text.startswith("You asked")
    assert answer.usage is not None
    assert answer.usage.output_tokens > 1


async def test_an_embedded_model_that_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_DATA_DIR", str(tmp_path))

    with pytest.raises(UnknownModel, match="no-such-model"):
        async with embedded_answers("no-such-model"):
            pass
