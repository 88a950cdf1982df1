"""Names of requests."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ymera.engine.trace import new_request_id


@pytest.mark.proves("trace.ids")
def test_ids_are_unique_also_when_threads_ask_at_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(lambda _: new_request_id(), range(5_000)))
    assert len(set(ids)) == len(ids)


@pytest.mark.proves("trace.ids")
def test_ids_rise_with_time_and_end_in_what_nobody_can_guess(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ns = iter([1_000_000 * 2**20, 1_000_000 * 2**30, 1_000_000 * 2**30])
    monkeypatch.setattr("ymera.engine.trace.time.time_ns", lambda: next(now_ns))
    first, second, third = (new_request_id() for _ in range(3))
    assert first < min(second, third)
    assert second[:16] == third[:16]
    assert second[16:] != third[16:]
    assert {len(id_) for id_ in (first, second, third)} == {len("req_") + 24}


@pytest.mark.proves("trace.ids")
@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_a_forked_child_draws_other_ids_than_its_parent() -> None:
    new_request_id()  # more are ready now, in both
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, "".join(new_request_id()[16:] for _ in range(20)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    tails = os.read(reading, 240).decode()
    os.close(reading)
    os.close(writing)
    theirs = {tails[at : at + 12] for at in range(0, len(tails), 12)}
    assert len(theirs) == 20
    assert not theirs & {new_request_id()[16:] for _ in range(20)}
