"""A provider elsewhere: the shipped simulator on loopback, for commands and servers of their own.

It runs in a thread, so that a test may wait for a child process meanwhile. What it answers is a
function of the test's: a stand-in for the far end of a wire, never for a part of Ymera.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest
from ymera.core.usage import Usage
from ymera.testing import Fault, Simulator

__all__ = ["Hosted", "hosting", "say"]

READY_WITHIN_S = 30


def say(text: str, *, input_tokens: int = 12, output_tokens: int = 34) -> ChatAnswer:
    """Return an answer of this text that counts as so many tokens."""
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    return ChatAnswer(text=text, finish_reason=FinishReason.STOP, usage=usage)


@dataclass
class Hosted:
    """A provider of the OpenAI dialect.

    Attributes:
        base_url: its address.
        asked: every chat request it was sent, in order.
    """

    base_url: str = ""
    asked: list[ChatRequest] = field(default_factory=list)

    def settings(self, host: str = "stage", models: str = '["actor"]') -> dict[str, str]:
        """Return the variables under which it is a free host of the user's own."""
        prefix = f"YMERA_PROVIDERS__{host.upper()}__"
        return {
            f"{prefix}BASE_URL": self.base_url,
            f"{prefix}MODELS": models,
            f"{prefix}FREE": "true",
            f"{prefix}KEYLESS": "true",
        }

    def only(self, host: str = "stage", models: str = '["actor"]') -> dict[str, str]:
        """Return the variables under which nothing but it can be asked."""
        return {"YMERA_LOCAL__ENABLED": "false", **self.settings(host, models)}


@contextmanager
def hosting(
    answer: Callable[[ChatRequest], ChatAnswer], *, faults: Mapping[str, Fault] | None = None
) -> Iterator[Hosted]:
    """Serve `answer` on a free port of loopback while the block lasts.

    Args:
        answer: makes the answer of every model without a fault; called in the server's thread.
        faults: what goes wrong, by the model's name at the host.
    """
    hosted = Hosted()
    ready, finished = threading.Event(), threading.Event()

    def heard(request: ChatRequest) -> ChatAnswer:
        hosted.asked.append(request)
        return answer(request)

    async def serve() -> None:
        async with Simulator(answer=heard, faults=faults) as simulator:
            hosted.base_url = simulator.base_url
            ready.set()
            await asyncio.to_thread(finished.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="hosted", daemon=True)
    thread.start()
    try:
        assert ready.wait(READY_WITHIN_S), "the simulator did not start"
        yield hosted
    finally:
        finished.set()
        thread.join(READY_WITHIN_S)
