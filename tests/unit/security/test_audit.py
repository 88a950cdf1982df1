"""The audit log, through the files it really writes."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from tests.support.records import NOON, answered, record
from ymera.core.access import LOCAL_OWNER
from ymera.core.errors import MachineError
from ymera.security.audit import AuditLog


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "security" / "audit_logs"


@pytest.fixture
def audit(directory: Path) -> AuditLog:
    return AuditLog(directory, now=lambda: NOON)


@pytest.mark.proves("engine.audit", "audit.canonical", "document.audit-lines")
def test_a_request_leaves_one_canonical_line(audit: AuditLog, directory: Path) -> None:
    audit.write_batch([answered(prompt="the question", answer="the reply")])

    assert (directory / "audit-2026-11-20.jsonl").read_bytes() == (
        b'{"action":"request","error_code":null,"model":"local/tiny","outcome":"success",'
        b'"principal":"alice","principal_kind":"user","request_id":"req-1",'
        b'"requested_model":"auto","ts":"2026-11-20T12:00:00.123456Z"}\n'
    )


def test_a_refused_request_says_why(audit: AuditLog, directory: Path) -> None:
    audit.write_batch([record(error_code="rate_limit_exceeded", principal=LOCAL_OWNER)])

    line = msgspec.json.decode((directory / "audit-2026-11-20.jsonl").read_bytes())

    assert (line["outcome"], line["error_code"], line["model"], line["principal_kind"]) == (
        "failure",
        "rate_limit_exceeded",
        None,
        "local_owner",
    )


@pytest.mark.proves("audit.daily-file")
def test_each_utc_day_has_its_file_whatever_the_zone(audit: AuditLog, directory: Path) -> None:
    east = timezone(timedelta(hours=9))
    audit.write_batch(
        [
            record("late", at=datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)),
            record("early", at=datetime(2026, 11, 21, 0, 0, tzinfo=UTC)),
            record("abroad", at=datetime(2026, 11, 21, 8, 0, tzinfo=east)),
        ]
    )

    ids = {
        path.name: [msgspec.json.decode(line)["request_id"] for line in path.read_bytes().split()]
        for path in directory.iterdir()
    }

    assert ids == {
        "audit-2026-11-20.jsonl": ["late", "abroad"],
        "audit-2026-11-21.jsonl": ["early"],
    }


def test_an_event_leaves_a_line_at_once(audit: AuditLog, directory: Path) -> None:
    audit.log("origin_refused", origin="https://evil.example", port=8080, loopback=True)

    assert (directory / "audit-2026-11-20.jsonl").read_bytes() == (
        b'{"action":"origin_refused","detail":{"loopback":true,"origin":"https://evil.example",'
        b'"port":8080},"ts":"2026-11-20T12:00:00.123456Z"}\n'
    )


@pytest.mark.proves("audit.no-secrets")
def test_what_looks_like_a_credential_is_masked(audit: AuditLog, directory: Path) -> None:
    key = "gsk_" + "a1B2" * 8
    audit.write_batch([record(requested_model=key, id_=f"x {key}")])
    audit.log("config_changed", value=f"Bearer {key}", header=f"authorization: {key}")

    written = (directory / "audit-2026-11-20.jsonl").read_text()

    assert key not in written
    assert "gsk_***" in written


def test_a_value_from_outside_cannot_start_a_line_of_its_own(
    audit: AuditLog, directory: Path
) -> None:
    audit.write_batch([record(requested_model='x\n{"action":"forged"}\ud800' + "y" * 10_000)])

    (line,) = (directory / "audit-2026-11-20.jsonl").read_bytes().splitlines()

    assert len(msgspec.json.decode(line)["requested_model"]) == 500


@pytest.mark.proves("audit.append-only")
def test_a_line_that_a_crash_cut_short_is_closed_off_before_the_next(
    audit: AuditLog, directory: Path
) -> None:
    audit.write_batch([record("whole")])
    path = directory / "audit-2026-11-20.jsonl"
    with path.open("ab") as file:
        file.write(b'{"action":"requ')
    before = path.read_bytes()

    audit.log("start")

    after = path.read_bytes()
    assert after.startswith(before + b"\n")
    assert msgspec.json.decode(after.splitlines()[-1])["action"] == "start"


def test_a_write_taken_in_pieces_is_completed(
    audit: AuditLog, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_write = os.write
    monkeypatch.setattr("os.write", lambda fd, data: whole_write(fd, data[:10]))

    audit.log("start")

    assert msgspec.json.decode((directory / "audit-2026-11-20.jsonl").read_bytes())


def test_files_are_for_their_owner_alone(audit: AuditLog, directory: Path) -> None:
    audit.open()

    path = directory / "audit-2026-11-20.jsonl"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert path.read_bytes() == b""


def test_constructing_a_log_and_writing_nothing_touch_nothing(
    audit: AuditLog, directory: Path
) -> None:
    audit.write_batch([])
    assert not directory.exists()


@pytest.mark.proves("data.unwritable")
def test_a_directory_that_cannot_be_written_is_an_error_for_requests_and_a_warning_for_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    audit = AuditLog(tmp_path / "file" / "audit_logs", now=lambda: NOON)

    with pytest.raises(MachineError, match="cannot be written") as caught:
        audit.open()
    with pytest.raises(MachineError):
        audit.write_batch([record()])
    audit.log("start")
    audit.log("stop")

    assert "enable_audit_log" in str(caught.value.hint)
    assert len(caplog.records) == 1
