"""The judge of histories finds each thing that vendors refuse, and nothing in a valid history."""

import json
import re
from collections.abc import Callable

import pytest

from tests.support.tool_histories import problems_in
from ymera.core.model import Dialect

pytestmark = pytest.mark.proves("sessions.judge")

Json = dict[str, object]
Change = Callable[[list[Json]], None]


def issuer(text: str) -> str | None:
    return text.removeprefix("signed-by-") if text.startswith("signed-by-") else None


def problems(
    fields: Json,
    dialect: Dialect,
    *,
    id_form: re.Pattern[str] | None = None,
    signed_calls: bool = False,
) -> list[str]:
    return problems_in(
        json.dumps(fields).encode(),
        dialect,
        provider="here",
        issuer=issuer,
        id_form=id_form,
        signed_calls=signed_calls,
    )


def openai() -> list[Json]:
    calls = [
        {"id": id, "type": "function", "function": {"name": "read", "arguments": '{"a": 1}'}}
        for id in ("call_1", "call_2")
    ]
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {"role": "assistant", "content": "Seen."},
        {"role": "user", "content": "Thanks."},
    ]


def anthropic() -> list[Json]:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "signed-by-here"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "one"}
    return [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [thought, call]},
        {"role": "user", "content": [result, {"type": "text", "text": "And?"}]},
    ]


def gemini() -> list[Json]:
    call = {"functionCall": {"id": "f1", "name": "read", "args": {}}, "thoughtSignature": "AAAA"}
    result = {"functionResponse": {"id": "f1", "name": "read", "response": {"output": "one"}}}
    return [
        {"role": "user", "parts": [{"text": "Look."}]},
        {"role": "model", "parts": [call]},
        {"role": "user", "parts": [result]},
    ]


def ollama() -> list[Json]:
    call = {"function": {"name": "read", "arguments": {}}}
    return [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_name": "read", "content": "one"},
    ]


HISTORIES = {
    Dialect.OPENAI_CHAT: ("messages", openai),
    Dialect.ANTHROPIC: ("messages", anthropic),
    Dialect.GEMINI: ("contents", gemini),
    Dialect.OLLAMA: ("messages", ollama),
}


@pytest.mark.parametrize("dialect", HISTORIES)
def test_a_valid_history_has_no_problem(dialect: Dialect) -> None:
    field, make = HISTORIES[dialect]
    assert problems({field: make()}, dialect, signed_calls=True) == []


def put(at: int, path: str, value: object) -> Change:
    """Return what sets a value deep in a turn; numbers in the path are places in lists."""

    def change(turns: list[Json]) -> None:
        *way, last = [int(each) if each.isdigit() else each for each in path.split(".")]
        spot: object = turns[at]
        for each in way:
            spot = spot[each]  # type: ignore[index]
        spot[last] = value  # type: ignore[index]

    return change


def drop(at: int) -> Change:
    def change(turns: list[Json]) -> None:
        del turns[at]

    return change


def swap(at: int, first: int, second: int) -> Change:
    def change(turns: list[Json]) -> None:
        blocks = turns[at]["content"]
        assert isinstance(blocks, list)
        blocks[first], blocks[second] = blocks[second], blocks[first]

    return change


OPENAI, ANTHROPIC, GEMINI, OLLAMA = HISTORIES
BROKEN: list[tuple[Dialect, Change, str]] = [
    (OPENAI, drop(3), "have no result"),
    (OPENAI, drop(2), "answers no call"),
    (OPENAI, put(3, "tool_call_id", "call_9"), "answers no call"),
    (OPENAI, put(3, "tool_call_id", "call_1"), "answers no call"),
    (OPENAI, put(2, "tool_calls.1.id", "call_1"), "share an id"),
    (OPENAI, put(2, "tool_calls.0.id", ""), "empty"),
    (OPENAI, put(2, "tool_calls.0.id", "x" * 65), "too long"),
    (OPENAI, put(2, "tool_calls.0.function.arguments", "{"), "no JSON object"),
    (OPENAI, put(2, "tool_calls.0.function.arguments", {}), "no JSON object"),
    (OPENAI, put(2, "tool_calls.0.function.name", "a b"), "no name"),
    (OPENAI, put(2, "tool_calls.0.thoughtSignature", "AAAA"), "not of this dialect"),
    (OPENAI, put(5, "content", ""), "says nothing"),
    (OPENAI, put(5, "content", "signed-by-there"), "signature of there"),
    (OPENAI, put(6, "role", "model"), "unknown"),
    (ANTHROPIC, drop(1), "follow each other"),
    (ANTHROPIC, drop(2), "have no result"),
    (ANTHROPIC, put(2, "content.0.tool_use_id", "toolu_2"), "answers no call"),
    (ANTHROPIC, swap(2, 0, 1), "behind something else"),
    (ANTHROPIC, put(1, "content.1.id", "functions.read:0"), "has not the form"),
    (ANTHROPIC, put(1, "content.1.input", "{}"), "no object"),
    (ANTHROPIC, put(1, "content.0.signature", ""), "not signed by here"),
    (ANTHROPIC, put(1, "content.0.signature", "signed-by-there"), "signature of there"),
    (ANTHROPIC, put(2, "content.1.text", "  "), "blank"),
    (ANTHROPIC, put(2, "content", []), "empty"),
    (GEMINI, drop(1), "follows"),
    (GEMINI, drop(2), "have no result"),
    (GEMINI, put(2, "parts.0.functionResponse.name", "write"), "answers 'read'"),
    (GEMINI, put(2, "parts.0.functionResponse.id", "f2"), "answers 'f1'"),
    (GEMINI, put(2, "parts.0.functionResponse.response", "one"), "no object"),
    (GEMINI, put(2, "parts", [{"text": "one"}]), "0 results stand behind 1 calls"),
    (GEMINI, put(1, "parts.0.functionCall.args", "{}"), "no object"),
    (GEMINI, put(1, "parts.0.thoughtSignature", "not base64!"), "not base64"),
    (GEMINI, put(1, "parts.0.thoughtSignature", ""), "not signed"),
    (GEMINI, put(1, "parts.0.thoughtSignature", "signed-by-there"), "signature of there"),
    (OLLAMA, drop(1), "answers no call"),
    (OLLAMA, drop(2), "have no result"),
    (OLLAMA, put(2, "tool_name", "write"), "answers 'read'"),
    (OLLAMA, put(1, "tool_calls.0.function.arguments", "{}"), "no object"),
    (OLLAMA, put(0, "content", [{"type": "text", "text": "Look."}]), "no text"),
]


@pytest.mark.parametrize(
    ("dialect", "change", "said"), BROKEN, ids=[f"{d.value}: {s}" for d, _, s in BROKEN]
)
def test_each_thing_that_vendors_refuse_is_found(
    dialect: Dialect, change: Change, said: str
) -> None:
    field, make = HISTORIES[dialect]
    turns = make()
    change(turns)
    found = problems({field: turns}, dialect, signed_calls=True)
    assert any(said in each for each in found), found


def test_ids_that_were_used_in_an_earlier_turn_are_found() -> None:
    turns = [*anthropic(), *anthropic()[1:]]
    found = problems({"messages": turns}, Dialect.ANTHROPIC)
    assert any("was used before" in each for each in found), found


def test_a_vendor_may_be_stricter_with_ids_than_its_dialect() -> None:
    nine = re.compile(r"[a-zA-Z0-9]{9}")
    found = problems({"messages": openai()}, Dialect.OPENAI_CHAT, id_form=nine)
    assert any("has not the form" in each for each in found), found


def test_calls_of_finished_turns_need_no_signature() -> None:
    turns = gemini()
    put(1, "parts.0.thoughtSignature", "")(turns)
    turns += [
        {"role": "model", "parts": [{"text": "Seen."}]},
        {"role": "user", "parts": [{"text": "Thanks."}]},
    ]
    assert problems({"contents": turns}, Dialect.GEMINI, signed_calls=True) == []


def test_what_is_no_json_is_a_problem() -> None:
    found = problems_in(b"{", Dialect.OLLAMA, provider="here", issuer=issuer)
    assert found == ["The body is no JSON."]
