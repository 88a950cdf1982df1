"""The suite's own promises: clean environment, no network, no silent skips in CI."""

from __future__ import annotations

import os
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.support import requires


@pytest.mark.proves("repo.offline-tests")
def test_hosts_other_than_loopback_are_refused_and_reported(refused_hosts: list[str]) -> None:
    with pytest.raises(ConnectionRefusedError, match=r"198\.51\.100\.7"):
        socket.create_connection(("198.51.100.7", 80), timeout=1)
    with pytest.raises(OSError, match=r"example\.invalid"):
        urllib.request.urlopen("http://example.invalid/", timeout=1)
    assert refused_hosts == ["198.51.100.7", "example.invalid"]
    refused_hosts.clear()  # else this test failed for them, as any other would


@pytest.mark.proves("repo.offline-tests")
def test_loopback_is_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with socket.create_connection((host, port), timeout=1) as client:
            assert client.getpeername() == (host, port)


@pytest.mark.proves("repo.clean-tests")
def test_no_setting_key_or_file_leaks_in(clean_environment: Path, tmp_path: Path) -> None:
    leaked = [name for name in os.environ if name.endswith("_API_KEY")]
    ours = {name for name in os.environ if name.startswith("YMERA_")}
    assert leaked == []
    assert {name for name in ours if not name.startswith("YMERA_TEST_")} == {"YMERA_DATA_DIR"}
    assert Path(os.environ["YMERA_DATA_DIR"]).is_relative_to(tmp_path)
    assert Path(os.environ["XDG_CONFIG_HOME"]).is_relative_to(tmp_path)
    assert Path.cwd() == clean_environment
    assert list(clean_environment.iterdir()) == []


@pytest.mark.proves("repo.clean-tests")
@pytest.mark.parametrize(
    ("name", "leaky"),
    [
        ("YMERA_ENV", True),
        ("GROQ_API_KEY", True),
        ("HF_TOKEN", True),
        ("OPENAI_BASE_URL", True),
        ("YMERA_TEST_REQUIRE", False),
        ("PATH", False),
    ],
)
def test_the_pattern_of_leaky_names(name: str, leaky: bool) -> None:
    from tests.conftest import LEAKY

    assert bool(LEAKY.search(name)) is leaky


def test_what_is_missing_skips_on_a_laptop_and_fails_where_ci_promised_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(requires.KNOWN, "redis", (lambda: False, "install Redis"))
    monkeypatch.setenv(requires.VARIABLE, "node")
    with pytest.raises(pytest.skip.Exception, match="install Redis"):
        requires.require_or_skip("redis")
    monkeypatch.setenv(requires.VARIABLE, "node, redis")
    with pytest.raises(pytest.fail.Exception, match="promises 'redis'"):
        requires.require_or_skip("redis")


def test_what_is_here_neither_skips_nor_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(requires.KNOWN, "redis", (lambda: True, "install Redis"))
    requires.require_or_skip("redis")
