"""The document's security manager, by its own import path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core_services.ai_mcp.security.security_manager import SecurityManager, get_security_manager
from tests.support.secret_samples import SAMPLES
from ymera.core.errors import InvalidRequest
from ymera.facade.shared import forget_shared_app, shared_app


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecurityManager]:
    monkeypatch.setenv("YMERA_LOCAL__ENABLED", "false")
    yield get_security_manager()
    asyncio.run(forget_shared_app())


def audit_lines() -> list[dict[str, object]]:
    files = sorted(shared_app().paths.audit_logs.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.mark.proves("document.security-manager")
def test_making_one_touches_nothing_and_all_share_one_state(
    manager: SecurityManager, tmp_path: Path
) -> None:
    assert get_security_manager() is manager
    assert not (tmp_path / "data").exists()
    assert manager.check_rate_limit("ann", 1)["allowed"]
    assert not SecurityManager().check_rate_limit("ann", 1)["allowed"]


@pytest.mark.proves("document.sanitize")
def test_the_documents_injection_is_unsafe_and_a_question_about_sql_is_safe(
    manager: SecurityManager,
) -> None:
    result = manager.sanitize_input("'; DROP TABLE users; --")
    assert not result["safe"]
    assert "sql_injection.stacked" in result["issues"]
    assert result["score"] > 0.5
    assert result["sanitized"] == "[removed: sql_injection]"
    question = "How do I drop a table in SQL; is DROP TABLE users enough?"
    assert manager.sanitize_input(question) == {
        "safe": True,
        "issues": [],
        "sanitized": question,
        "score": 0.0,
    }


@pytest.mark.proves("document.sanitize")
def test_sanitizing_bounds_the_length_and_drops_what_cannot_be_seen(
    manager: SecurityManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert manager.sanitize_input("a\u200bb\u202e\x00c")["sanitized"] == "abc"
    long = manager.sanitize_input("x" * 100_001)
    assert (long["safe"], long["issues"]) == (False, ["size.too_long"])
    assert len(long["sanitized"]) == 100_000
    for wrong in (None, 5, b"bytes", ["x"]):
        with pytest.raises(InvalidRequest):
            manager.sanitize_input(wrong)  # type: ignore[arg-type]


@pytest.mark.proves("document.validate-output")
def test_an_output_with_a_key_is_unsafe_and_comes_back_without_it(
    manager: SecurityManager,
) -> None:
    kind, text, secret = SAMPLES[0]
    result = manager.validate_output(f"Use {text}, or {text}.")
    assert result == {
        "safe": False,
        "issues": [f"secret.{kind}"],
        "sanitized": f"Use [redacted: {kind}], or [redacted: {kind}].",
    }
    assert manager.validate_output("All good.")["safe"]
    assert secret not in json.dumps(audit_lines())


@pytest.mark.proves("document.encrypt-keys")
def test_an_encrypted_key_opens_again_also_in_another_manager(manager: SecurityManager) -> None:
    token = manager.encrypt_api_key("gsk_example-key")
    assert "gsk_" not in token
    assert SecurityManager().decrypt_api_key(token) == "gsk_example-key"
    with pytest.raises(InvalidRequest):
        manager.decrypt_api_key(token[:-4] + "AAAA")
    with pytest.raises(InvalidRequest):
        manager.encrypt_api_key("")


@pytest.mark.proves("document.rate-limit")
def test_the_hundred_and_first_request_of_a_user_is_refused(manager: SecurityManager) -> None:
    results = [manager.check_rate_limit("test_user", limit=100) for _ in range(101)]
    assert [each["allowed"] for each in results] == [True] * 100 + [False]
    assert [each["remaining"] for each in results] == [*range(99, -1, -1), 0]
    assert results[-1]["reset_at"] > datetime.now(UTC)
    assert manager.check_rate_limit("somebody else")["remaining"] == 99


@pytest.mark.proves("document.tool-validation")
def test_tools_are_judged_by_the_settings_in_force(
    manager: SecurityManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_CONFIG", str(tmp_path / "named.toml"))
    (tmp_path / "named.toml").write_text(
        '[tools]\nallow = ["mail__send"]\n'
        '[mcp.servers.files]\ncommand = "true"\nread_only = ["read_*"]\n'
    )
    allowed = manager.validate_tool_execution("calculator", {"expression": "1 + 1"})
    assert (allowed["allowed"], allowed["approved_by"]) == (True, "read_only")
    assert manager.validate_tool_execution("mail__send", {"to": "a"})["approved_by"] == "allowlist"
    assert manager.validate_tool_execution("files__read_text", {"path": "a"})["allowed"]
    for name, arguments in {
        "files__write_text": {"path": "a"},
        "files__read_text": {"path": "../../etc/passwd"},
        "nobody_knows_it": {},
    }.items():
        refused = manager.validate_tool_execution(name, arguments)
        assert refused["allowed"] is False
        assert refused["reason"]
        assert refused["hint"]
    refusals = [line for line in audit_lines() if line["action"] == "security.tool_refused"]
    assert len(refusals) == 3


@pytest.mark.proves("document.audit")
def test_own_audit_lines_are_masked_and_can_be_switched_off(
    manager: SecurityManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.log_audit("report.exported", user="ann", rows=3, key="gsk_" + "Ab3dEf6hIj9kLm2n")
    (line,) = audit_lines()
    assert line["action"] == "report.exported"
    assert line["detail"] == {"user": "ann", "rows": 3, "key": "gsk_***"}
    asyncio.run(forget_shared_app())
    monkeypatch.setenv("YMERA_MONITORING__ENABLE_AUDIT_LOG", "false")
    manager.log_audit("unseen")
    assert len(audit_lines()) == 1


@pytest.mark.proves("document.security-report")
def test_the_report_counts_what_happened_and_says_what_is_not_covered(
    manager: SecurityManager,
) -> None:
    manager.sanitize_input("' OR 1=1--")
    manager.validate_output(SAMPLES[0][1])
    manager.check_rate_limit("ann", 0)
    manager.validate_tool_execution("shell__run", {"command": "x"})
    shared_app().securing.vault.set("groq", "gsk_example-key")
    report = manager.get_security_report()
    assert report["rate_limit_refusals"] == 1
    assert report["tool_refusals"] == 1
    findings = report["findings"]
    assert isinstance(findings, dict)
    assert findings["sql_injection.always_true"] == 1
    assert findings["secret.aws_access_key"] == 1
    assert report["keys"] == {
        "stored": [{"provider": "groq", "age_days": 0, "problem": None}],
        "encryption_key_age_days": 0,
    }
    assert report["not_covered"]
    assert "gsk_" not in str(report)


@pytest.mark.proves("document.security-report")
def test_the_report_survives_damaged_audit_lines_and_a_lost_key_file(
    manager: SecurityManager,
) -> None:
    app = shared_app()
    app.securing.vault.set("groq", "gsk_example-key")
    (app.paths.encryption / "key_encryption_keys.json").unlink()
    manager.log_audit("before")
    (file,) = app.paths.audit_logs.glob("*.jsonl")
    file.write_bytes(file.read_bytes() + b'{"cut": \n[]\n\xff\xfe\n')
    report = manager.get_security_report()
    assert report["audit"] == {
        "enabled": True,
        "directory": str(app.paths.audit_logs),
        "unreadable_lines": 3,
    }
    assert "is lost" in str(report["keys"])
