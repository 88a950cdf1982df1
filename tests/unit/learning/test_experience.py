"""What a finished request teaches, and what does not."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tests.support.records import ALICE, NOON, PLAN, answered, record
from ymera.core.errors import InvalidRequest
from ymera.core.record import Attempt, RequestRecord
from ymera.learning.experience import Experience
from ymera.learning.math.ema import ModelStats
from ymera.learning.store import ExperienceFile
from ymera.learning.table import Key, Outcome, Rating, Table

TINY = Key("coding_agent", "code_generation", "local/tiny")
OTHER = Key("coding_agent", "code_generation", "a/w")


def attempt(model_id: str, error_code: str | None = None, latency_s: float = 0.5) -> Attempt:
    return Attempt(
        model_id=model_id,
        provider=model_id.partition("/")[0],
        started_at=NOON,
        latency_s=latency_s,
        error_code=error_code,
    )


def learned_from(*records: RequestRecord) -> dict[Key, ModelStats]:
    experience = Experience()
    for each in records:
        experience.emit(each)
    return experience.rows()


@pytest.mark.proves("learning.every-request")
def test_an_answer_counts_for_its_model_and_a_failed_call_against_its_own() -> None:
    assert learned_from(answered()) == {
        OTHER: ModelStats(executions=1, successes=0, avg_time=0.1),
        TINY: ModelStats(executions=1, successes=1, avg_time=0.8),
    }


@pytest.mark.proves("learning.every-request")
def test_the_time_of_an_answer_is_its_own_and_whole() -> None:
    """A fallback is not blamed for the wait before it; a stream's time ends with its last byte."""
    late = msgspec.structs.replace(attempt("b/late"), started_at=NOON + timedelta(seconds=5))
    told = learned_from(answered(attempts=(attempt("a/w", "transient", 5.0), late), latency_s=8.0))
    assert told[Key("coding_agent", "code_generation", "b/late")].avg_time == 3.0


@pytest.mark.proves("learning.fair")
@pytest.mark.parametrize(
    "code", ["auth", "quota_day", "quota_minute", "too_large", "capability", "cancelled"]
)
def test_a_failure_that_is_not_the_models_teaches_nothing_about_it(code: str) -> None:
    refused = record(plan=PLAN, attempts=(attempt("a/w", code),), error_code="provider_error")
    assert learned_from(refused) == {}


@pytest.mark.proves("learning.fair")
@pytest.mark.parametrize(
    ("code", "successes"),
    [("provider_error", [0]), ("cancelled", []), ("guard_blocked", []), (None, [1])],
)
def test_an_answer_that_breaks_off_counts_against_its_model_unless_the_caller_left(
    code: str | None, successes: list[int]
) -> None:
    told = learned_from(answered(attempts=(attempt("local/tiny"),), error_code=code))
    assert [stats.successes for stats in told.values()] == successes


@pytest.mark.proves("learning.every-request")
def test_what_was_refused_before_routing_or_came_from_the_cache_teaches_nothing() -> None:
    assert learned_from(record(error_code="rate_limited"), answered(attempts=(), cached=True)) == {}


@pytest.mark.proves("document.training-affinity")
def test_requests_of_no_agent_share_a_row() -> None:
    (key,) = learned_from(answered(agent=None, attempts=(attempt("a/w"),)))
    assert str(key) == "direct:code_generation:a/w"


@pytest.mark.proves("learning.private")
async def test_of_a_private_request_only_numbers_are_kept(tmp_path: Path) -> None:
    file = ExperienceFile(tmp_path, now=lambda: NOON)
    experience = Experience(file)
    experience.emit(answered("req-secret", private=True, prompt="my tax", answer="a lot"))
    await experience.close()
    kept = file.path.read_text()
    assert "local/tiny" in kept
    for word in ("tax", "a lot", "req-secret", ALICE.id):
        assert word not in kept


@pytest.mark.proves("learning.bounded")
def test_the_longest_unchanged_row_goes_first_and_its_influence_with_it() -> None:
    table = Table(capacity=2)
    a, b, c = (Key("x", "chat", name) for name in "abc")
    for key in (a, b, a, c):
        table.apply(Outcome(key, True, 1.0))
    assert list(table.rows) == [a, c]
    assert set(table.advantages("x", "chat")) == {"a", "c"}
    table.apply(Outcome(Key("x", "reasoning", "d"), True, 1.0))
    table.apply(Outcome(Key("x", "reasoning", "e"), True, 1.0))
    assert table.advantages("x", "chat") == {}


@pytest.mark.proves("learning.bounded")
def test_names_and_recent_answers_are_bounded() -> None:
    experience = Experience()
    for number in range(2_100):
        experience.emit(answered(f"r{number}", agent="x" * 10_000))
    assert experience.recent("r0") is None
    assert experience.recent("r2099") is not None
    assert all(len(key.agent) == 200 for key in experience.rows())


def test_what_a_router_was_told_does_not_change_under_it() -> None:
    experience = Experience()
    experience.emit(answered())
    before = dict(told := experience.advantages("coding_agent", "code_generation"))
    experience.emit(answered())
    assert dict(told) == before
    assert dict(experience.advantages("coding_agent", "code_generation")) != before


@pytest.mark.parametrize("time_s", [-1.0, float("nan"), float("inf")])
def test_a_time_that_cannot_be_is_refused(time_s: float) -> None:
    with pytest.raises(InvalidRequest):
        Experience().observe(TINY, success=True, time_s=time_s)


@pytest.mark.parametrize("rating", [0.0, 0.99, 5.01, float("nan")])
def test_a_rating_out_of_range_is_refused(rating: float) -> None:
    with pytest.raises(InvalidRequest, match="out of range"):
        Experience().rate(TINY, rating)


@pytest.mark.proves("learning.concurrency")
def test_64_threads_lose_no_count() -> None:
    experience = Experience()
    start = threading.Barrier(64)

    def work() -> None:
        start.wait(30)
        for _ in range(50):
            experience.emit(answered())

    threads = [threading.Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {stats.executions for stats in experience.rows().values()} == {3_200}


@pytest.mark.proves("learning.persisted", "document.training-continuous")
async def test_what_was_learned_is_there_after_a_restart(tmp_path: Path) -> None:
    first = Experience(ExperienceFile(tmp_path, now=lambda: NOON))
    first.emit(answered())
    first.rate(TINY, 4)
    await first.close()
    second = Experience(ExperienceFile(tmp_path, now=lambda: NOON))
    assert second.rows() == first.rows()
    assert second.advantages("coding_agent", "code_generation")["local/tiny"] > 0


@pytest.mark.proves("learning.persisted")
async def test_processes_that_share_a_directory_add_up_and_see_each_other(tmp_path: Path) -> None:
    left, right = (Experience(ExperienceFile(tmp_path, now=lambda: NOON)) for _ in range(2))
    for each in (left, right, left):
        each.emit(answered())
        each.flush()
    assert left.rows()[TINY].executions == 3
    right.emit(answered())
    await right.close()
    assert right.rows()[TINY].executions == 4


@pytest.mark.proves("learning.persisted")
def test_processes_that_flush_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from datetime import datetime, UTC; from pathlib import Path;"
        "from ymera.learning.experience import Experience;"
        "from ymera.learning.store import ExperienceFile; from ymera.learning.table import Key;"
        "e = Experience(ExperienceFile(Path(sys.argv[1]), now=lambda: datetime.now(UTC)));\n"
        "for _ in range(40):\n"
        "    e.observe(Key('a', 'chat', 'm'), success=True, time_s=1.0); e.flush()\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0, 0, 0, 0]
    rows = ExperienceFile(tmp_path, now=lambda: NOON).read().rows
    assert rows[Key("a", "chat", "m")].executions == 160


@pytest.mark.proves("learning.persisted")
def test_a_process_that_ends_without_closing_still_writes(tmp_path: Path) -> None:
    script = (
        "import sys; from datetime import datetime, UTC; from pathlib import Path;"
        "from ymera.learning.experience import Experience;"
        "from ymera.learning.store import ExperienceFile; from ymera.learning.table import Key;"
        "e = Experience(ExperienceFile(Path(sys.argv[1]), now=lambda: datetime.now(UTC)));"
        "e.observe(Key('a', 'chat', 'm'), success=True, time_s=1.0)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)
    assert len(ExperienceFile(tmp_path, now=lambda: NOON).read().rows) == 1


@pytest.mark.proves("learning.damaged-file")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00junk",
        b"[]",
        b'{"format":1,"rows":[{"agent":"a"}]}',
        b'{"format":1,"rows":[{"agent":"a","task_type":"t","model":"m",'
        b'"stats":{"executions":1,"successes":2}}]}',
        b'{"format":1,"rows":[{"agent":"a","task_type":"t","model":"m",'
        b'"stats":{"executions":1,"avg_time":-1}}]}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_moved_aside_and_learning_goes_on(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = ExperienceFile(tmp_path, now=lambda: NOON)
    file.path.write_bytes(content)
    experience = Experience(file)
    assert experience.rows() == {}
    experience.emit(answered())
    experience.flush()
    assert len(ExperienceFile(tmp_path, now=lambda: NOON).read().rows) == 2
    aside = tmp_path / "experience.json.damaged-20261120T120000"
    assert aside.read_bytes() == content
    assert aside.name in caplog.text


@pytest.mark.proves("learning.damaged-file")
def test_a_file_of_a_newer_version_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = ExperienceFile(tmp_path, now=lambda: NOON)
    file.path.write_text('{"format": 2, "rows": "other"}')
    experience = Experience(file)
    experience.emit(answered())
    experience.flush()
    assert "newer Ymera" in caplog.text
    assert file.path.read_text() == '{"format": 2, "rows": "other"}'
    assert experience.rows()[TINY].executions == 1


@pytest.mark.proves("learning.damaged-file")
def test_what_cannot_be_written_is_said_once_and_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "learned"
    in_the_way.write_text("a file")
    experience = Experience(ExperienceFile(in_the_way, now=lambda: NOON))
    for _ in range(2):
        experience.emit(answered())
        experience.flush()
    assert len(caplog.records) == 1
    in_the_way.unlink()
    experience.flush()
    rows = ExperienceFile(in_the_way, now=lambda: NOON).read().rows
    assert rows[TINY].executions == 2


def test_a_reset_forgets_here_and_on_disk(tmp_path: Path) -> None:
    file = ExperienceFile(tmp_path, now=lambda: NOON)
    experience = Experience(file)
    experience.emit(answered())
    experience.flush()
    experience.emit(answered())
    experience.reset()
    experience.flush()
    assert experience.rows() == {}
    assert not file.path.exists()


def test_a_rating_may_come_before_the_answer_it_is_about_is_known() -> None:
    """The command line rates what the server has not written down yet."""
    table = Table()
    table.apply(Rating(TINY, 5.0))
    assert 0 < table.advantages("coding_agent", "code_generation")["local/tiny"] < 0.1
    table.apply(Outcome(TINY, True, 2.0))
    assert table.rows[TINY] == ModelStats(
        executions=1, successes=1, avg_time=2.0, avg_rating=5.0, ratings=1
    )
