"""What simulated models say."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.support.chat import make_request
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, Message, Role, TextPart, ToolSpec
from ymera.core.errors import ConfigError
from ymera.testing import ScriptLine, obliging_echo, script_answers

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["C", "F"]},
        "where": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
        "maybe": {"type": "string"},
    },
    "required": ["city", "days", "unit", "where"],
}
WEATHER = ToolSpec(name="weather", parameters=msgspec.Raw(json.dumps(SCHEMA).encode()))


def asked(prompt: str, **fields: object) -> ChatRequest:
    request = make_request()
    message = Message(role=Role.USER, content=(TextPart(prompt),))
    return msgspec.structs.replace(request, messages=(message,), **fields)


def said(answers: object, prompt: str, model: str = "m") -> ChatAnswer:
    assert callable(answers)
    answer = answers(asked(prompt, model=model))
    assert isinstance(answer, ChatAnswer)
    return answer


@pytest.mark.proves("simulator.answers")
@pytest.mark.parametrize("fields", [{"tool_choice": "required"}, {"tool_choice": "weather"}, {}])
def test_a_tool_that_is_demanded_is_called_with_arguments_that_fit(
    fields: dict[str, object],
) -> None:
    answer = obliging_echo(asked("Please call weather now.", tools=(WEATHER,), **fields))

    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert json.loads(answer.tool_calls[0].arguments) == {
        "city": "sample",
        "days": 1,
        "unit": "C",
        "where": {"lat": 1.5},
    }


@pytest.mark.proves("simulator.answers")
def test_tools_that_nobody_demands_are_not_called() -> None:
    assert obliging_echo(asked("What is up?", tools=(WEATHER,))).tool_calls == ()
    request = asked("Call weather.", tools=(WEATHER,), tool_choice="none")
    assert obliging_echo(request).tool_calls == ()
    result = Message(role=Role.TOOL, content=(TextPart("18 C"),), tool_call_id="call_1")
    after = msgspec.structs.replace(
        asked("Call weather.", tools=(WEATHER,), tool_choice="required"),
        messages=(*asked("Call weather.").messages, result),
    )
    assert obliging_echo(after).text == "You asked: Call weather."


@pytest.mark.proves("simulator.answers")
def test_a_script_answers_what_it_matches_and_echoes_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(
        '{"match": "capital of france", "answer": "Paris.", "reasoning": "Easy.", "times": 1}\n'
        '{"match": "weather", "model": "small", "tool_calls": '
        '[{"name": "weather", "arguments": {"city": "Bonn"}}], "output_tokens": 9}\n'
    )
    answers = script_answers(file)

    first = said(answers, "What is the capital of France?")
    assert (first.text, first.reasoning, first.finish_reason) == ("Paris.", "Easy.", "stop")
    assert said(answers, "The capital of France?").text == "You asked: The capital of France?"
    call = said(answers, "The weather?", "small")
    assert (call.tool_calls[0].name, call.tool_calls[0].arguments) == (
        "weather",
        '{"city": "Bonn"}',
    )
    assert call.finish_reason is FinishReason.TOOL_CALLS
    assert call.usage is not None
    assert call.usage.output_tokens == 9
    assert said(answers, "The weather?", "large").tool_calls == ()


def test_a_script_that_is_no_script_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text('{"mach": "x"}')
    with pytest.raises(ConfigError, match="mach"):
        script_answers(file)
    with pytest.raises(ConfigError, match="regular expression"):
        script_answers([ScriptLine(match="(")])
