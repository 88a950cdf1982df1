"""What is taken out of an answer, and the checks that decide whether it counts."""

from __future__ import annotations

import pytest

from tests.support.phases import phase
from ymera.core.answer import FinishReason
from ymera.phases.checks import examine, no_shrinking, verdict_of
from ymera.phases.extract import extract
from ymera.phases.parsers import PARSED_LANGUAGES, parser_of
from ymera.phases.types import Artefact, ArtefactKind, OutputContract


def problem(kind: ArtefactKind, answer: str, language: str | None = None) -> str | None:
    spec = phase("made", output=OutputContract(kind=kind))
    return examine(spec, answer, FinishReason.STOP, language=language).problem


@pytest.mark.proves("phases.checks")
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Sure!\n```python\nx = 1\n```\nDone.", "x = 1"),
        ("~~~py\nx = 1\n~~~", "x = 1"),
        ("```Python title=a.py\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("x = 1\nprint(x)", "x = 1\nprint(x)"),
        ("```bash\npip install flask flask-restful\n```\n```python\nx = 1\n```", "x = 1"),
        ("```python\nx = (\n```\n```python\ny = 2\n```", "y = 2"),
        ("```python\nx = 1\ny = 2", "x = 1\ny = 2"),
        ("````python\ns = '```'\n````", "s = '```'"),
        ("<think>```python\nbad = 1\n```</think>```python\nx = 1\n```", "x = 1"),
        ("There is no code here.", ""),
        ("```rust\nfn main() {}\n```", ""),
    ],
)
def test_code_is_taken_out_of_its_fence(answer: str, found: str) -> None:
    assert extract(ArtefactKind.CODE, answer, "python").text == found


@pytest.mark.proves("phases.checks")
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('```json\n{"a": 1}\n```', '{"a": 1}'),
        ('Here it is: {"a": [1]} as you asked.', '{"a": [1]}'),
        ('[draft] {"a": 1}', '{"a": 1}'),
        ("no json", "no json"),
    ],
)
def test_json_is_taken_out_of_the_words_around_it(answer: str, found: str) -> None:
    assert extract(ArtefactKind.JSON, answer, None).text == found


@pytest.mark.proves("phases.checks")
def test_notes_are_kept_without_the_code_in_them() -> None:
    found = extract(ArtefactKind.NOTES, "1. Read.\n```python\nx = 1\n```\n2. Write.", None)
    assert found.text.split() == ["1.", "Read.", "2.", "Write."]
    assert "characters of code" in found.losses[0]
    assert "no prose" in str(problem(ArtefactKind.NOTES, "```python\nx = 1"))


def test_prose_that_stands_whole_in_a_fence_is_unwrapped() -> None:
    assert extract(ArtefactKind.MARKDOWN, "```markdown\n# A\n```", None).text == "# A"
    mixed = "# A\n```markdown\n# B\n```"
    assert extract(ArtefactKind.MARKDOWN, mixed, None).text == mixed


@pytest.mark.proves("phases.checks")
def test_what_is_left_out_of_several_blocks_is_said() -> None:
    found = extract(ArtefactKind.CODE, "```python\nx = 1\n```\n```python\ny = 22\n```", "python")
    assert found.text == "y = 22"
    assert found.losses == ("5 characters of other code blocks were left out.",)


@pytest.mark.proves("phases.checks")
@pytest.mark.parametrize(
    ("language", "good", "bad", "says"),
    [
        ("python", "def f():\n    return 1", "def f(:\n    pass", "line 1"),
        ("python", "import os", '"just a text"', "no statement"),
        ("python", "print('\\d')", "x = 'a\0'", "Not valid Python"),
        ("json", '{"a": 1}', '{"a": }', "line 1"),
        ("toml", "a = 1", "a = ", "Not valid TOML"),
        ("toml", "[a]\nb = 1", "# nothing", "no key"),
        ("sql", "SELECT a FROM t WHERE b > 1", "SELECT a FROM WHERE", "Not valid SQL"),
        ("sql", "CREATE TABLE t (a INT); INSERT INTO t VALUES (1)", "hello world", "Not every"),
    ],
)
def test_each_language_with_a_parser_is_parsed(
    language: str, good: str, bad: str, says: str
) -> None:
    parse = parser_of(language)
    assert parse is not None
    assert parse(good) is None
    assert says in str(parse(bad))
    assert language in PARSED_LANGUAGES


@pytest.mark.proves("phases.checks")
def test_text_nested_too_deep_is_refused_and_does_not_crash() -> None:
    for language in ("python", "json", "sql"):
        parse = parser_of(language)
        assert parse is not None
        assert parse("(" * 100_000 if language != "json" else "[" * 100_000) is not None


@pytest.mark.proves("phases.checks")
def test_code_of_a_language_without_a_parser_needs_a_closed_fence_and_says_so() -> None:
    spec = phase("made", output=OutputContract(kind=ArtefactKind.CODE))
    closed = examine(spec, "```rust\nfn main() {}\n```", FinishReason.STOP, language="rust")
    assert closed.problem is None
    assert closed.checks[-1].name == "code block (not parsed)"
    assert closed.artefact.language == "rust"
    opened = examine(spec, "```rust\nfn main() {", FinishReason.LENGTH, language="rust")
    assert "closed code block" in str(opened.problem)
    assert any("cut" in loss for loss in opened.losses)


@pytest.mark.proves("phases.checks")
@pytest.mark.parametrize(
    "answer",
    [
        "",
        "  \n",
        "I'm sorry, but I can't help with that.",
        "Sorry, I am unable to do this.",
        "I cannot create that for you.",
        "As an AI language model, I cannot browse.",
        "<think>hm</think>",
    ],
)
def test_an_empty_answer_and_a_refusal_do_not_count(answer: str) -> None:
    assert problem(ArtefactKind.TEXT, answer) is not None


@pytest.mark.proves("phases.checks")
@pytest.mark.parametrize(
    "answer",
    [
        "Tests cannot create files there.",
        "I can do that: first, open the door.",
        "0\n" * 30,
        "| a | b |\n|---|---|\n" + "".join(f"| row {n} | {n} |\n" for n in range(40)),
        "=" * 200 + "\nTitle",
    ],
)
def test_an_answer_that_only_looks_like_one_counts(answer: str) -> None:
    assert problem(ArtefactKind.TEXT, answer) is None


def code(times: int) -> str:
    return "\n".join(["print('the very same line again')"] * times)


@pytest.mark.proves("phases.checks")
def test_a_model_caught_in_a_loop_is_noticed() -> None:
    assert "over and over" in str(problem(ArtefactKind.TEXT, "api" + "_list_json" * 20))
    lines = "\n".join(["The function creates a resource."] * 8)
    assert "repetitions" in str(problem(ArtefactKind.TEXT, lines))
    assert "repetitions" in str(problem(ArtefactKind.CODE, f"```python\n{code(8)}\n```", "python"))
    table = "values = [" + "0, " * 50 + "0]"
    assert problem(ArtefactKind.CODE, f"```python\n{table}\n```", "python") is None


@pytest.mark.proves("phases.checks")
def test_prose_is_kept_up_to_where_it_repeats_itself_and_the_loss_is_said() -> None:
    spec = phase("made")
    sense = "First define what the interface takes.\nThen define what it returns, and how it fails."
    for noise in ("\nSpecify the documentation." * 9, "\nendpoint" + "_list_json" * 30):
        found = examine(spec, sense + noise, FinishReason.LENGTH, language=None)
        assert found.problem is None
        assert found.artefact.text.startswith(sense)
        assert len(found.artefact.text) < len(sense) + 40
        assert any("repetitions were left out" in loss for loss in found.losses)


@pytest.mark.proves("phases.checks")
def test_a_short_answer_is_refused_where_more_is_wanted() -> None:
    spec = phase("made", output=OutputContract(min_chars=20))
    found = examine(spec, "Too short.", FinishReason.STOP, language=None)
    assert found.problem == "The answer has 10 characters, at least 20 are wanted."


@pytest.mark.proves("phases.review")
@pytest.mark.parametrize(
    ("text", "wants"),
    [
        ('{"verdict": "revise", "issues": ["The loop never ends."]}', True),
        ('{"verdict": "revise", "issues": []}', False),
        ('{"verdict": "revise", "issues": ["1.1.1", "2"]}', False),
        ('{"verdict": "accept", "issues": ["The loop never ends."]}', False),
    ],
)
def test_a_review_asks_for_a_change_only_when_it_says_which(text: str, wants: bool) -> None:
    verdict = verdict_of(Artefact(phase="review", kind=ArtefactKind.JSON, text=text))
    assert verdict is not None
    assert verdict.wants_changes is wants


def test_a_review_that_cannot_be_read_says_nothing() -> None:
    assert verdict_of(Artefact(phase="review", kind=ArtefactKind.JSON, text="[]")) is None


def test_a_revision_may_be_shorter_but_not_half() -> None:
    before = Artefact(phase="code", kind=ArtefactKind.CODE, text="x" * 100)
    for size, passes in ((50, True), (49, False)):
        after = Artefact(phase="combine", kind=ArtefactKind.CODE, text="x" * size)
        assert no_shrinking(after, before).passed is passes
