"""Keys at rest: encrypted, private to their owner, and never overwritten by mistake."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ymera.core.errors import InvalidRequest, MachineError
from ymera.security.vault import Vault

KEY = "gsk_" + "Ab3dEf6hIj9kLm2n"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "security" / "encryption"


@pytest.fixture
def vault(folder: Path) -> Vault:
    return Vault(folder, now=lambda: NOW)


def rows_of(folder: Path) -> Path:
    return folder / "provider_keys.json"


def keys_of(folder: Path) -> Path:
    return folder / "key_encryption_keys.json"


@pytest.mark.proves("vault.round-trip")
def test_a_stored_key_comes_back_and_stands_nowhere_in_the_clear(
    vault: Vault, folder: Path
) -> None:
    stored = vault.set("groq", KEY)
    vault.set("google", "AIza-first")
    vault.set("google", "AIza-second")
    again = Vault(folder, now=lambda: NOW)
    assert again.reveal() == {"groq": KEY, "google": "AIza-second"}
    assert (stored.shown, stored.problem, stored.created_at) == ("gsk_***", None, NOW)
    assert [key.provider for key in again.list()] == ["google", "groq"]
    for file in folder.iterdir():
        assert KEY.encode() not in file.read_bytes()
        assert b"AIza" not in file.read_bytes()
    assert KEY not in repr(again.list())


@pytest.mark.proves("vault.private-files")
@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_files_are_their_owners_alone_and_wider_ones_are_refused(
    vault: Vault, folder: Path
) -> None:
    folder.mkdir(parents=True, mode=0o755)  # as the document's own `mkdir -p` makes it
    vault.set("groq", KEY)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    for file in (keys_of(folder), rows_of(folder)):
        file.chmod(0o640)
        with pytest.raises(MachineError, match="0640") as caught:
            vault.reveal()
        assert f"chmod 600 '{file}'" in (caught.value.hint or "")
        file.chmod(0o600)
    folder.chmod(0o770)
    with pytest.raises(MachineError, match="Others may write"):
        vault.set("groq", KEY)
    folder.chmod(0o700)
    assert vault.reveal() == {"groq": KEY}


@pytest.mark.proves("vault.tampering")
def test_a_changed_row_is_noticed_and_the_others_still_serve(vault: Vault, folder: Path) -> None:
    vault.set("groq", KEY)
    vault.set("google", "AIza-first")
    rows = json.loads(rows_of(folder).read_text())
    google = next(row for row in rows["rows"] if row["provider"] == "google")
    google["provider"] = "openai"  # a row passed off as another's
    rows_of(folder).write_text(json.dumps(rows))
    assert vault.reveal() == {"groq": KEY}
    problems = {key.provider: key.problem for key in vault.list()}
    assert problems["groq"] is None
    assert "cannot be decrypted" in (problems["openai"] or "")
    before = rows_of(folder).read_bytes()
    with pytest.raises(MachineError, match="stored key of openai"):
        vault.rotate()
    assert rows_of(folder).read_bytes() == before


@pytest.mark.proves("vault.tampering")
def test_damaged_files_are_named_and_left_alone(vault: Vault, folder: Path) -> None:
    vault.set("groq", KEY)
    for file in (keys_of(folder), rows_of(folder)):
        good = file.read_bytes()
        for damaged in (b"", b"{", b"[]", good[: len(good) // 2]):
            file.write_bytes(damaged)
            with pytest.raises(MachineError, match="damaged"):
                vault.reveal()
            with pytest.raises(MachineError, match="damaged"):
                vault.set("google", "AIza-first")
            assert file.read_bytes() == damaged
        file.write_bytes(good)
    assert vault.reveal() == {"groq": KEY}


@pytest.mark.proves("vault.lost-key-file")
def test_a_lost_key_file_is_told_and_nothing_is_overwritten(vault: Vault, folder: Path) -> None:
    vault.set("groq", KEY)
    saved = keys_of(folder).read_bytes()
    keys_of(folder).unlink()
    before = rows_of(folder).read_bytes()
    for attempt in (vault.reveal, vault.rotate, lambda: vault.set("google", "AIza-first")):
        with pytest.raises(MachineError, match="is lost") as caught:
            attempt()
        assert "backup" in (caught.value.hint or "")
        assert "ymera keys remove --all" in (caught.value.hint or "")
    assert not keys_of(folder).exists()
    assert rows_of(folder).read_bytes() == before
    keys_of(folder).touch(mode=0o600)
    keys_of(folder).write_bytes(saved)
    assert vault.reveal() == {"groq": KEY}
    keys_of(folder).unlink()
    assert vault.remove(None) == 1  # the way out
    vault.set("google", "AIza-first")
    assert vault.reveal() == {"google": "AIza-first"}


@pytest.mark.proves("vault.rotation")
def test_rotation_keeps_every_key_and_every_token(vault: Vault, folder: Path) -> None:
    vault.set("groq", KEY)
    vault.set("google", "AIza-first")
    token = vault.encrypt("another secret")
    before = json.loads(rows_of(folder).read_text())["rows"]
    assert vault.rotate() == 2
    after = json.loads(rows_of(folder).read_text())["rows"]
    assert vault.reveal() == {"groq": KEY, "google": "AIza-first"}
    assert vault.decrypt(token) == "another secret"
    assert len(vault.key_ages()) == 2
    for old, new in zip(before, after, strict=True):
        assert old["envelope"]["kek"] != new["envelope"]["kek"]
        assert old["envelope"]["sealed"] == new["envelope"]["sealed"], "secrets are not touched"
    assert vault.encrypt("x").split(".")[1] == after[0]["envelope"]["kek"]


@pytest.mark.proves("vault.round-trip")
@pytest.mark.parametrize("key", ["", "abc", "two words", "line\nbreak", "ключ-ключ", "x" * 9000])
def test_what_no_key_can_be_is_refused_before_anything_is_written(
    vault: Vault, folder: Path, key: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        vault.set("groq", key)
    assert key not in caught.value.message or not key
    assert not folder.exists()


@pytest.mark.proves("vault.tokens")
def test_a_token_opens_only_unchanged_and_only_with_its_own_key_file(
    vault: Vault, tmp_path: Path
) -> None:
    token = vault.encrypt("a secret with blanks é")
    assert vault.decrypt(token) == "a secret with blanks é"
    assert vault.decrypt(f" {token}\n") == "a secret with blanks é"
    assert vault.encrypt("same") != vault.encrypt("same")
    other = Vault(tmp_path / "other", now=lambda: NOW)
    other.encrypt("x")
    kind, kek, wrapped, sealed = token.split(".")
    flipped = sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:]
    for wrong in (
        "",
        "ymv1",
        "secret",
        ".".join((kind, kek, wrapped)),
        ".".join((kind, "kek_00000000", wrapped, sealed)),
        ".".join((kind, kek, wrapped, flipped)),
        ".".join((kind, kek, wrapped, "")),
        ".".join((kind, kek, wrapped, "!!!")),
        ".".join((kind, kek, sealed, wrapped)),
    ):
        with pytest.raises(InvalidRequest) as caught:
            vault.decrypt(wrong)
        assert caught.value.hint
    with pytest.raises(InvalidRequest, match="not held here"):
        other.decrypt(token)


@pytest.mark.proves("vault.processes")
def test_processes_that_begin_at_once_share_one_key_file_and_lose_no_key(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime\n"
        "from ymera.security.vault import Vault\n"
        "vault = Vault(Path(sys.argv[1]), now=lambda: datetime.now(UTC))\n"
        "vault.set('p' + sys.argv[2], 'key-' + sys.argv[2])\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(folder), str(number)])
        for number in range(4)
    ]
    assert [process.wait(60) for process in started] == [0] * 4
    vault = Vault(folder, now=lambda: NOW)
    assert vault.reveal() == {f"p{number}": f"key-{number}" for number in range(4)}
    assert len(vault.key_ages()) == 1
    assert {file.name for file in folder.iterdir()} == {
        ".lock",
        "key_encryption_keys.json",
        "provider_keys.json",
    }
