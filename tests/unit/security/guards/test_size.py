"""The size guard."""

from __future__ import annotations

import pytest

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    Part,
    Role,
    TextPart,
    ToolCall,
)
from ymera.core.errors import InvalidRequest, TooLong
from ymera.security.guards.size import SizeGuard


def request(*messages: Message) -> ChatRequest:
    return ChatRequest(model="auto", messages=messages)


def says(*parts: str | Part, role: Role = Role.USER) -> Message:
    content = tuple(TextPart(part) if isinstance(part, str) else part for part in parts)
    return Message(role=role, content=content)


IMAGE = ImagePart(url="data:image/png;base64," + "A" * 1_000)


@pytest.mark.proves("engine.size-limit", "guards.size")
def test_one_character_too_many_is_refused_with_both_numbers() -> None:
    with pytest.raises(TooLong) as caught:
        SizeGuard(100_000).check(request(says("x" * 60_000), says("y" * 40_000, "z")), print)

    assert caught.value.message == "The prompt has 100,001 characters; the limit is 100,000."
    assert caught.value.hint == "Shorten it, or raise security.max_input_length."


@pytest.mark.proves("guards.size")
def test_text_of_exactly_the_limit_passes_unchanged_and_images_do_not_count() -> None:
    fits = request(says("x" * 6, role=Role.SYSTEM), says("y" * 4, IMAGE))
    assert SizeGuard(10).check(fits, print) is fits


@pytest.mark.proves("guards.empty-prompt")
@pytest.mark.parametrize(
    "messages",
    [
        (),
        (says(),),
        (says(""),),
        (says(" \n\t", "\u2003"),),
        (says("a question", role=Role.SYSTEM), says("")),
        (says("hi"), says(role=Role.ASSISTANT)),
    ],
)
def test_a_last_message_that_says_nothing_is_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(InvalidRequest, match=r"^The prompt is empty\.$") as caught:
        SizeGuard(100).check(request(*messages), print)
    assert caught.value.hint


@pytest.mark.proves("guards.empty-prompt")
@pytest.mark.parametrize(
    "messages",
    [
        (says(" ", "x"),),
        (says(IMAGE),),
        (says("hi"), says("The answer is", role=Role.ASSISTANT)),
        (
            says("hi"),
            Message(
                role=Role.ASSISTANT, tool_calls=(ToolCall(id="1", name="now", arguments="{}"),)
            ),
            Message(role=Role.TOOL, tool_call_id="1"),
        ),
    ],
)
def test_text_an_image_or_a_tool_result_is_a_prompt(messages: tuple[Message, ...]) -> None:
    assert SizeGuard(100).check(request(*messages), print).messages == messages
