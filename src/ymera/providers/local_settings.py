"""The bounds of embedded models."""

from __future__ import annotations

import math
import os
from pathlib import Path

import msgspec

from ymera.core.errors import ConfigError

__all__ = ["LocalSettings", "default_threads", "usable_cores"]

_SYS = Path("/sys")


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of embedded models.

    Attributes:
        context_tokens: prompt and answer of one request together, at least 16; never more than
            the model's own window is used.
        slots: answers one model writes at the same time, at least 1; more requests queue.
        threads: computing threads, at least 1; None for `default_threads()`.
        start_timeout_s: until a model must be loaded.
        answer_timeout_s: for one whole answer, its time in the queue included.
        max_running_models: child processes at the same time, at least 1; one more ends the idle
            one that was used least recently, or waits until one is idle.
        unload_after_s: idle seconds after which a child gives the weights' memory back (it
            loads them again at its next request); None for never.
    """

    context_tokens: int = 4096
    slots: int = 2
    threads: int | None = None
    start_timeout_s: float = 60.0
    answer_timeout_s: float = 300.0
    max_running_models: int = 2
    unload_after_s: int | None = 600

    def __post_init__(self) -> None:
        least_values = {"context_tokens": 16, "slots": 1, "threads": 1, "max_running_models": 1}
        for name, least in least_values.items():
            value: int | None = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(
                    f"{name} of the embedded models is {value}; it cannot be below {least}.",
                    hint=f"Set {name} to {least} or more.",
                    param=name,
                )


def default_threads() -> int:
    """Return one thread per usable core but one, at least 1.

    llama.cpp's threads wait for each other at every step. Where each core has one and anything
    else wants to run, all of them stall: on two cores beside two busy processes, two threads gave
    1 to 17 tokens per second and one thread 49; alone, two gave 100 and one 77.
    """
    return max(1, usable_cores() - 1)


def usable_cores(sys_dir: Path = _SYS) -> int:
    """Return how many physical cores this process may keep busy, at least 1.

    Two hardware threads of one core count once (matrix products gain nothing from the second),
    and a container's CPU quota counts. Where the system does not say, every CPU counts.

    Args:
        sys_dir: where the kernel describes the machine.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    topology = sys_dir / "devices/system/cpu"
    cores = {
        _read(topology / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)
        for cpu in os.sched_getaffinity(0)
    }
    return max(1, min(len(cores), _container_quota(sys_dir) or len(cores)))


def _container_quota(sys_dir: Path) -> int | None:
    """CPUs the control group grants, rounded up; None when it sets no limit."""
    quota, _, period = _read(sys_dir / "fs/cgroup/cpu.max").partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return math.ceil(int(quota) / int(period))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
