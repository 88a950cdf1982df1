"""The short way: `async with ymera.connect() as ai: await ai.ask("...")`, and its sync twin."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

from ymera.app import App
from ymera.core.chat import TextDelta
from ymera.core.route import RoutePlan
from ymera.core.task import TaskComplexity, TaskType
from ymera.engine.orchestrator import AIRequest, AIResponse

__all__ = ["AskOptions", "SyncYmera", "Ymera", "connect", "connect_sync"]

_T = TypeVar("_T")


class AskOptions(TypedDict, total=False):
    """What may be said beside the prompt; every field of `AIRequest` that is not the prompt."""

    task_id: str
    task_type: TaskType | str | None
    complexity: TaskComplexity | str | None
    prefer_free: bool
    model: str
    system: str | None
    max_tokens: int | None
    temperature: float | None
    private: bool


class Ymera:
    """An open connection to the models; made by `connect`."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close connections and child processes; write out records."""
        await self._app.close()

    async def ask(self, prompt: str, **options: Unpack[AskOptions]) -> AIResponse:
        """Return one answer.

        Raises:
            YmeraError: no answer could be had; `hint` says what to do.
        """
        return await self._app.orchestrator.ask(AIRequest(prompt=prompt, **options))

    async def stream(self, prompt: str, **options: Unpack[AskOptions]) -> AsyncGenerator[str, None]:
        """Yield the answer's text as it is written.

        Raises:
            YmeraError: no answer could be had, or it broke off.
        """
        request = AIRequest(prompt=prompt, **options)
        async with aclosing(self._app.orchestrator.stream(request)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    yield event.text

    def route(self, prompt: str, **options: Unpack[AskOptions]) -> RoutePlan:
        """Explain which model would be asked and why; asks none.

        Raises:
            UnknownModel, InvalidRequest: the options name something unknown.
        """
        return self._app.orchestrator.route(AIRequest(prompt=prompt, **options))


class SyncYmera:
    """`Ymera` for code without an event loop: the same methods, blocking; made by `connect_sync`.

    Runs one event loop in a thread of its own; may be used from any thread.
    """

    def __init__(self, app: App) -> None:
        self._ai = Ymera(app)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="ymera-sync", daemon=True
        )

    def __enter__(self) -> Self:
        """Start the loop's thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close connections and child processes; write out records."""
        try:
            self._run(self._ai.__aexit__(kind, error, trace))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def ask(self, prompt: str, **options: Unpack[AskOptions]) -> AIResponse:
        """Return one answer.

        Raises:
            YmeraError: no answer could be had; `hint` says what to do.
        """
        return self._run(self._ai.ask(prompt, **options))

    def stream(self, prompt: str, **options: Unpack[AskOptions]) -> Iterator[str]:
        """Yield the answer's text as it is written.

        Raises:
            YmeraError: no answer could be had, or it broke off.
        """
        pieces = self._ai.stream(prompt, **options)
        try:
            while True:
                piece = self._run(_next(pieces))
                if piece is None:
                    return
                yield piece
        finally:
            self._run(pieces.aclose())

    def route(self, prompt: str, **options: Unpack[AskOptions]) -> RoutePlan:
        """Explain which model would be asked and why; asks none.

        Raises:
            UnknownModel, InvalidRequest: the options name something unknown.
        """
        return self._ai.route(prompt, **options)

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _next(pieces: AsyncGenerator[str, None]) -> str | None:
    return await anext(pieces, None)


def connect() -> Ymera:
    """Return a connection built from configuration files and environment.

    Raises:
        ConfigError: a setting is wrong.
    """
    return Ymera(App.create())


def connect_sync() -> SyncYmera:
    """Return the blocking twin of `connect`.

    Raises:
        ConfigError: a setting is wrong.
    """
    return SyncYmera(App.create())
