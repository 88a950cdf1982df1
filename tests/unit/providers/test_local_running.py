"""Which embedded models are loaded: told of by the provider and by all upstreams together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.local_process import FakeProcess
from tests.support.routing import model
from ymera.app.upstreams import Upstreams
from ymera.catalog.load import load
from ymera.config.schema import Settings
from ymera.core.model import Model
from ymera.providers.local import LocalProvider
from ymera.providers.local_settings import LocalSettings
from ymera.providers.local_supervisor import LocalSupervisor
from ymera.providers.pull import model_path
from ymera.providers.transport import HttpTransport

pytestmark = pytest.mark.proves("local.running")

EMBEDDED = next(each for each in load().models if each.weights is not None)


async def test_a_model_runs_from_its_first_use_until_it_is_closed(tmp_path: Path) -> None:
    supervisor = LocalSupervisor(LocalSettings(), launch=FakeProcess)
    transport = HttpTransport()
    provider = LocalProvider("local", tmp_path, transport, supervisor=supervisor)
    assert EMBEDDED.weights is not None
    assert not provider.runs(EMBEDDED)
    assert not provider.runs(model("host/elsewhere"))
    async with supervisor.lend(model_path(EMBEDDED.weights, tmp_path)):
        assert provider.runs(EMBEDDED)
    assert provider.runs(EMBEDDED)
    await provider.close()
    assert not provider.runs(EMBEDDED)
    await transport.close()


async def test_upstreams_tell_of_every_embedded_model_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstreams = Upstreams(
        catalog=load(), settings=Settings(), environ={}, models_dir=tmp_path, given={}
    )
    runs: Callable[[LocalProvider, Model], bool] = lambda _self, each: each.id == EMBEDDED.id  # noqa: E731
    monkeypatch.setattr(LocalProvider, "runs", runs)
    assert upstreams.running_models() == ()  # no provider was asked yet
    upstreams.provider_for(EMBEDDED)
    assert [each.id for each in upstreams.running_models()] == [EMBEDDED.id]
    await upstreams.close()
