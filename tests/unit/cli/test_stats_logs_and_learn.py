"""`ymera stats`, `logs` and `learn`: what is told of past requests, and rating them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.records import answered, record
from ymera.config.paths import locate_data_dir
from ymera.storage.records import SqlRecordStore


def stored(*minutes_ago: float, **facts: Any) -> list[str]:
    """Store answered requests of so many minutes ago; return their ids."""
    store = SqlRecordStore(locate_data_dir().records)
    now = datetime.now(UTC)
    ids = [f"req_{facts.get('agent', 'x')}_{age:g}" for age in minutes_ago]
    store.write_batch(
        [
            answered(id_, at=now - timedelta(minutes=age), **facts)
            for id_, age in zip(ids, minutes_ago, strict=True)
        ]
    )
    store.close()
    return ids


def decoded(text: str) -> Any:
    return json.loads(text)


@pytest.mark.proves("cli.stats", "core.unknown-cost")
def test_stats_add_up_today_a_week_and_all(ymera: CommandLine) -> None:
    day = 24 * 60
    stored(0, 3 * day, 20 * day)
    stored(0, cost_usd=None, agent="y")
    data = decoded(ymera("stats", "--json").out)
    assert [data[span]["requests"] for span in ("today", "7_days", "all")] == [2, 3, 4]
    assert data["all"]["cost_usd"] == "0.003702"
    assert (data["all"]["cost_known"], data["all"]["cost_unknown"]) == (3, 1)
    assert data["all"]["models"] == {"local/tiny": 4}
    assert data["all"]["success_rate"] == 1.0
    assert data["today"]["p95_latency_s"] == 0.8
    shown = ymera("stats")
    assert "$0.003702 + 1 unknown" in shown.out
    assert "local/tiny" in shown.out
    assert "30 days" in shown.err


@pytest.mark.proves("cli.stats")
def test_stats_of_nothing_are_zeros(ymera: CommandLine) -> None:
    assert decoded(ymera("stats", "--json").out)["all"]["requests"] == 0
    assert ymera("stats").code == 0


@pytest.mark.proves("cli.logs")
def test_logs_page_through_the_requests_newest_first(ymera: CommandLine) -> None:
    ids = stored(3, 2, 1)
    first = ymera("logs", "--limit", "2")
    assert [line.split()[0] for line in first.out.splitlines()] == ids[:0:-1]
    assert f"--before {ids[1]}" in first.err
    rest = decoded(ymera("logs", "--before", ids[1], "--json").out)
    assert [each["id"] for each in rest] == [ids[0]]
    wrong = ymera("logs", "--before", "nope")
    assert wrong.code == 2


@pytest.mark.proves("cli.logs")
def test_logs_show_tells_everything_stored_of_one_request(ymera: CommandLine) -> None:
    (id_,) = stored(1, prompt="the question", answer="the answer")
    shown = ymera("logs", "show", id_)
    for words in ("cost usd: 0.001234", "a/w, 0.10 s, transient", "candidate 1", "the question"):
        assert words in shown.out
    data = decoded(ymera("logs", "show", id_, "--json").out)
    assert data["request"]["answer"] == "the answer"
    assert data["feedback"] is None
    missing = ymera("logs", "show", "nope", "--json")
    assert missing.code == 2
    assert decoded(missing.err)["error"]["code"] == "request_not_found"


@pytest.mark.proves("cli.rate", "feedback.replaced")
def test_logs_rate_stores_a_rating_and_replaces_it(ymera: CommandLine) -> None:
    (id_,) = stored(1)
    assert "Rated 2: local/tiny" in ymera("logs", "rate", id_, "2").out
    again = decoded(ymera("logs", "rate", id_, "pass", "--comment", "fine", "--json").out)
    assert (again["rating"], again["replaced"]) == (5.0, 2.0)
    assert "rating: 5 fine" in ymera("logs", "show", id_).out
    (row,) = decoded(ymera("learn", "--json").out)
    assert (row["ratings"], row["avg_rating"]) == (1, 5.0)


@pytest.mark.proves("cli.rate", "feedback.unknown-request")
@pytest.mark.parametrize(("id_", "rating"), [("nope", "5"), ("req_x_1", "6"), ("req_x_1", "so")])
def test_a_wrong_rating_or_an_unknown_request_is_a_usage_error(
    ymera: CommandLine, id_: str, rating: str
) -> None:
    stored(1)
    result = ymera("logs", "rate", id_, rating)
    assert result.code == 2
    assert "Traceback" not in result.err


@pytest.mark.proves("cli.replay")
def test_replay_asks_another_model_what_was_asked(ymera: CommandLine) -> None:
    (id_,) = stored(1, prompt="Say hello", answer="before")
    result = ymera("logs", "replay", id_, "--model", "stage/actor", "--json")
    data = decoded(result.out)
    assert data["before"] == {"model": "local/tiny", "answer": "before"}
    assert data["now"]["model"] == "stage/actor"
    assert data["now"]["answer"]
    asked = decoded(ymera("logs", "--limit", "1", "--json").out)[0]
    assert asked["id"] == data["now"]["request_id"]
    assert asked["task_type"] == "code_generation"


@pytest.mark.proves("cli.replay")
@pytest.mark.parametrize(("private", "why"), [(True, "private"), (False, "store_prompts")])
def test_replay_says_why_it_cannot(ymera: CommandLine, private: bool, why: str) -> None:
    (id_,) = stored(1, private=private)
    result = ymera("logs", "replay", id_, "--model", "stage/actor")
    assert result.code == 2
    assert "was not stored" in result.err
    assert why in result.err


@pytest.mark.proves("cli.learn", "learning.persisted")
def test_learn_shows_what_every_answer_taught(ymera: CommandLine) -> None:
    assert "Nothing was learned yet" in ymera("learn").err
    for _ in range(2):
        ymera("ask", "--task-type", "chat", "Say hello")
    (row,) = decoded(ymera("learn", "stats", "--json").out)
    assert (row["agent"], row["task_type"], row["model"]) == ("direct", "chat", "stage/actor")
    assert (row["executions"], row["successes"]) == (2, 2)
    assert 0 < row["routing_term"] <= 0.1
    assert 0 < row["ema_score"] <= 0.7
    assert "stage/actor" in ymera("learn").out
    assert decoded(ymera("learn", "export").out) == {"rows": [row]}
    explained = decoded(ymera("route", "--task-type", "chat", "Say hello", "--json").out)
    assert explained["candidates"][0]["terms"]["experience"] == row["routing_term"]
    assert "experience +" in ymera("route", "--task-type", "chat", "Say hello").out


@pytest.mark.proves("cli.learn")
def test_learn_reset_asks_first_and_forgets(ymera: CommandLine) -> None:
    ymera("ask", "Say hello")
    refused = ymera("learn", "reset")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert len(decoded(ymera("learn", "--json").out)) == 1
    assert ymera("learn", "reset", "--yes").code == 0
    assert decoded(ymera("learn", "--json").out) == []
    assert len(decoded(ymera("logs", "--json").out)) == 1


@pytest.mark.proves("retention.off-path", "config.leaves-matter")
def test_an_answer_removes_what_is_older_than_the_configured_days(
    ymera: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = 24 * 60
    stored(8 * day, 6 * day)
    old = locate_data_dir().audit_logs / "audit-2020-01-01.jsonl"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.touch()
    monkeypatch.setenv("YMERA_MONITORING__METRICS_RETENTION_DAYS", "7")
    assert len(decoded(ymera("logs", "--json").out)) == 2  # reading removes nothing
    ymera("ask", "Say hello")
    left = {each["id"] for each in decoded(ymera("logs", "--json").out)}
    assert f"req_x_{6 * day:g}" in left
    assert f"req_x_{8 * day:g}" not in left
    assert len(left) == 2
    assert not old.exists()


def test_a_damaged_experience_file_does_not_stop_an_answer(ymera: CommandLine) -> None:
    folder: Path = locate_data_dir().ai_performance
    folder.mkdir(parents=True)
    (folder / "experience.json").write_bytes(b"\x00\x01")
    assert ymera("ask", "Say hello").code == 0
    assert list(folder.glob("experience.json.damaged-*"))
    assert len(decoded(ymera("learn", "--json").out)) == 1


def test_a_refused_request_is_listed_with_its_error(ymera: CommandLine) -> None:
    store = SqlRecordStore(locate_data_dir().records)
    store.write_batch([record("req_refused", error_code="no_route")])
    store.close()
    assert "no_route" in ymera("logs").out
