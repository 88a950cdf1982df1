"""Results made easy to read for a small model, and its answers checked against them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ymera.engine.text_reading import (
    focused_records,
    hashes,
    is_empty,
    is_grounded,
    may_answer,
    only_fact,
    readable,
)

pytestmark = pytest.mark.proves("tools.text-protocol")

HASH = "c2be3da36f7c8b7ba6f59da49160ddfe06350001"


def commits(*told: tuple[str, str, str]) -> str:
    blocks = (f"Author: {who}\nDate: {day}\nMessage: {what}\n" for who, day, what in told)
    return "Commits:\n" + "\n\n".join(blocks)


LOG = commits(
    ("Ann", "2031-03-04", "Describe the index"),
    ("Bo", "2031-03-03", "Release two"),
    ("Cy", "2031-03-02", "Repair the dialog"),
    ("Di", "2031-03-01", "Release one"),
)


@pytest.mark.parametrize(
    ("question", "author"),
    [
        ("Who repaired the dialog?", "Cy"),
        ("Who made the latest commit?", "Ann"),
        ("Who made the very first commit?", "Di"),
        ("Who made the newest release?", "Bo"),
        ("Who made the first release?", "Di"),
    ],
)
def test_the_record_a_question_is_about_is_found_by_rule(question: str, author: str) -> None:
    assert focused_records(LOG, question).startswith(f"Author: {author}\n")


def test_what_rules_cannot_tell_stays_whole() -> None:
    assert focused_records(LOG, "How many people are there?") == LOG
    assert focused_records("one\n\ntwo\n\nthree", "Which is the first?") == "one\n\ntwo\n\nthree"


@pytest.mark.parametrize(
    ("text", "question", "shown"),
    [
        ("[web]\nport = 1\n[db]\nport = 2", "?", "web.port = 1\ndb.port = 2"),
        ("item,count\ntowels,5\nsheets,6", "?", "item: towels, count: 5\nitem: sheets, count: 6"),
        (
            f"diff --git a/x.py b/x.py\nnew file mode 100644\nindex 000..{HASH[:7]}\n"
            "--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+A = 5",
            "?",
            "new file x.py\n+A = 5",
        ),
        (f"Commit: {HASH}\nAuthor: Ann", "Who?", "Author: Ann"),
        (f"Commit: {HASH}", "What is the hash of it?", f"Commit: {HASH}"),
        ("* main\n  topic", "Which branch besides main is there?", "  topic"),
        ("main", "Apart from main?", "main"),
        ("Plain text, with commas,\nof two lines.", "?", "Plain text, with commas,\nof two lines."),
    ],
)
def test_noise_goes_and_labels_come(text: str, question: str, shown: str) -> None:
    assert readable(text, question) == shown


@given(st.text(max_size=300), st.text(max_size=60))
def test_no_text_is_too_odd_to_read(text: str, question: str) -> None:
    shown = readable(text, question)
    assert isinstance(focused_records(shown, question), str)
    assert only_fact(shown) != ""
    assert is_grounded(question, text, question) is False


@pytest.mark.parametrize(
    ("answer", "grounded"),
    [
        ("It weighs 1.5 kg.", True),
        ("1.5", True),
        ("It weighs 2.5 kg.", False),
        ("Dr. Smith weighs 1.5 kg.", False),
        ("The heron.", False),
        ("found", False),
        ("", False),
    ],
)
def test_an_answer_counts_when_its_names_and_numbers_stand_in_the_source(
    answer: str, grounded: bool
) -> None:
    assert is_grounded(answer, "weight: 1.5 kg", "How heavy is the heron?") is grounded


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("name: Ann Bo", "Ann Bo"),
        ("  * topic/x\n", "topic/x"),
        ("name: NULL", None),
        ("Changes:", None),
        ("a: 1\nb: 2", None),
        ("", None),
    ],
)
def test_a_single_short_line_is_the_answer_itself(text: str, fact: str | None) -> None:
    assert only_fact(text) == fact


def test_what_a_question_quotes_has_to_occur() -> None:
    assert may_answer("Author: Ann\nMessage: Fix the sums", "Who wrote 'Fix the sums'?")
    assert not may_answer("diff of x.py", "Who wrote 'Fix the sums'?")
    assert may_answer("anything", "Who's there, and where's Ann's hat?")


def test_hashes_are_found_once() -> None:
    assert hashes(f"{HASH} and {HASH}, not {HASH[:7]}") == [HASH]


@pytest.mark.parametrize(("text", "empty"), [("No rows.", True), (" []\n", True), ("0", False)])
def test_nothing_is_recognised(text: str, empty: bool) -> None:
    assert is_empty(text) is empty
