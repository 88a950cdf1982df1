from __future__ import annotations

import os
from pathlib import Path

import pytest

from ymera.core.errors import ConfigError
from ymera.providers.local_settings import LocalSettings, default_threads, usable_cores


@pytest.mark.proves("local.bounded")
@pytest.mark.parametrize("name", ["context_tokens", "slots", "threads", "max_running_models"])
def test_bounds_below_their_least_value_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} of the embedded models is 0") as caught:
        LocalSettings(**{name: 0})

    assert caught.value.param == name


def machine(sys_dir: Path, siblings: list[str], cpu_max: str | None = None) -> Path:
    for cpu, sharing in enumerate(siblings):
        topology = sys_dir / f"devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(sharing + "\n", encoding="ascii")
    if cpu_max is not None:
        (sys_dir / "fs/cgroup").mkdir(parents=True)
        (sys_dir / "fs/cgroup/cpu.max").write_text(cpu_max + "\n", encoding="ascii")
    return sys_dir


@pytest.mark.parametrize(
    ("siblings", "cpu_max", "cores"),
    [
        (["0", "1", "2", "3"], None, 4),
        (["0,2", "1,3", "0,2", "1,3"], None, 2),
        (["0", "1", "2", "3"], "max 100000", 4),
        (["0", "1", "2", "3"], "150000 100000", 2),
        (["0", "1", "2", "3"], "1000 100000", 1),
        (["0", "1", "2", "3"], "nonsense", 4),
    ],
)
def test_hardware_threads_count_once_and_a_container_quota_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    siblings: list[str],
    cpu_max: str | None,
    cores: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(4)), raising=False)

    assert usable_cores(machine(tmp_path / "sys", siblings, cpu_max)) == cores


def test_only_cpus_this_process_may_use_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 2}, raising=False)

    assert usable_cores(machine(tmp_path / "sys", ["0", "1", "2", "3"])) == 2


def test_a_system_that_says_nothing_counts_every_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)

    assert usable_cores(tmp_path) == 3


@pytest.mark.proves("local.bounded")
def test_one_core_is_left_to_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert default_threads() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default_threads() == 1
