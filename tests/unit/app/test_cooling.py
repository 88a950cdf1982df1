"""Which breakers are open in a running server, as other processes see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ymera.app.cooling import CoolingFile, cooling_now
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.routing.health import HealthTable

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
USED_UP = ProviderError("429", kind=ProviderErrorKind.QUOTA_DAY, status=429, retry_after_s=3600)


class Server:
    """A table of breakers, the file that tells of it, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.health = HealthTable()
        self.file = CoolingFile(folder, self.health, now=lambda: self.now)

    def fails(self, model_id: str) -> None:
        self.health.failed(model_id, model_id.partition("/")[0], "KEY", USED_UP, self.now)

    async def note(self) -> None:
        self.file.note()
        if self.file.writing is not None:
            await self.file.writing


@pytest.mark.proves("cli.cooling")
async def test_open_breakers_are_seen_elsewhere_until_their_time_has_come(tmp_path: Path) -> None:
    server = Server(tmp_path / "cooling")
    await server.note()
    assert not (tmp_path / "cooling").exists(), "nothing to say"
    server.fails("groq/a")
    await server.note()
    (row,) = cooling_now(tmp_path / "cooling", NOW)
    assert (row.provider, row.model_id, row.key_id) == ("groq", "groq/a", "KEY")
    assert row.until == NOW + timedelta(hours=1)
    server.now += timedelta(minutes=59, seconds=50)
    await server.note()
    assert len(cooling_now(tmp_path / "cooling", server.now)) == 1, "it is renewed"
    server.now += timedelta(seconds=11)
    assert cooling_now(tmp_path / "cooling", server.now) == []


@pytest.mark.proves("cli.cooling")
async def test_a_server_that_was_killed_tells_nothing_any_more(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.fails("groq/a")
    await server.note()
    assert cooling_now(tmp_path, NOW + timedelta(seconds=60))
    assert not cooling_now(tmp_path, NOW + timedelta(seconds=91))


@pytest.mark.proves("cli.cooling")
async def test_a_server_that_ends_takes_its_file_along(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.fails("groq/a")
    server.file.note()
    await server.file.close()
    assert cooling_now(tmp_path, NOW) == []
    await server.note()
    assert cooling_now(tmp_path, NOW), "it may be used again"


@pytest.mark.proves("cli.cooling")
async def test_what_a_killed_server_left_is_taken_away_after_a_day(tmp_path: Path) -> None:
    killed, other = Server(tmp_path / "cooling"), Server(tmp_path / "cooling")
    killed.fails("groq/a")
    await killed.note()
    other.now += timedelta(hours=23)
    other.fails("groq/b")
    await other.note()
    left = len(list((tmp_path / "cooling").glob("*.json")))
    other.now += timedelta(hours=2)
    other.fails("groq/c")
    await other.note()
    files = list((tmp_path / "cooling").glob("*.json"))
    assert (left, len(files)) == (2, 1)


@pytest.mark.proves("cli.cooling")
def test_files_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"{", b'{"at": 1}', b"[]")):
        file = tmp_path / f"{number}.json"
        file.write_bytes(content)
        file.chmod(0o600)
    assert cooling_now(tmp_path, NOW) == []
    assert cooling_now(tmp_path / "missing", NOW) == []
