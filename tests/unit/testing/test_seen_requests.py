"""What a loopback server remembers."""

from __future__ import annotations

import pytest

from ymera.testing import http
from ymera.testing.http import LoopbackServer, SeenRequest


async def _nobody(_exchange: object) -> bool:
    return False


@pytest.mark.proves("simulator.remembers")
def test_a_server_that_runs_for_days_keeps_the_latest_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "_KEPT_BYTES", 100)
    server = LoopbackServer(_nobody)
    for number in range(50):
        body = b"%010d" % number
        server._keep(SeenRequest(method="POST", path="/", headers={}, body=body))
        assert sum(len(each.body) for each in server.seen) <= 100
        assert server.seen[-1].body == body
    assert [int(each.body) for each in server.seen] == list(range(50 - len(server.seen), 50))
