"""Starting, sharing, replacing and ending children, with children that are only told of."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from tests.support.local_process import FakeProcess
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.providers.local_process import LocalProcess
from ymera.providers.local_settings import LocalSettings
from ymera.providers.local_supervisor import LocalSupervisor

ONE, TWO, THREE = Path("one.gguf"), Path("two.gguf"), Path("three.gguf")


class SlowProcess(FakeProcess):
    """Loads until it may serve or is stopped."""

    def __init__(self, path: Path, settings: LocalSettings, may_start: threading.Event) -> None:
        super().__init__(path, settings)
        self._may_start = may_start

    def wait_ready(self) -> None:
        assert self._may_start.wait(10)
        if self.dead:
            raise ProviderError("It was stopped.", kind=ProviderErrorKind.TRANSIENT)

    def stop(self) -> None:
        super().stop()
        self._may_start.set()


class Machine:
    """Starts fake children; holds the clock."""

    def __init__(self, settings: LocalSettings | None = None) -> None:
        self.now = 1000.0
        self.started: list[FakeProcess] = []
        self.failures: list[ProviderError] = []
        self.may_start = threading.Event()
        self.may_start.set()
        self.supervisor = LocalSupervisor(
            settings or LocalSettings(), launch=self.launch, monotonic=lambda: self.now
        )

    def launch(self, path: Path, settings: LocalSettings) -> LocalProcess:
        if self.failures:
            raise self.failures.pop()
        process = SlowProcess(path, settings, self.may_start)
        self.started.append(process)
        return process

    async def use(self, path: Path, window_tokens: int | None = None) -> LocalProcess:
        self.now += 0.001
        async with self.supervisor.lend(path, window_tokens=window_tokens) as process:
            return process

    @property
    def alive(self) -> set[Path]:
        return {process.path for process in self.started if process.alive}


def failure() -> ProviderError:
    return ProviderError("The model could not be started.", kind=ProviderErrorKind.TRANSIENT)


@pytest.mark.proves("local.on-demand")
async def test_a_child_starts_at_first_use_and_is_kept() -> None:
    machine = Machine()
    assert machine.started == []

    first = await machine.use(ONE)

    assert await machine.use(ONE) is first
    assert len(machine.started) == 1


async def test_first_requests_at_once_share_one_start() -> None:
    machine = Machine()
    machine.may_start.clear()
    asking = [asyncio.create_task(machine.use(ONE)) for _ in range(5)]
    await asyncio.sleep(0)

    machine.may_start.set()

    assert len({id(process) for process in await asyncio.gather(*asking)}) == 1
    assert len(machine.started) == 1


async def test_a_caller_that_leaves_during_the_start_does_not_end_it_for_the_others() -> None:
    machine = Machine()
    machine.may_start.clear()
    leaving, staying = (asyncio.create_task(machine.use(ONE)) for _ in range(2))
    await asyncio.sleep(0)

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    machine.may_start.set()

    assert await staying is machine.started[0]


def test_children_survive_the_event_loop_that_started_them() -> None:
    machine = Machine()

    first = asyncio.run(machine.use(ONE))

    assert asyncio.run(machine.use(ONE)) is first


@pytest.mark.proves("local.crash-isolated")
async def test_a_child_that_died_is_replaced_at_the_next_request() -> None:
    machine = Machine()
    first = await machine.use(ONE)
    machine.started[0].dead = True

    assert await machine.use(ONE) is not first


async def test_a_crash_loop_ends_in_a_clear_error_and_is_forgotten_after_a_minute() -> None:
    machine = Machine()
    for _ in range(3):
        await machine.use(ONE)
        machine.started[-1].dead = True
    with pytest.raises(ProviderError) as caught:
        await machine.use(ONE)

    assert caught.value.message == (
        "The embedded model 'one' ended 3 times within 60 seconds; the last time: it was ended by "
        "SIGKILL."
    )
    assert caught.value.retry_after_s == pytest.approx(60, abs=0.01)
    assert "smaller" in str(caught.value.hint)
    await machine.use(TWO)  # another model is not concerned

    machine.now += 61
    assert (await machine.use(ONE)).alive


async def test_starts_that_fail_count_as_crashes() -> None:
    machine = Machine()
    machine.failures = [failure() for _ in range(3)]
    for _ in range(3):
        with pytest.raises(ProviderError, match="could not be started"):
            await machine.use(ONE)

    with pytest.raises(ProviderError, match=r"ended 3 times.*could not be started"):
        await machine.use(ONE)
    assert machine.started == []


@pytest.mark.proves("local.bounded")
async def test_one_model_too_many_ends_the_idle_one_used_least_recently() -> None:
    machine = Machine(LocalSettings(max_running_models=2))
    for path in (ONE, TWO, ONE):
        await machine.use(path)

    await machine.use(THREE)

    assert machine.alive == {ONE, THREE}


@pytest.mark.proves("local.bounded")
async def test_a_model_waits_until_a_running_one_is_idle() -> None:
    machine = Machine(LocalSettings(max_running_models=1))
    async with machine.supervisor.lend(ONE):
        waiting = asyncio.create_task(machine.use(TWO))
        gone = asyncio.create_task(machine.use(TWO))
        await asyncio.sleep(0)
        assert machine.alive == {ONE}
        gone.cancel()

    assert (await waiting).alive
    assert machine.alive == {TWO}


async def test_a_model_that_finds_no_room_in_time_is_refused_as_busy() -> None:
    machine = Machine(LocalSettings(max_running_models=1, answer_timeout_s=0.01))
    async with machine.supervisor.lend(ONE):
        with pytest.raises(ProviderError, match="in use all the time") as caught:
            await machine.use(TWO)

    assert caught.value.kind is ProviderErrorKind.UPSTREAM_BUSY
    assert "local.max_running_models" in str(caught.value.hint)


@pytest.mark.proves("local.bounded")
@pytest.mark.parametrize(("window", "context"), [(None, 4096), (2048, 2048), (32768, 4096)])
async def test_the_context_never_exceeds_the_models_own_window(
    window: int | None, context: int
) -> None:
    machine = Machine()

    await machine.use(ONE, window)

    assert machine.started[0].settings == LocalSettings(context_tokens=context)


@pytest.mark.proves("local.on-demand")
async def test_closing_ends_every_child_and_a_later_request_starts_a_new_one() -> None:
    machine = Machine()
    await machine.use(ONE)
    await machine.use(TWO)

    await machine.supervisor.close()
    assert machine.alive == set()

    await machine.use(ONE)
    assert machine.alive == {ONE}


@pytest.mark.proves("local.on-demand")
async def test_closing_ends_a_child_that_still_loads_without_waiting_for_the_load() -> None:
    machine = Machine()
    machine.may_start.clear()
    asking = asyncio.create_task(machine.use(ONE))
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await machine.supervisor.close()  # nothing but a stop ends this load

    with pytest.raises(ProviderError, match="It was stopped"):
        await asking
    assert machine.alive == set()


@pytest.mark.proves("local.on-demand")
async def test_closing_ends_the_other_children_when_one_cannot_be_ended(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    await machine.use(ONE)
    await machine.use(TWO)

    def refuse() -> None:
        raise PermissionError("not permitted")

    monkeypatch.setattr(machine.started[0], "stop", refuse)

    await machine.supervisor.close()

    assert machine.alive == {ONE}
    assert "could not be ended: not permitted" in caplog.text


async def test_closing_after_a_start_that_failed_in_an_unknown_way_raises_nothing() -> None:
    def launch(_path: Path, _settings: LocalSettings) -> LocalProcess:
        raise OSError("out of everything")

    supervisor = LocalSupervisor(LocalSettings(), launch=launch)
    with pytest.raises(OSError, match="out of everything"):
        async with supervisor.lend(ONE):
            pass

    await supervisor.close()


async def test_a_machine_without_a_thread_left_is_a_transient_error_and_tried_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    machine = Machine()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ProviderError, match="can't start new thread") as caught:
            await machine.use(ONE)

    assert caught.value.kind is ProviderErrorKind.TRANSIENT
    assert (await machine.use(ONE)).alive
