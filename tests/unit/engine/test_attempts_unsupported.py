"""A candidate whose dialect has no words for what is asked is not the request's end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from tests.support.engine import Stage, ask
from ymera.core.answer import ChatEvent
from ymera.core.chat import ChatRequest
from ymera.core.errors import Unsupported
from ymera.core.model import Model
from ymera.core.ports import Deadlines
from ymera.testing.scripted import ScriptedProvider

pytestmark = pytest.mark.proves("engine.unsayable")


class Speechless(ScriptedProvider):
    """A provider whose dialect cannot say it."""

    async def stream(
        self, request: ChatRequest, model: Model, deadlines: Deadlines
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """Refuse before anything is sent."""
        del request, model, deadlines
        nothing: tuple[Sequence[ChatEvent], ...] = ()
        for batch in nothing:
            yield batch
        raise Unsupported("Images by address cannot be sent.", param="messages[0].content[1]")


async def test_the_next_candidate_is_asked() -> None:
    stage = Stage(providers={"a": Speechless(), "b": ScriptedProvider(answers=["Hello"])})
    assert await stage.answer() == "Hello"
    (record,) = stage.records.seen
    assert [each.error_code for each in record.attempts] == ["unsupported", None]


@pytest.mark.parametrize("names", ["a", "ab"])
async def test_when_none_can_say_it_the_parameter_is_named(names: str) -> None:
    stage = Stage(providers={name: Speechless() for name in names})
    with pytest.raises(Unsupported) as caught:
        await stage.answer(ask("hi"))
    assert caught.value.param == "messages[0].content[1]"
    assert caught.value.http_status == 400
