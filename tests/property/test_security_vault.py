"""Encryption at rest for any secret and any change to what was written."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.core.errors import InvalidRequest
from ymera.security.vault import Vault, masked


@cache
def vault() -> Vault:
    folder = Path(tempfile.mkdtemp(prefix="vault-"))
    return Vault(folder, now=lambda: datetime(2026, 11, 22, tzinfo=UTC))


@pytest.mark.proves("vault.tokens")
@given(secret=st.text(min_size=1, max_size=200))
def test_any_text_comes_back(secret: str) -> None:
    token = vault().encrypt(secret)
    assert vault().decrypt(token) == secret
    assert token.isascii()
    assert not any(char.isspace() for char in token)


@pytest.mark.proves("vault.tokens")
@given(data=st.data(), secret=st.text(min_size=1, max_size=50))
def test_any_change_of_a_token_is_refused(data: st.DataObject, secret: str) -> None:
    token = vault().encrypt(secret)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("AZaz09._-").filter(lambda char: char != token[at]))
    changed = token[:at] + other + token[at + 1 :]
    try:
        opened = vault().decrypt(changed)
    except InvalidRequest:
        return
    # The last letter of base64 may carry bits that stand for nothing.
    assert opened == secret
    assert at == len(token) - 1 or token[at + 1] == "."


@pytest.mark.proves("cli.keys")
@given(key=st.text(alphabet="abcXYZ019-_.", min_size=4, max_size=60))
def test_a_mask_shows_a_vendors_beginning_at_most(key: str) -> None:
    shown = masked(key)
    assert shown.endswith("***")
    assert key.startswith(shown[:-3])
    assert len(shown) <= 9 + 3
