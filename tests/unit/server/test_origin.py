"""Who may talk to a server on loopback."""

from __future__ import annotations

import pytest

from ymera.core.errors import ConfigError, Forbidden, InvalidRequest
from ymera.server.origin import OriginPolicy, is_loopback, refuse_open_address

JSON = (b"content-type", b"application/json")


def headers(host: str = "127.0.0.1:8080", **more: str) -> list[tuple[bytes, bytes]]:
    found = [(b"host", host.encode())]
    return found + [(k.replace("_", "-").encode(), v.encode()) for k, v in more.items()]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.0.0.1"]
)
def test_a_loopback_host_passes(host: str) -> None:
    OriginPolicy().check("GET", headers(host))


@pytest.mark.proves("server.foreign-host")
@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "evil:8080"]
)
def test_a_foreign_host_is_refused(host: str) -> None:
    with pytest.raises(Forbidden, match="Host"):
        OriginPolicy().check("GET", headers(host))


@pytest.mark.proves("server.foreign-host")
def test_a_missing_or_doubled_host_is_refused() -> None:
    with pytest.raises(Forbidden):
        OriginPolicy().check("GET", [])
    with pytest.raises(Forbidden):
        OriginPolicy().check("GET", [*headers("localhost"), (b"host", b"evil.example")])


def test_a_host_from_the_settings_passes() -> None:
    OriginPolicy(hosts=["Ymera.lan"]).check("GET", headers("ymera.LAN:8080"))


@pytest.mark.proves("server.foreign-origin")
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1.evil.example", "file://", "http://[abc", ""],
)
def test_a_foreign_origin_is_refused(origin: str) -> None:
    with pytest.raises(Forbidden, match="origin"):
        OriginPolicy().check("GET", headers(origin=origin))


def test_its_own_and_an_allowed_origin_pass() -> None:
    OriginPolicy().check("GET", headers("localhost:8080", origin="http://localhost:8080"))
    policy = OriginPolicy(origins=["https://chat.example.org"])
    policy.check("GET", headers(origin="https://chat.example.org"))
    with pytest.raises(Forbidden):
        policy.check("GET", headers(origin="http://chat.example.org"))


@pytest.mark.proves("server.foreign-origin")
@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://localhost", "http://[::1]:1"])
def test_another_server_of_this_machine_is_foreign(origin: str) -> None:
    with pytest.raises(Forbidden, match="origin"):
        OriginPolicy().check("GET", headers("localhost:8080", origin=origin))


@pytest.mark.proves("server.foreign-origin")
def test_a_second_origin_cannot_hide_a_foreign_one() -> None:
    pairs = headers("localhost:8080", origin="https://evil.example")
    with pytest.raises(Forbidden):
        OriginPolicy().check("GET", [*pairs, (b"origin", b"http://localhost:8080")])


@pytest.mark.proves("server.json-only")
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"],
)
def test_a_post_that_is_not_json_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="Content type"):
        OriginPolicy().check("POST", headers(content_type=content_type))
    with pytest.raises(InvalidRequest):
        OriginPolicy().check("POST", headers())


def test_a_post_of_json_passes_whatever_its_parameters() -> None:
    OriginPolicy().check("POST", headers(content_type="Application/JSON; charset=utf-8"))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("example.org", False),
    ],
)
def test_loopback_addresses_are_told_from_others(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.proves("server.loopback-only")
def test_listening_for_others_needs_an_access_key() -> None:
    with pytest.raises(ConfigError, match="loopback only") as caught:
        refuse_open_address("0.0.0.0")
    assert caught.value.hint is not None
    refuse_open_address("127.0.0.1")
