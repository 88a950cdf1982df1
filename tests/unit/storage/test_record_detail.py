"""What was used to put a request together is kept with its record."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support.records import record
from ymera.core.tool import ContextUse, ToolUse, Trust
from ymera.storage.records import SqlRecordStore
from ymera.storage.rows import RecordDetail


@pytest.mark.proves("storage.used-kept")
def test_tools_context_run_phase_and_cache_come_back(tmp_path: Path) -> None:
    use = ToolUse(name="git__log", source="mcp:git", ok=False, error_code="timeout", latency_s=2.5)
    brought = ContextUse(source="file:a.txt", trust=Trust.RETRIEVED, chars=12, cut_chars=3)
    store = SqlRecordStore(tmp_path / "records.sqlite3")
    store.write_batch(
        [
            record(
                "req_1",
                tools=(use,),
                context=(brought,),
                run_id="run_1",
                phase="plan",
                cached=True,
                findings=("secret.aws_key",),
            )
        ]
    )
    found = store.get("req_1")
    store.close()

    assert found is not None
    detail = found.detail
    assert (detail.tools, detail.context) == ((use,), (brought,))
    assert (detail.run_id, detail.phase, detail.cached) == ("run_1", "plan", True)
    assert detail.findings == ("secret.aws_key",)


@pytest.mark.proves("storage.used-kept")
def test_rows_of_an_older_version_stay_readable() -> None:
    assert msgspec.convert({"attempts": []}, RecordDetail) == RecordDetail()


@pytest.mark.proves("storage.used-kept")
def test_an_odd_name_spoils_no_batch(tmp_path: Path) -> None:
    use = ToolUse(name="a\x00b\ud800", source="x" * 5000, ok=True)
    store = SqlRecordStore(tmp_path / "records.sqlite3")
    store.write_batch([record("req_1", tools=(use,), phase="p\x00", run_id="\ud800")])
    found = store.get("req_1")
    store.close()

    assert found is not None
    assert len(found.detail.tools[0].source) <= 200
