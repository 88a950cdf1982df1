"""Which tools a small model gets to see, and what it fills in."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from ymera.core.tool import Tool, ToolEffect
from ymera.engine import text_prompts as prompts

pytestmark = pytest.mark.proves("tools.text-protocol")

TEXT = {"type": "string"}


def tool(
    name: str, description: str, arguments: Mapping[str, object] | None = None, *needed: str
) -> Tool:
    schema = {"type": "object", "properties": dict(arguments or {}), "required": list(needed)}
    return Tool(
        name=name,
        description=description,
        parameters=msgspec.Raw(msgspec.json.encode(schema)),
        effect=ToolEffect.READ_ONLY,
    )


FETCH = tool("fetch_page", "Reads a page of the web.", {"url": TEXT}, "url")
SHOW = tool("git_show", "Shows a commit.", {"rev": {**TEXT, "description": "The hash."}}, "rev")
LOG = tool("git_log", "Lists the commits with authors.")
TIME = tool("clock", "Tells the time.", {"zone": TEXT, "style": TEXT}, "zone")


def names(question: str, *offered: Tool, about: Mapping[str, str] | None = None) -> list[str]:
    return [each.name for _, each in prompts.shortlist(question, offered, about or {})]


def test_tools_are_ranked_by_what_they_and_their_data_say() -> None:
    assert names("Which authors have commits?", TIME, LOG) == ["git_log"]
    assert names("How late is it?", LOG, TIME) == ["clock"]
    assert names("Who ordered?", LOG, TIME, about={"clock": "table orders"}) == ["clock"]
    assert names("Say hello", LOG, TIME) == []


def test_what_needs_an_address_or_a_hash_waits_until_one_is_known() -> None:
    assert names("What does the page of the web say?", FETCH) == []
    assert names("What does the page https://birds.example say?", FETCH) == ["fetch_page"]
    assert names("What does the commit show?", SHOW) == []
    assert prompts.shortlist("What does the commit show?", [SHOW], {}, "c" * 40)


def test_a_hash_is_one_that_was_seen() -> None:
    schema = prompts.arguments_schema(SHOW, "What changed?", "a" * 40 + " b")

    assert prompts.only_arguments(schema) == {"rev": "a" * 40}


def test_only_what_a_call_needs_or_the_question_speaks_of_is_asked() -> None:
    asked = prompts.arguments_schema(TIME, "What time is it in Oslo?")
    styled = prompts.arguments_schema(TIME, "What time is it in Oslo, in old style?")

    assert asked["required"] == ["zone"]
    assert styled["required"] == ["zone", "style"]
    assert prompts.only_arguments(asked) is None
    assert prompts.only_arguments(prompts.arguments_schema(LOG, "Who?")) == {}


def test_long_lists_of_choices_are_cut_to_what_bears_on_the_question() -> None:
    files = [f"notes/{n}.txt" for n in range(50)] + ["birds/heron.md"]
    read = tool("read", "Reads.", {"path": {**TEXT, "enum": files}}, "path")

    def choices(question: str, about: str = "") -> list[str]:
        schema = prompts.arguments_schema(read, question, about=about)
        found = schema["properties"]
        assert isinstance(found, dict)
        return list(found["path"]["enum"])

    assert choices("What do herons eat?")[0] == "birds/heron.md"
    assert len(choices("What do herons eat?")) == 12
    listed = "Files:\nnotes/7.txt (fish)\nnotes/9.txt (fish)\nnot/there.txt"
    assert choices("Who eats fish?", listed) == ["notes/7.txt", "notes/9.txt"]


def test_a_statement_is_asked_for_with_the_schema_and_examples() -> None:
    query = tool("query_database", "Reads rows.", {"sql": TEXT}, "sql")
    schema = prompts.arguments_schema(query, "How many?")

    prompt = prompts.arguments("How many?", query, schema, "CREATE TABLE t (a);", [], ["Failed."])

    assert prompt.startswith("CREATE TABLE t (a);")
    assert "JOIN" in prompt
    assert prompt.endswith("Failed.\n\nHow many?")


def test_a_clear_winner_needs_no_choice() -> None:
    assert prompts.clearly_first([(3.0, LOG), (1.0, TIME)]) == LOG
    assert prompts.clearly_first([(3.0, LOG), (2.5, TIME)]) is None
    assert prompts.clearly_first([]) is None
