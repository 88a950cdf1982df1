from __future__ import annotations

import copy
import pickle

import pytest

from ymera.core.secret import Secret


@pytest.mark.proves("providers.no-secrets")
def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret("canary")

    shown = f"{secret} {secret!r} {[secret]} {secret:>10}"

    assert "canary" not in shown
    assert secret.reveal() == "canary"


def test_secrets_compare_by_value_and_know_when_they_are_empty() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy])
def test_a_secret_is_not_written_anywhere(write: object) -> None:
    with pytest.raises(TypeError):
        write(Secret("canary"))  # type: ignore[operator]
