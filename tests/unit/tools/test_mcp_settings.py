"""Servers made from settings: bounds filled in, wrong ones refused, running ones kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from ymera.app.mcp_servers import mcp_servers
from ymera.config import DataPaths, Settings
from ymera.core.errors import ConfigError
from ymera.tools.mcp_client import McpServer


def settings(**servers: dict[str, object]) -> Settings:
    return Settings.model_validate(
        {
            "mcp": {"servers": servers, "start_timeout_seconds": 7, "unload_after_seconds": None},
            "tools": {"timeout_seconds": 9, "max_output_chars": 500},
        }
    )


@pytest.mark.proves("mcp.settings")
def test_bounds_come_from_the_sections_and_a_disabled_server_is_not_made(tmp_path: Path) -> None:
    made = mcp_servers(
        settings(
            one={"command": "x", "args": ["a"], "env": ["A"], "read_only": ["*"]},
            two={"url": "http://127.0.0.1:1/mcp", "timeout_seconds": 3, "bearer_env": "T"},
            off={"command": "x", "enabled": False},
        ),
        environ={},
        paths=DataPaths(tmp_path / "data"),
    )

    assert set(made) == {"one", "two"}
    one, two = made["one"].spec, made["two"].spec
    assert (one.command, one.args, one.env, one.read_only) == ("x", ("a",), ("A",), ("*",))
    assert (one.call_timeout_s, one.start_timeout_s, one.unload_after_s) == (9.0, 7.0, None)
    assert (two.call_timeout_s, two.bearer_env, two.max_output_chars) == (3.0, "T", 500)
    assert not (tmp_path / "data").exists()


@pytest.mark.proves("mcp.settings")
@pytest.mark.parametrize(
    ("name", "server", "reason"),
    [
        ("one", {}, "neither of command and url"),
        ("one", {"command": "x", "url": "http://127.0.0.1:1"}, "both of command and url"),
        ("a__b", {"command": "x"}, "__ in its name"),
    ],
)
def test_a_server_that_cannot_be_meant_is_refused(
    name: str, server: dict[str, object], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        mcp_servers(settings(**{name: server}), environ={}, paths=DataPaths(tmp_path))
    assert caught.value.param == f"mcp.servers.{name}"


@pytest.mark.proves("mcp.settings")
def test_what_did_not_change_is_kept_by_new_settings(tmp_path: Path) -> None:
    def made(running: dict[str, McpServer], **servers: dict[str, object]) -> dict[str, McpServer]:
        paths = DataPaths(tmp_path)
        return mcp_servers(settings(**servers), environ={}, paths=paths, running=running)

    before = made({}, same={"command": "x"}, other={"command": "x"}, gone={"command": "x"})
    after = made(before, same={"command": "x"}, other={"command": "y"})

    assert set(after) == {"same", "other"}
    assert after["same"] is before["same"]
    assert after["other"] is not before["other"]
