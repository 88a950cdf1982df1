"""Questions that no model can answer alone: with tools, and with what an MCP server offers.

The hosted model is a double that can only repeat what tools and context brought it.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.command_line import run_process
from tests.support.hosted import Hosted, hosting, say
from tests.support.mcp_config import user_mcp_server
from tests.support.scenario import records, set_environment, stored_context
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import (
    ChatRequest,
    Role,
    ToolCall,
)

pytestmark = pytest.mark.proves("document.real-world")

NOTES_SERVER = Path(__file__).parents[1] / "support" / "mcp_servers" / "good.py"


def calls(tool: str, **arguments: object) -> Callable[[ChatRequest], ChatAnswer]:
    """Return a model that calls a tool, and then says what it was told."""

    def answer(request: ChatRequest) -> ChatAnswer:
        last = request.messages[-1]
        if last.role is Role.TOOL:
            return say(f"The tool says: {last.text}")
        if tool not in {each.name for each in request.tools}:
            return say("I have no such tool.")
        call = ToolCall(id="call_1", name=tool, arguments=json.dumps(arguments))
        return ChatAnswer(text="", finish_reason=FinishReason.TOOL_CALLS, tool_calls=(call,))

    return answer


class Groq:
    """Puts a double in the place of a host of the catalogue, whose models call tools."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    @contextmanager
    def __call__(self, answer: Callable[[ChatRequest], ChatAnswer]) -> Iterator[Hosted]:
        with hosting(answer) as host:
            settings = {
                "YMERA_LOCAL__ENABLED": "false",
                "YMERA_PROVIDERS__GROQ__BASE_URL": host.base_url,
                "GROQ_API_KEY": "gsk_invented",
            }
            set_environment(self._monkeypatch, settings)
            yield host


@pytest.fixture
def groq(monkeypatch: pytest.MonkeyPatch) -> Groq:
    return Groq(monkeypatch)


@pytest.mark.proves("document.tools")
def test_a_sum_too_large_for_the_head_is_done_by_the_calculator(groq: Groq) -> None:
    with groq(calls("calculator", expression="8912 * 7731")) as host:
        done = run_process("ask", "What is 8912 times 7731?", "--tools", "calculator", "--explain")
        assert done.returncode == 0, done.stderr.decode()
        assert [each.name for each in host.asked[0].tools] == ["calculator"]
    assert str(8912 * 7731) in done.stdout.decode().replace(",", "")
    assert "calculator" in done.stderr.decode()
    used = json.loads(str(records()[-1]["detail"]))["tools"]
    assert [(each["name"], each["ok"]) for each in used] == [("calculator", True)]


@pytest.mark.proves("document.tools")
def test_a_file_is_read_below_its_root_and_nowhere_else(
    groq: Groq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "office"
    root.mkdir()
    (root / "wifi.txt").write_text("The guests' password is osprey-77.\n", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("The safe opens with heron-12.\n", encoding="utf-8")
    monkeypatch.setenv("YMERA_TOOLS__READ_ROOT", str(root))
    with groq(calls("read_file", path="wifi.txt")):
        inside = run_process("ask", "What is the guests' wifi password?", "--tools", "read_file")
    with groq(calls("read_file", path="../secret.txt")):
        outside = run_process("ask", "What opens the safe?", "--tools", "read_file")
    assert "osprey-77" in inside.stdout.decode()
    assert outside.returncode == 0, outside.stderr.decode()
    assert "heron-12" not in outside.stdout.decode()
    used = json.loads(str(records()[-1]["detail"]))["tools"]
    assert [each["ok"] for each in used] == [False]


@pytest.mark.proves("document.tools")
def test_a_question_about_the_shop_is_answered_from_its_database(
    groq: Groq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as shop, shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT)")
        shop.execute("INSERT INTO orders VALUES (1042, 'Ingrid Solberg')")
    monkeypatch.setenv("YMERA_TOOLS__DATABASES__SHOP__URL", f"sqlite:///{path}")
    query = "SELECT customer FROM orders WHERE id = 1042"
    with groq(calls("query_database", database="shop", sql=query)):
        done = run_process("ask", "Which customer placed order 1042?", "--tools", "query_database")
    with groq(calls("query_database", database="shop", sql="DELETE FROM orders")):
        deleting = run_process("ask", "Delete order 1042", "--tools", "query_database")
    assert "Ingrid Solberg" in done.stdout.decode()
    assert deleting.returncode == 0, deleting.stderr.decode()
    with closing(sqlite3.connect(path)) as shop:
        assert shop.execute("SELECT count(*) FROM orders").fetchall() == [(1,)]


def _reads_context(request: ChatRequest) -> ChatAnswer:
    told = " ".join(message.text for message in request.messages)
    found = re.search(r"(?!Who)\b(\w+) is away", told)
    return say(f"{found[1]} is." if found else "I cannot know that.")


@pytest.mark.proves("document.mcp-context")
def test_what_an_mcp_server_knows_is_in_the_answer(groq: Groq) -> None:
    question = "Who is away in the second week of June? See the holidays."
    user_mcp_server("notes", sys.executable, str(NOTES_SERVER))
    with groq(_reads_context):
        without = run_process("ask", question)
        with_notes = run_process("ask", question, "--tools", "notes__*", "--json")
    assert without.stdout.decode() == "I cannot know that.\n"
    assert with_notes.returncode == 0, with_notes.stderr.decode()
    answered = json.loads(with_notes.stdout)
    assert answered["answer"] == "Ada is."
    assert "mcp:notes:notes://holidays" in {each["source"] for each in answered["context"]}
    sources = {each["source"] for each in stored_context(records()[-1])}
    assert "mcp:notes:notes://holidays" in sources


@pytest.mark.proves("document.tools")
def test_a_tool_that_changes_things_runs_only_where_the_user_allowed_it(
    groq: Groq, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_mcp_server("notes", sys.executable, str(NOTES_SERVER), read_only="add")
    with groq(calls("notes__wipe")):
        refused = run_process("ask", "Forget everything in the notes", "--tools", "notes__*")
        monkeypatch.setenv("YMERA_TOOLS__ALLOW", '["notes__wipe"]')
        allowed = run_process("ask", "Forget everything in the notes!", "--tools", "notes__*")
    assert refused.stdout.decode() == "I have no such tool.\n"
    assert "wiped" in allowed.stdout.decode(), allowed.stderr.decode()


@pytest.mark.proves("document.tools")
def test_a_dead_server_does_not_keep_the_question_from_being_answered(groq: Groq) -> None:
    user_mcp_server("notes", sys.executable, "-c", "raise SystemExit(3)")
    with groq(calls("calculator", expression="6 * 7")):
        done = run_process("ask", "What is 6 times 7?", "--tools", "all")
    assert done.returncode == 0, done.stderr.decode()
    assert "42" in done.stdout.decode()
    assert "Traceback" not in done.stderr.decode()
