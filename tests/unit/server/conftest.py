"""The protocol is tested on both loops it runs on: uvloop, and asyncio's own (Windows)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.support.raw_site import Door, RawSite, calling


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tell pytest-asyncio which loops each test of this folder runs on."""
    del config
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name.startswith("test_http1") and sys.platform != "win32":
        import uvloop

        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture
def site() -> RawSite:
    """Return a site that answers with what it saw."""
    return RawSite()


@pytest.fixture
async def door(site: RawSite) -> AsyncIterator[Door]:
    """Serve it."""
    async with calling(site) as opened:
        yield opened
