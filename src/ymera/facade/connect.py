"""The short way: `async with ymera.connect() as ai: await ai.ask("...")`, and its sync twin."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

from ymera.app import App
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import ChatEvent
from ymera.core.chat import Message
from ymera.core.embedding import EmbeddingRequest, Embeddings, unpack
from ymera.core.route import RoutePlan
from ymera.core.task import TaskComplexity, TaskType
from ymera.engine.orchestrator import AIRequest, AIResponse
from ymera.phases.types import Budget, RunResult, Strategy

__all__ = ["AskOptions", "RunOptions", "SyncYmera", "Ymera", "connect", "connect_sync"]

_T = TypeVar("_T")


class AskOptions(TypedDict, total=False):
    """What may be said beside the prompt; every field of `AIRequest` that is not the prompt."""

    task_id: str
    task_type: TaskType | str | None
    complexity: TaskComplexity | str | None
    prefer_free: bool
    model: str | None
    system: str | None
    max_tokens: int | None
    temperature: float | None
    private: bool
    messages: tuple[Message, ...]
    user: str | None
    fresh: bool
    tools: tuple[str, ...] | None


class RunOptions(TypedDict, total=False):
    """What may be said beside the task of a run; see `ymera.app.running.Running.plan`."""

    strategy: Strategy | str | None
    complexity: TaskComplexity | None
    budget: Budget | None
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
        """Close."""
        await self.close()

    async def close(self) -> None:
        """End connections and child processes; write out records. A later use opens them again."""
        await self._app.close()

    async def ask(self, prompt: str, **options: Unpack[AskOptions]) -> AIResponse:
        """Return one answer.

        Raises:
            YmeraError: no answer could be had; `hint` says what to do.
        """
        return await self._app.orchestrator.ask(AIRequest(prompt=prompt, **options))

    async def stream(
        self, prompt: str, **options: Unpack[AskOptions]
    ) -> AsyncGenerator[ChatEvent, None]:
        """Yield the answer's events as it is written; `str(event)` is what each adds to its text.

        Raises:
            YmeraError: no answer could be had, or it broke off.
        """
        request = AIRequest(prompt=prompt, **options)
        async with aclosing(self._app.orchestrator.stream(request)) as events:
            async for event in events:
                yield event

    async def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str,
        dimensions: int | None = None,
        private: bool = False,
    ) -> Embeddings:
        """Return one vector per text.

        Args:
            texts: one or several, none empty.
            model: catalogue id of an embedding model, or its bare name (`bge-m3`) for whichever
                host serves it; there is no `auto`, since vectors of two models do not compare.
            dimensions: wanted length of the vectors, where the model has several.
            private: only own machines, and hosts known not to train on free traffic.

        Raises:
            YmeraError: they could not be had; `hint` says what to do.
        """
        inputs = (texts,) if isinstance(texts, str) else tuple(texts)
        request = EmbeddingRequest(
            model=model, inputs=inputs, dimensions=dimensions, private=private
        )
        done = await self._app.embedder.embed(request, LOCAL_OWNER)
        return Embeddings(
            vectors=tuple(unpack(vector) for vector in done.answer.vectors),
            model=done.trace.model.id if done.trace.model else model,
            usage=done.answer.usage,
            cost_usd=done.trace.cost_usd(),
        )

    async def run(
        self,
        task: str,
        *,
        agent: str = "general_agent",
        parameters: Mapping[str, object] | None = None,
        **options: Unpack[RunOptions],
    ) -> RunResult:
        """Do a task with an agent, a model for each phase, and return what came of it.

        A failed phase shows in the result, it does not raise. Cancelling the call interrupts the
        run; `ymera runs resume` carries it on.

        Raises:
            YmeraError: it could not be begun; `hint` says what to do.
        """
        spec = self._app.running.plan(agent, task, parameters, **options)
        return await self._app.runs.run(spec)

    def route(self, prompt: str, **options: Unpack[AskOptions]) -> RoutePlan:
        """Explain which model would be asked and why; asks none.

        Raises:
            UnknownModel, InvalidRequest: the options name something unknown.
        """
        return self._app.orchestrator.route(AIRequest(prompt=prompt, **options))


class SyncYmera:
    """`Ymera` for code without an event loop: the same methods, blocking; made by `connect_sync`.

    Runs one event loop in a thread of its own, from the first use until `close`; may be used from
    any thread. What other threads still wait for is cancelled by `close`.
    """

    def __init__(self, app: App) -> None:
        self._ai = Ymera(app)
        self._lock = threading.Lock()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End connections and child processes; write out records. A later use opens them again."""
        try:
            self._run(self._ai.close())
        finally:
            with self._lock:
                running, self._running = self._running, None
                if running is not None:
                    running[0].call_soon_threadsafe(running[0].stop)
            if running is not None:
                running[1].join()

    def ask(self, prompt: str, **options: Unpack[AskOptions]) -> AIResponse:
        """Return one answer.

        Raises:
            YmeraError: no answer could be had; `hint` says what to do.
        """
        return self._run(self._ai.ask(prompt, **options))

    def stream(self, prompt: str, **options: Unpack[AskOptions]) -> Iterator[ChatEvent]:
        """Yield the answer's events as it is written; `str(event)` is what each adds to its text.

        Raises:
            YmeraError: no answer could be had, or it broke off.
        """
        events = self._ai.stream(prompt, **options)
        turn = asyncio.Lock()  # an interrupted step unwinds before the generator is closed

        async def step() -> ChatEvent | None:
            async with turn:
                return await anext(events, None)

        async def end() -> None:
            async with turn:
                await events.aclose()

        try:
            while (event := self._run(step())) is not None:
                yield event
        finally:
            if self._running is not None:  # else `close` has ended the generator already
                self._run(end())

    def embed(
        self,
        texts: str | Sequence[str],
        *,
        model: str,
        dimensions: int | None = None,
        private: bool = False,
    ) -> Embeddings:
        """Return one vector per text; see `Ymera.embed`.

        Raises:
            YmeraError: they could not be had; `hint` says what to do.
        """
        return self._run(self._ai.embed(texts, model=model, dimensions=dimensions, private=private))

    def run(
        self,
        task: str,
        *,
        agent: str = "general_agent",
        parameters: Mapping[str, object] | None = None,
        **options: Unpack[RunOptions],
    ) -> RunResult:
        """Do a task with an agent; see `Ymera.run`.

        Raises:
            YmeraError: it could not be begun; `hint` says what to do.
        """
        return self._run(self._ai.run(task, agent=agent, parameters=parameters, **options))

    def route(self, prompt: str, **options: Unpack[AskOptions]) -> RoutePlan:
        """Explain which model would be asked and why; asks none.

        Raises:
            UnknownModel, InvalidRequest: the options name something unknown.
        """
        return self._ai.route(prompt, **options)

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        future: Future[_T] = Future()  # made first: Ctrl-C at any later point cancels the work
        try:
            with self._lock:
                if self._running is None:
                    self._running = _start_loop()
                self._running[0].call_soon_threadsafe(_perform, work, future)
            return future.result()
        finally:
            future.cancel()  # does nothing unless Ctrl-C ended the wait


def _perform(work: Coroutine[Any, Any, _T], future: Future[_T]) -> None:
    """Do `work` in the running loop for another thread's future; either cancels the other."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)

    def done(task: asyncio.Task[_T]) -> None:
        if task.cancelled():
            future.cancel()
            return
        error = task.exception()
        if not future.set_running_or_notify_cancel():
            return
        if error is None:
            future.set_result(task.result())
        else:
            future.set_exception(error)

    task.add_done_callback(done)
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(task.cancel))


def _start_loop() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    """Run an event loop in a new thread; when stopped it cancels its tasks and closes."""
    started: Future[asyncio.AbstractEventLoop] = Future()

    def run() -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            started.set_result(loop)
            loop.run_forever()

    thread = threading.Thread(target=run, name="ymera-sync", daemon=True)
    thread.start()
    return started.result(), thread


def connect() -> Ymera:
    """Return a connection built from configuration files and environment.

    Raises:
        ConfigError: a setting is wrong.
        CatalogError: the bundled catalogue is damaged.
        MachineError: the data directory cannot be used.
    """
    return Ymera(App.create())


def connect_sync() -> SyncYmera:
    """Return the blocking twin of `connect`.

    Raises:
        ConfigError: a setting is wrong.
        CatalogError: the bundled catalogue is damaged.
        MachineError: the data directory cannot be used.
    """
    return SyncYmera(App.create())
