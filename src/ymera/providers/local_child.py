"""The child process of one embedded model: llama.cpp behind a locked loopback port.

Run as a script (`python -P local_child.py`) so that it imports nothing of Ymera and starts fast.

Protocol: the parent writes one JSON line to stdin, a `ChildStart` (the key travels here and never
in the argument list or the environment). The child answers with one JSON line on stdout,
`{"url": "http://127.0.0.1:PORT/PREFIX"}` or `{"error": "..."}`, and serves until its stdin ends or
its parent is gone. What llama.cpp logs goes to stderr.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import xllamacpp

__all__ = ["ChildStart", "main"]

_LIMIT_LINE_BYTES = 64 * 1024
_BATCH_TOKENS = 256
"""A cancelled prompt stops between batches; 256 costs no throughput against the default 2048."""
_LOG_ERRORS = 1
_LOOK_FOR_PARENT_EVERY_S = 1.0
_STOP_WITHIN_S = 3.0


class ChildStart(TypedDict):
    """What the child is told.

    Attributes:
        model_path: the GGUF file.
        name: what the model calls itself in answers.
        context_tokens: prompt and answer of one slot together.
        slots: answers written at the same time.
        threads: for computing.
        unload_after_s: seconds without a request after which the weights leave memory until the
            next one; -1 for never.
        key: what a request must carry as bearer token.
        prefix: first part of every path, as in `/abc`.
    """

    model_path: str
    name: str
    context_tokens: int
    slots: int
    threads: int
    unload_after_s: int
    key: str
    prefix: str


def main() -> int:
    """Load the model the parent names and serve it until the parent is gone."""
    parent = os.getppid()
    ready_fd = os.dup(1)
    os.dup2(2, 1)  # a stray print of native code must not end up in the protocol
    _offer_to_be_ended_first()
    try:
        server = _serve(json.loads(sys.stdin.buffer.readline(_LIMIT_LINE_BYTES)))
    except (ImportError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        _say(ready_fd, {"error": str(error)})
        return 1
    _say(ready_fd, {"url": server.url})
    _wait_for_the_end(parent)
    # Native code that is still generating may not end in time, and may hold the GIL then:
    # this watchdog needs no GIL.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        faulthandler.dump_traceback_later(_STOP_WITHIN_S, exit=True, file=nowhere)
        del server
        faulthandler.cancel_dump_traceback_later()
    return 0


class _Served:
    """The native server and where it listens."""

    def __init__(self, native: xllamacpp.Server, prefix: str) -> None:
        self._native = native  # it serves as long as this object lives
        self.url = native.listening_address + prefix


def _serve(start: ChildStart) -> _Served:
    """Load the model and open the listener, closed to everyone without key and prefix."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = start["model_path"]
    params.model_alias = {start["name"]}
    params.n_ctx = start["context_tokens"] * start["slots"]
    params.n_parallel = start["slots"]
    params.n_batch = params.n_ubatch = _BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = start["threads"]
    params.sleep_idle_seconds = start["unload_after_s"]
    params.cache_prompt = True
    params.cache_idle_slots = False
    params.cache_ram_mib = 0  # the default would keep up to 8 GiB of old prompts
    params.ctx_shift = False  # an answer ends at the context's end instead of forgetting its start
    params.fit_params = False
    params.verbosity = _LOG_ERRORS
    _lock(params, start["key"], start["prefix"])
    return _Served(xllamacpp.Server(params), start["prefix"])


def _lock(params: xllamacpp.CommonParams, key: str, prefix: str) -> None:
    """Close the listener to everyone but the parent.

    The prefix is a second lock: without one, llama.cpp leaves its health page open to all.
    """
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.api_prefix = prefix
    params.cors_origins = params.cors_methods = params.cors_headers = ""
    params.cors_credentials = False
    params.ui = params.ui_mcp_proxy = False
    params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False


def _wait_for_the_end(parent: int) -> None:
    """Return when stdin ends or the parent is gone.

    The second look is for a parent that was forked: the copy would hold our stdin open.
    """
    ended = threading.Event()

    def read_to_the_end() -> None:
        while os.read(0, 4096):
            pass
        ended.set()

    threading.Thread(target=read_to_the_end, daemon=True).start()
    while not ended.wait(_LOOK_FOR_PARENT_EVERY_S) and os.getppid() == parent:
        pass


def _offer_to_be_ended_first() -> None:
    """When memory runs out, the kernel should end the model and not the server that asks it."""
    with contextlib.suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _say(fd: int, message: dict[str, str]) -> None:
    os.write(fd, (json.dumps(message) + "\n").encode())
    os.close(fd)


if __name__ == "__main__":
    sys.exit(main())
