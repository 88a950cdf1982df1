"""One open database for each process."""

from __future__ import annotations

import os
import threading

import pytest

from ymera.storage.per_process import PerProcess


class Database:
    """Remembers that it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_it_is_opened_at_the_first_use_and_again_after_closing() -> None:
    opened: list[Database] = []

    def make() -> Database:
        opened.append(Database())
        return opened[-1]

    databases = PerProcess(make)
    assert opened == []
    first = databases.get()
    assert databases.get() is first
    databases.close()
    assert first.closed
    assert databases.get() is not first
    assert len(opened) == 2


def test_threads_that_open_it_at_once_share_one_and_the_others_are_closed() -> None:
    barrier = threading.Barrier(4)
    opened: list[Database] = []

    def make() -> Database:
        barrier.wait(10)
        opened.append(Database())
        return opened[-1]

    databases = PerProcess(make)
    found: list[Database] = []
    threads = [threading.Thread(target=lambda: found.append(databases.get())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(map(id, found))) == 1
    assert [each for each in opened if not each.closed] == [found[0]]


def test_a_forked_process_opens_its_own_and_leaves_the_parents_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    databases = PerProcess(Database)
    parents = databases.get()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert databases.get() is not parents
    databases.close()
    assert not parents.closed
