"""Files that cannot be read or parsed: each a `ConfigError` that names the place."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from ymera.config.files import MAX_FILE_BYTES, file_stamp, read_table
from ymera.core.errors import ConfigError

pytestmark = pytest.mark.proves("config.broken-file")


def error_of(path: Path, content: bytes | None = None) -> ConfigError:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_table(path)
    assert caught.value.hint
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    assert str(path) in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = ", ", line 1, column 5: not valid TOML: Invalid value."),
        (b"a = 1\nb = = 2\n", ", line 2, column 5: not valid TOML: Invalid value."),
        (b"[a\n", ", line 1, column 3: not valid TOML: Expected ']' at the end of a table"
         " declaration."),
        (b"a = 1\na = 2", ", line 2, column 6: not valid TOML: Cannot overwrite a value."),
        (b"a = " + b"[" * 100_000, ": not valid TOML: a value is too large or too deep."),
        (b"a = " + b"9" * 5000, ": not valid TOML: a value is too large or too deep."),
        (b"a = 1e99999999999999999999", ": not valid TOML: a value is too large or too deep."),
    ],
)  # fmt: skip
def test_broken_toml_names_line_and_column(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "ymera.toml"
    assert error_of(path, content).message == f"{path}{said}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1,\n "b" 2}', ", line 2, column 6: not valid JSON: Expecting ':' delimiter."),
        (b"", ", line 1, column 1: not valid JSON: Expecting value."),
        (b"[" * 100_000, ": not valid JSON: a value is too large or too deep."),
        (b"9" * 5000, ": not valid JSON: a value is too large or too deep."),
        (b"[]", ": the file must hold one JSON object."),
        (b'{"a": {"b": 1, "b": 2}}', ': "b" stands twice in one object.'),
    ],
)
def test_broken_json_names_line_and_column(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "ai_config_development.json"
    assert error_of(path, content).message == f"{path}{said}"


def test_a_file_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    message = error_of(tmp_path / "ymera.toml", b"a = 'caf\xe9'").message
    assert message.endswith(": byte 9 is not UTF-8.")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    message = error_of(tmp_path / "ymera.toml", b"#" * (MAX_FILE_BYTES + 1)).message
    assert message.endswith("is larger than 1,048,576 bytes.")


def test_a_directory_in_its_place_is_named(tmp_path: Path) -> None:
    assert "is a directory" in error_of(tmp_path).message


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "ymera.toml"
    os.mkfifo(path)
    assert "is not a regular file" in error_of(path).message


def test_a_file_that_may_not_be_read_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "ymera.toml"
    path.touch()
    monkeypatch.setattr(Path, "open", refuse)  # the suite may run as root, who may read all
    assert "cannot be read: Permission denied." in error_of(path).message


def test_a_path_no_system_accepts_says_so() -> None:
    with pytest.raises(ConfigError, match="cannot be read: not a usable path"):
        read_table(Path("a\0b"))


def test_what_does_not_exist_is_none(tmp_path: Path) -> None:
    assert read_table(tmp_path / "gone.toml") is None
    (tmp_path / "file").touch()
    assert read_table(tmp_path / "file" / "below.toml") is None
    assert file_stamp(tmp_path / "gone.toml") is None
    assert file_stamp(Path("a\0b")) is None


def test_a_byte_order_mark_is_no_error_and_fractions_stay_exact(tmp_path: Path) -> None:
    toml, json_file = tmp_path / "a.toml", tmp_path / "a.json"
    toml.write_bytes(b"\xef\xbb\xbfa = 0.1")
    json_file.write_bytes(b'\xef\xbb\xbf{"a": 0.1}')
    assert read_table(toml) == read_table(json_file) == {"a": Decimal("0.1")}
