"""`ymera models list --kind`."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.command_line import CommandLine
from tests.support.weights import CONTENT, weights_of
from ymera.cli.commands import models
from ymera.cli.session import open_session
from ymera.providers.pull import is_pulled, model_path


@pytest.mark.proves("cli.models-kind")
def test_models_are_listed_by_kind(ymera: CommandLine) -> None:
    every = msgspec.json.decode(ymera("models", "--all", "--json").out)
    listed = msgspec.json.decode(ymera("models", "--all", "--kind", "embedding", "--json").out)

    assert listed == [each for each in every if each["kind"] == "embedding"]
    assert len(listed) >= 15
    assert ymera("models", "--kind", "chat").out == ymera("models").out
    none = ymera("models", "--kind", "embedding")
    assert (none.code, none.out) == (0, "")
    assert f"{len(listed)} more cannot be called now" in none.err
    assert ymera("models", "--kind", "poem").code == 2


@pytest.mark.proves("pull.idempotent")
def test_a_right_file_put_there_by_hand_counts_as_pulled_after_the_command(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = weights_of(CONTENT)
    monkeypatch.setattr(models, "_embedded", lambda catalog, _: (catalog.models[0], weights))
    with open_session() as session:
        folder = session.app.models_dir
    folder.mkdir(parents=True)
    model_path(weights, folder).write_bytes(CONTENT)

    assert "on this machine already" in bare("models", "pull").err
    assert is_pulled(weights, folder)
