"""Every test starts clean: no settings, no keys, an empty folder, no network but loopback."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.local_model import linked

# No deadline: a busy machine is no finding. CI draws the same examples each time.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# Ours but for the switches of the suite itself, and whatever may hold a vendor's key or address.
LEAKY = re.compile(
    r"^YMERA_(?!TEST_)"
    r"|_(API_)?(KEYS?|TOKEN)$"
    r"|^(ANTHROPIC|AWS|AZURE|CEREBRAS|CLOUDFLARE|COHERE|GEMINI|GOOGLE|GROQ|HF|HUGGINGFACE|MISTRAL"
    r"|OLLAMA|OPENAI|OPENROUTER|XAI)_"
    r"|^(NO_COLOR|FORCE_COLOR|COLUMNS)$"
)
LOOPBACK = re.compile(r"^(127\.\d+\.\d+\.\d+|::1|localhost|0\.0\.0\.0|::|)$")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give each test a home and a working directory of its own; return that directory."""
    for name in filter(LEAKY.search, list(os.environ)):
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.setenv("YMERA_DATA_DIR", str(tmp_path / "data"))
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)  # no ymera.toml or config/ of the checkout is found
    return project


@pytest.fixture(scope="session")
def small_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a models directory that holds the real small model and nothing else."""
    folder = tmp_path_factory.mktemp("models")
    linked(folder)
    return folder


@pytest.fixture(autouse=True)
def refused_hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Refuse every host but loopback, as an unplugged machine would, and fail the test for it.

    In this process and for Python's sockets only: children and native clients (uvloop,
    pyreqwest) have their own.
    """
    refused: list[str] = []

    def check(host: object) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if isinstance(name, str) and not LOOPBACK.match(name):
            refused.append(name)
            raise ConnectionRefusedError(f"tests reach loopback only, not {name!r}")

    def guarded(function: Any, host_of: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            check(host_of(*args, **kwargs))
            return function(*args, **kwargs)

        return call

    def address_host(_socket: socket.socket, address: Any) -> object:
        return address[0] if isinstance(address, tuple) else None  # a path is a local socket

    for method in ("connect", "connect_ex"):
        original = getattr(socket.socket, method)
        monkeypatch.setattr(socket.socket, method, guarded(original, address_host))
    lookup = guarded(socket.getaddrinfo, lambda host, *_args, **_kwargs: host)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    yield refused
    assert not refused, f"the test tried to reach {refused}"
