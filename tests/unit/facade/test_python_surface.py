"""The library: the short way, its sync twin, and the document's names."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import get_type_hints

import pytest

import core_services.ai_mcp.ai_orchestrator as document
import core_services.ai_mcp.config.ai_config as document_config
import ymera
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.core.answer import UsageReport
from ymera.core.errors import InvalidRequest, NoRoute, UnknownModel
from ymera.facade import ai_config, ai_orchestrator
from ymera.facade.connect import AskOptions, SyncYmera, Ymera
from ymera.facade.shared import forget_shared_app
from ymera.testing.scripted import ScriptedProvider


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    yield
    asyncio.run(forget_shared_app())


@pytest.mark.proves("python.connect")
async def test_connect_gives_ask_stream_and_route() -> None:
    async with ymera.connect() as ai:
        answer = await ai.ask("Say hello", task_id="7")
        assert (answer.success, answer.response, answer.task_id) == (
            True,
            "You asked: Say hello",
            "7",
        )
        assert (answer.model, answer.provider, answer.cost) == ("stage/actor", "stage", Decimal(0))
        events = [event async for event in ai.stream("Say good day")]
        assert isinstance(events[0], ymera.TextDelta)
        assert isinstance(events[-1], UsageReport)
        pieces = [str(event) for event in events if str(event)]
        assert "".join(pieces) == "You asked: Say good day"
        assert len(pieces) > 1
        plan = ai.route("Translate this into French: hello")
        assert plan.profile.type is ymera.TaskType.TRANSLATION
        with pytest.raises(UnknownModel):
            await ai.ask("hi", model="nope")
        with pytest.raises(InvalidRequest, match="poetry"):
            await ai.ask("hi", task_type="poetry")


@pytest.mark.proves("python.sync-twin")
def test_the_sync_twin_does_the_same() -> None:
    with ymera.connect_sync() as ai:
        assert ai.ask("Say hello").response == "You asked: Say hello"
        assert "".join(map(str, ai.stream("Say hello"))) == "You asked: Say hello"
        first = next(iter(ai.stream("Say good day")))
        assert str(first) == "You"
        assert ai.route("hi there").candidates[0].model.id == "stage/actor"
        with pytest.raises(UnknownModel):
            ai.ask("hi", model="nope")


@pytest.mark.proves("python.connect")
async def test_a_connection_without_a_block_is_closed_by_hand_and_opens_again() -> None:
    ai = ymera.connect()
    assert (await ai.ask("Say hello")).success
    await ai.close()
    assert (await ai.ask("Say hello")).success
    await ai.close()


@pytest.mark.proves("python.sync-twin")
def test_the_sync_twin_needs_no_block_and_close_ends_its_thread() -> None:
    ai = ymera.connect_sync()
    assert "ymera-sync" not in threads()
    assert ai.ask("Say hello").response == "You asked: Say hello"
    unread = ai.stream("Say good day")
    assert str(next(unread)) == "You"
    assert "ymera-sync" in threads()
    ai.close()
    del unread
    assert "ymera-sync" not in threads()
    assert ai.ask("Say hello").success
    ai.close()
    assert "ymera-sync" not in threads()


@pytest.mark.proves("python.sync-twin")
@pytest.mark.parametrize("stream", [False, True])
def test_ctrl_c_cancels_the_call_it_interrupts(stream: bool) -> None:
    main, cancelled = threading.main_thread().ident, threading.Event()
    assert main is not None

    async def interrupt(number: int) -> None:
        if number == 1:
            signal.pthread_kill(main, signal.SIGINT)
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    provider = ScriptedProvider(delay=interrupt)
    with SyncYmera(App.create(providers={"stage": provider})) as ai:
        with pytest.raises(KeyboardInterrupt):
            _ = list(ai.stream("Say hello")) if stream else ai.ask("Say hello")
        assert cancelled.wait(10)


@pytest.mark.proves("python.sync-twin")
def test_close_ends_what_other_threads_wait_for() -> None:
    reached = threading.Event()

    async def hang(_number: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    ai = SyncYmera(App.create(providers={"stage": ScriptedProvider(delay=hang)}))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ai.ask, "Say hello")
        assert reached.wait(10)
        ai.close()
        assert isinstance(waiting.exception(10), CancelledError)


@pytest.mark.proves("python.connect")
def test_ask_takes_every_field_of_a_request_but_the_prompt() -> None:
    fields = get_type_hints(ymera.AIRequest)
    del fields["prompt"]
    assert get_type_hints(AskOptions) == fields


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


@pytest.mark.proves("python.sync-twin")
@pytest.mark.parametrize("name", ["ask", "stream", "route", "close"])
def test_the_twins_have_the_same_arguments_and_words(name: str) -> None:
    one, other = getattr(Ymera, name), getattr(SyncYmera, name)
    assert inspect.signature(one).parameters == inspect.signature(other).parameters
    assert inspect.getdoc(one) == inspect.getdoc(other)


def test_the_twins_have_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(Ymera) == public(SyncYmera)


@pytest.mark.proves("python.quiet")
async def test_the_library_prints_nothing_and_reads_no_dotenv(
    capfd: pytest.CaptureFixture[str], clean_environment: Path
) -> None:
    (clean_environment / ".env").write_text("YMERA_NO_SUCH_SETTING=1\nGROQ_API_KEY=gsk_x\n")
    async with ymera.connect() as ai:
        await ai.ask("Say hello")
        reasons = {e.model_id: e.reason.value for e in ai.route("hi").exclusions}
    assert reasons["groq/openai/gpt-oss-120b"] == "no_key"
    assert capfd.readouterr() == ("", "")


@pytest.mark.proves("document.paths")
def test_the_documents_paths_give_the_same_objects() -> None:
    for theirs, ours in ((document, ai_orchestrator), (document_config, ai_config)):
        for name in ours.__all__:
            assert getattr(theirs, name) is getattr(ours, name)


@pytest.mark.proves("document.orchestrator")
async def test_execute_returns_what_the_document_says() -> None:
    orchestrator = ymera.get_orchestrator()
    await orchestrator.initialize()
    result = await orchestrator.execute(
        ymera.AIRequest(
            "t1", ymera.TaskType.CHAT, ymera.TaskComplexity.SIMPLE, "Say hello", prefer_free=True
        )
    )
    assert result.success
    assert result.response == "You asked: Say hello"
    assert result.cost == 0.0
    assert (result.model, result.provider, result.task_id) == ("stage/actor", "stage", "t1")
    assert result.usage is not None
    assert result.latency_s >= 0
    assert result.error is None
    assert result.route is not None
    assert result.route.candidates[0].model.id == "stage/actor"


@pytest.mark.proves("document.orchestrator")
async def test_execute_returns_failures_instead_of_raising(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("YMERA_PROVIDERS__STAGE__ENABLED", "false")
    result = await ymera.get_orchestrator().execute(ymera.AIRequest(prompt="hi"))
    assert not result.success
    assert (result.response, result.cost, result.model) == ("", None, None)
    assert isinstance(result.error, NoRoute)
    assert result.request_id is not None


@pytest.mark.proves("document.accessors")
def test_the_accessor_initialises_itself_and_survives_a_new_event_loop() -> None:
    async def ask() -> str:
        return (await ymera.get_orchestrator().execute(ymera.AIRequest(prompt="hi"))).response

    assert asyncio.run(ask()) == asyncio.run(ask()) == "You asked: hi"
    assert ymera.get_orchestrator() is ymera.get_orchestrator()
    assert ymera.AIOrchestrator() is not ymera.get_orchestrator()
