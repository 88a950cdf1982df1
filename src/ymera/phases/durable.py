"""Runs as DBOS workflows: what a process was doing is found and carried on after its death.

The only module that imports dbos, and it is imported when a run begins or is carried on. A run is
one workflow and each of its phases one step; DBOS keeps the names of both and nothing else of
them. Artefacts stand in our own tables, written inside the step, so that DBOS's checkpoint may be
lost between the two and the phase still is not made again.

DBOS works on an event loop of its own, in a thread of its own: it replaces the default executor
of every loop that its asynchronous functions are called in, and the loop that asked for a run may
end before the run does. Phases are performed where the caller says (`Perform`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID, StepOptions

from ymera.core.errors import ConfigError, MachineError
from ymera.phases.interpreter import Plan, walk
from ymera.phases.types import PLAN_FORMAT

__all__ = ["DurableEngine", "Perform", "open_engine"]

_T = TypeVar("_T")

Perform = Callable[[str], "Future[None]"]
"""Begins a phase, by name, wherever phases are carried out."""

_NAME = "ymera"
_WORKFLOW = "ymera_run"
_SCHEMA = "ymera_dbos"
_POLL_S = 0.2
_SETTLED_WITHIN_S = 5.0
_ENDED = frozenset({"SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"})


class _InterruptedError(BaseException):
    """Ends a workflow without a trace: to DBOS it looks as if the process had died."""


class _JsonSerializer(Serializer):
    """Plain JSON, where DBOS would pickle; of an exception only the name of its kind."""

    def serialize(self, data: Any) -> str:
        return msgspec.json.encode(data, enc_hook=_plain).decode()

    def deserialize(self, serialized_data: str) -> Any:
        decoded = msgspec.json.decode(serialized_data)
        if isinstance(decoded, dict) and decoded.keys() == {"exception"}:
            return RuntimeError(decoded["exception"])
        return decoded

    def name(self) -> str:
        return "ymera_json"


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        return {"exception": type(value).__name__}
    raise NotImplementedError


class _Work:
    """One run that this process carries out; lives on the engine's loop."""

    def __init__(self, perform: Perform) -> None:
        self.perform = perform
        self.task: asyncio.Task[Any] | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class DurableEngine:
    """The process's DBOS; made by `open_engine`, shared by all who open the same location."""

    def __init__(self, location: Path | str) -> None:
        self.location = location
        self.users = 1
        self._executor = f"ymera-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._listening = False
        self._works: dict[str, _Work] = {}
        self._loop, self._thread = _start_loop()

    def carry(self, workflow_id: str, plan: Plan, perform: Perform) -> Future[None]:
        """Carry a plan out, or on where a dead process left it; the future ends with it.

        It fails when `perform` does; then, and when it was stopped, the workflow is as a dead
        process would have left it.
        """
        return self._submit(self._carry(workflow_id, plan, perform))

    def stop(self, workflow_id: str) -> Future[None]:
        """Begin no further phase of a workflow, and leave it as a dead process would."""
        return self._submit(self._stop(workflow_id))

    def forget(self, workflow_ids: Sequence[str]) -> Future[None]:
        """Delete everything DBOS holds of workflows, those it does not know included."""
        return self._submit(DBOS.delete_workflows_async(list(workflow_ids)))

    def launch(self) -> None:
        """Start DBOS.

        Raises:
            MachineError: its database cannot be used.
        """
        try:
            self._submit(self._launch()).result()
        except Exception as error:
            self.shut_down()
            raise MachineError(
                f"The engine that keeps runs could not start ({type(error).__name__}).",
                hint="Check that its database can be written: the data directory, or the server "
                "that runs.database_url_env names. A damaged runs/dbos.sqlite may be moved away: "
                "finished phases are kept elsewhere.",
            ) from error

    def shut_down(self) -> None:
        """End DBOS, its threads and connections; workflows under way stay as they are."""
        if self._listening:
            with contextlib.suppress(Exception):  # a queue nobody listens to harms nobody
                self._submit(DBOS.delete_queue_async(self._executor)).result(_SETTLED_WITHIN_S)
        DBOS.destroy()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def work(self, workflow_id: str) -> _Work:
        """Return the work of a workflow that DBOS is about to run here."""
        try:
            return self._works[workflow_id]
        except KeyError:
            raise _InterruptedError from None  # it was stopped before it was begun

    def _submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _launch(self) -> None:
        _silence()
        DBOS(config=_config(self.location, self._executor))
        DBOS.listen_queues([self._executor])
        _register()
        DBOS.launch()

    async def _carry(self, workflow_id: str, plan: Plan, perform: Perform) -> None:
        work = self._works[workflow_id] = _Work(perform)
        try:
            settled = await self._begin(workflow_id, plan)
            await work.ended
            with contextlib.suppress(TimeoutError):  # only DBOS's own last note is missing
                await asyncio.wait_for(settled(), _SETTLED_WITHIN_S)
        finally:
            self._works.pop(workflow_id, None)

    async def _begin(self, workflow_id: str, plan: Plan) -> Callable[[], Awaitable[object]]:
        """Have DBOS run the workflow; return what waits until it has noted the end."""
        known = await DBOS.get_workflow_status_async(workflow_id)
        if known is not None and known.status in _ENDED:
            # Its phases have not all ended, or nobody would ask: a bug once stopped it.
            await DBOS.delete_workflow_async(workflow_id)
            known = None
        if known is None:
            steps = [[name, list(used)] for name, used in plan]
            with SetWorkflowID(workflow_id):
                started = await DBOS.start_workflow_async(_carry_out, workflow_id, steps)
            return started.get_result
        # A queue of our own: DBOS's is emptied by whichever process comes first.
        if not self._listening:
            await DBOS.register_queue_async(self._executor, polling_interval_sec=_POLL_S)
            self._listening = True
        resumed = await DBOS.resume_workflow_async(workflow_id, queue_name=self._executor)
        return lambda: resumed.get_result(polling_interval_sec=_POLL_S)

    async def _stop(self, workflow_id: str) -> None:
        work = self._works.pop(workflow_id, None)
        if work is None:
            return
        if work.task is not None:
            work.task.cancel()
            await asyncio.wait([work.task])
        if not work.ended.done():
            work.ended.cancel()


async def _carry_out(workflow_id: str, steps: list[list[Any]]) -> None:
    """Walk the plan under DBOS: which step is which depends on the plan's order alone."""
    if _shared is None:
        raise _InterruptedError
    work = _shared.work(workflow_id)
    work.task = asyncio.current_task()
    reserved = {name: DBOS.reserve_step() for name, _ in steps}

    async def perform(name: str) -> None:
        options: StepOptions = {"name": name}
        await reserved[name].run_async(options, _step, work.perform, name)

    try:
        await walk([(name, used) for name, used in steps], perform)
    except BaseException as error:
        if not work.ended.done():
            work.ended.set_exception(_cause(error))
        raise
    if not work.ended.done():
        work.ended.set_result(None)


async def _step(perform: Perform, name: str) -> str:
    """Have a phase performed; whatever stops it leaves no checkpoint."""
    try:
        await asyncio.wrap_future(perform(name))
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise
        raise _InterruptedError from None  # the loop that performed it has ended
    except Exception as error:
        raise _InterruptedError from error
    return "ended"


def _cause(error: BaseException) -> BaseException:
    """Return what `perform` raised; an exception that asyncio may carry."""
    if isinstance(error, _InterruptedError) and error.__cause__ is not None:
        return error.__cause__
    return RuntimeError("the run was interrupted")


# --- one DBOS per process

_lock = threading.Lock()
_shared: DurableEngine | None = None
_registered = False


def open_engine(location: Path | str) -> DurableEngine:
    """Return the process's engine, started at the first call. May take a second; blocks.

    Args:
        location: SQLite file of DBOS (Path), or the URL of a PostgreSQL database.

    Raises:
        ConfigError: the process has a DBOS for another location, or one that is not ours.
        MachineError: the database cannot be used.
    """
    global _shared  # noqa: PLW0603 - DBOS is one object per process
    with _lock:
        if _shared is None:
            if _foreign():
                raise ConfigError(
                    "This process already has a DBOS of its own, and DBOS allows only one.",
                    hint="Do runs in a process of their own, such as `ymera serve`.",
                )
            engine = DurableEngine(location)
            _shared = engine
            try:
                engine.launch()
            except BaseException:
                _shared = None
                raise
        elif _shared.location != location:
            raise ConfigError(
                "This process already keeps runs elsewhere, and there can be one place only.",
                hint="Close the other one first, or use a process for each data directory.",
                param="data_dir",
            )
        else:
            _shared.users += 1
        return _shared


def close_engine(engine: DurableEngine) -> None:
    """Give back what `open_engine` returned; the last one ends DBOS. Blocks."""
    global _shared  # noqa: PLW0603
    with _lock:
        engine.users -= 1
        if engine.users == 0 and _shared is engine:
            try:
                engine.shut_down()
            finally:
                _shared = None


def _foreign() -> bool:
    # DBOS has no public question for this; asking for an instance would make one.
    return getattr(sys.modules["dbos._dbos"], "_dbos_global_instance", None) is not None


def _register() -> None:
    """Make the workflow known; what is registered stays so when DBOS ends and starts again."""
    global _carry_out, _registered  # noqa: PLW0603
    if not _registered:
        _carry_out = DBOS.workflow(name=_WORKFLOW)(_carry_out)
        _registered = True


def _config(location: Path | str, executor: str) -> DBOSConfig:
    if isinstance(location, Path):
        os.close(os.open(location, os.O_CREAT | os.O_RDWR, 0o600))
        url = f"sqlite:///{location}"
    else:
        url = location
    return DBOSConfig(
        name=_NAME,
        system_database_url=url,
        dbos_system_schema=_SCHEMA,
        application_version=PLAN_FORMAT,
        executor_id=executor,
        serializer=_JsonSerializer(),
        log_level="CRITICAL",
        enable_otlp=False,
        use_listen_notify=False,
        notification_listener_polling_interval_sec=_POLL_S,
    )


def _silence() -> None:
    """Keep DBOS from adding a handler of its own to its logger."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False


def _start_loop() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    started: Future[asyncio.AbstractEventLoop] = Future()

    def run() -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.set_exception_handler(_ignore)
            started.set_result(loop)
            loop.run_forever()

    thread = threading.Thread(target=run, name="ymera-runs", daemon=True)
    thread.start()
    return started.result(), thread


def _ignore(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of interrupted workflows: whoever interrupted them knows."""
    if not isinstance(context.get("exception"), _InterruptedError):
        loop.default_exception_handler(context)
