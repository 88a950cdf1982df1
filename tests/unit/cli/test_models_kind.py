"""`ymera models list --kind`."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.command_line import CommandLine


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
