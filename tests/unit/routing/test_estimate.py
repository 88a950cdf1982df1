from __future__ import annotations

import time

import msgspec
import pytest

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    ResponseFormat,
    Role,
    TextPart,
    ToolCall,
    ToolSpec,
)
from ymera.core.task import TaskComplexity, TaskType
from ymera.routing.estimate import default_output_tokens, input_tokens, text_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("a" * 36, 10),
        ("é" * 20, 10),
        ("é" * 20 + "a" * 36, 20),
        ("日" * 13, 10),
        ("🙂" * 13, 20),
        ("\ud800", 1),
    ],
)
def test_tokens_are_estimated_by_the_documented_characters_per_token(
    text: str, tokens: int
) -> None:
    assert text_tokens(text) == tokens


def test_a_request_counts_its_messages_images_tools_and_schema() -> None:
    text = Message(role=Role.USER, content=(TextPart("a" * 36),))
    image = Message(role=Role.USER, content=(ImagePart(url="data:,"),))
    call = ToolCall(id="1", name="f", arguments="a" * 36)
    called = Message(role=Role.ASSISTANT, tool_calls=(call,))
    tool = ToolSpec(name="f", description="a" * 36, parameters=msgspec.Raw(b"{" + b" " * 28 + b"}"))
    shape = ResponseFormat(schema=msgspec.Raw(b"{ }"))

    def count(*messages: Message, **rest: object) -> int:
        plain = ChatRequest(model="auto", messages=messages)
        return input_tokens(msgspec.structs.replace(plain, **rest))

    assert count(text) == 16
    assert count(text, image) == 16 + 1_006
    assert count(text, called) == 16 + 36
    assert count(text, tools=(tool,)) == 16 + 40
    assert count(text, response_format=shape) == 17
    assert count(text, response_format=ResponseFormat()) == 16
    assert count() == 1


def test_ten_megabytes_are_estimated_in_well_under_a_second() -> None:
    text = "naïve 日本 🙂 text " * 600_000

    begin = time.process_time()
    text_tokens(text)

    assert time.process_time() - begin < 0.5


def test_an_answer_is_expected_to_be_longer_for_harder_tasks() -> None:
    def usual(complexity: TaskComplexity) -> int:
        return default_output_tokens(TaskType.CODE_GENERATION, complexity, 10)

    assert [usual(each) for each in TaskComplexity] == [500, 1_000, 2_000]


def test_a_translation_is_expected_to_be_as_long_as_its_prompt() -> None:
    assert default_output_tokens(TaskType.TRANSLATION, TaskComplexity.SIMPLE, 9_000) == 9_000
