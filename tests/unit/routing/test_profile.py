from __future__ import annotations

import msgspec
import pytest

from tests.support.routing import shipped
from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    RequestHints,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    ToolSpec,
)
from ymera.core.task import Needs, TaskComplexity, TaskProfile, TaskType
from ymera.routing.profile import profile

MEDIUM = TaskComplexity.MEDIUM


def ask(text: str = "Write a SQL query for monthly revenue", **fields: object) -> TaskProfile:
    message = Message(role=Role.USER, content=(TextPart(text),))
    request = ChatRequest(model="auto", messages=(message,))
    return profile(msgspec.structs.replace(request, **fields), shipped(), MEDIUM)


@pytest.mark.proves("routing.classify")
def test_type_and_complexity_are_inferred_from_the_last_user_turn() -> None:
    answer = ask()

    assert (answer.type, answer.complexity, answer.inferred) == (
        TaskType.DATABASE_QUERY,
        MEDIUM,
        True,
    )
    assert 0.5 < answer.type_probability < 1


@pytest.mark.proves("routing.classify")
def test_what_the_caller_says_wins() -> None:
    hints = RequestHints(task_type=TaskType.RESEARCH, complexity=TaskComplexity.COMPLEX)

    assert ask("hi", hints=hints, sampling=Sampling(max_tokens=77)) == TaskProfile(
        type=TaskType.RESEARCH,
        complexity=TaskComplexity.COMPLEX,
        est_input_tokens=7,
        est_output_tokens=77,
        output_bounded=True,
    )


def test_a_given_type_still_has_its_complexity_inferred() -> None:
    hints = RequestHints(task_type=TaskType.CODE_ANALYSIS)

    assert ask("Codebase analysis", hints=hints).complexity is TaskComplexity.COMPLEX


def test_the_default_complexity_holds_where_the_prompt_shows_none() -> None:
    message = Message(role=Role.USER, content=(TextPart("REST API with CRUD"),))
    request = ChatRequest(model="auto", messages=(message,))

    for default in TaskComplexity:
        assert profile(request, shipped(), default).complexity is default


def test_an_image_makes_it_vision_and_needs_it() -> None:
    image = Message(role=Role.USER, content=(TextPart("hm?"), ImagePart(url="data:,")))
    answer = ask(messages=(image,))

    assert (answer.type, answer.needs, answer.inferred) == (
        TaskType.VISION,
        Needs(vision=True),
        True,
    )


def test_offered_tools_make_it_tool_use_and_are_needed() -> None:
    answer = ask(tools=(ToolSpec(name="f"),))

    assert (answer.type, answer.needs) == (TaskType.TOOL_USE, Needs(tools=True))


def test_tools_the_model_may_not_call_are_not_needed() -> None:
    answer = ask(tools=(ToolSpec(name="f"),), tool_choice="none")

    assert (answer.type, answer.needs) == (TaskType.DATABASE_QUERY, Needs())


def test_a_schema_and_privacy_are_needs() -> None:
    shape = ResponseFormat(schema=msgspec.Raw(b"{}"))

    assert ask(response_format=shape, hints=RequestHints(private=True)).needs == Needs(
        json_schema=True, private=True
    )
    assert ask(response_format=ResponseFormat()).needs == Needs()
