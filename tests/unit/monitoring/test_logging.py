"""The logs of programs."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from ymera.monitoring.logging import configure_logging

KEY = "sk-" + "Abc123" * 6


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


log = logging.getLogger("ymera.test")


def fail(sentence: str) -> None:
    """Log an error that was really raised."""
    try:
        raise ValueError(sentence)
    except ValueError:
        log.exception("It went wrong")


def test_a_record_is_one_line_for_people(stream: io.StringIO) -> None:
    configure_logging("info", stream=stream)

    log.info("Listening on %s\nforged line", "127.0.0.1")
    log.debug("not shown")

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d info ymera\.test: Listening on 127\.0\.0\.1\\nforged line\n",
        stream.getvalue(),
    )


def test_a_record_is_one_json_object_on_request(stream: io.StringIO) -> None:
    configure_logging("INFO", json_lines=True, stream=stream)

    log.warning("two\nlines")

    line = json.loads(stream.getvalue())
    assert line.pop("ts").endswith("Z")
    assert line == {"level": "warning", "logger": "ymera.test", "message": "two\\nlines"}


@pytest.mark.proves("logs.no-secrets")
@pytest.mark.parametrize("json_lines", [False, True])
def test_no_credential_reaches_a_log_not_even_in_a_traceback(
    stream: io.StringIO, json_lines: bool
) -> None:
    configure_logging("debug", json_lines=json_lines, stream=stream)

    log.info("header %r", {"Authorization": f"Bearer {KEY}"})
    log.info("GET /v1beta/models?key=%s", "0123456789abcdef")
    fail(f"refused {KEY}")

    text = stream.getvalue()
    assert KEY not in text
    assert "0123456789abcdef" not in text
    assert "sk-***" in text
    assert "Traceback" in text


@pytest.mark.parametrize("json_lines", [False, True])
def test_a_traceback_is_for_level_debug_only(stream: io.StringIO, json_lines: bool) -> None:
    configure_logging("info", json_lines=json_lines, stream=stream)
    fail("no such thing")

    text = stream.getvalue()
    assert "It went wrong: ValueError: no such thing" in text
    assert "Traceback" not in text
    assert text.count("\n") == 1


def test_configuring_again_replaces_only_what_it_set_up() -> None:
    others = list(logging.getLogger().handlers)
    first, second = io.StringIO(), io.StringIO()

    configure_logging("info", stream=first)
    configure_logging("error", stream=second)
    log.error("once")

    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
    assert len(logging.getLogger().handlers) == len(others) + 1


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    log.warning("look here")
    captured = capsys.readouterr()
    assert "look here" in captured.err
    assert captured.out == ""


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging("loud")
