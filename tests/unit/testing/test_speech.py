"""What a vendor's own ways make of an answer."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.support.chat import make_request
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.testing.speech import Voice, voice_of
from ymera.testing.vendors import Habits, Reasoning, habits_of
from ymera.wire.codec import AnswerHead

USAGE = Usage(input_tokens=2, output_tokens=5, cached_tokens=1, reasoning_tokens=2)
ANSWER = ChatAnswer(
    text="It is 4.", reasoning="Two and two.", finish_reason=FinishReason.STOP, usage=USAGE
)


def voice(habits: Habits) -> Voice:
    made = voice_of(Dialect.OPENAI_CHAT, habits)
    assert made is not None
    return made


def head(*, usage: bool = True) -> AnswerHead:
    request = msgspec.structs.replace(make_request(), include_usage=usage)
    return AnswerHead(id="req_1", created=1, model="m", request=request)


def streamed(habits: Habits, answer: ChatAnswer = ANSWER) -> str:
    return b"".join(piece.data for piece in voice(habits).pieces(answer, head())).decode()


def text_of(stream: str, field: str = "content") -> str:
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    return "".join(delta.get(field, "") for delta in deltas)


@pytest.mark.proves("simulator.vendors")
def test_a_model_that_thinks_aloud_does_so_between_tags() -> None:
    habits = Habits(reasoning=Reasoning.TAGS)
    said = "<think>\nTwo and two.\n</think>\n\nIt is 4."

    whole = json.loads(voice(habits).whole(ANSWER, head()))

    assert whole["choices"][0]["message"]["content"] == said
    assert text_of(streamed(habits)) == said
    assert "reasoning" not in whole["choices"][0]["message"]


@pytest.mark.proves("simulator.vendors")
def test_cloudflare_sends_a_number_as_a_number() -> None:
    four = msgspec.structs.replace(ANSWER, text="4", reasoning="")

    whole = json.loads(voice(habits_of("cloudflare")).whole(four, head()))

    assert whole["choices"][0]["message"]["content"] == 4


@pytest.mark.proves("simulator.vendors")
def test_openrouter_begins_with_a_comment_and_says_the_cost() -> None:
    stream = streamed(habits_of("openrouter"))

    assert stream.startswith(": OPENROUTER PROCESSING\n\n")
    assert text_of(stream, "reasoning") == "Two and two."
    usages = [json.loads(line[6:]).get("usage") for line in stream.splitlines() if "usage" in line]
    assert [usage["cost"] for usage in usages] == [0.0]


@pytest.mark.proves("simulator.vendors")
@pytest.mark.parametrize("provider", ["openai", "groq", "mistral", "openrouter", "cerebras"])
def test_usage_is_the_same_plain_and_streamed(provider: str) -> None:
    habits = habits_of(provider)
    whole = json.loads(voice(habits).whole(ANSWER, head()))["usage"]

    found = []
    for line in streamed(habits).splitlines():
        if line.startswith("data: {"):
            chunk = json.loads(line[6:])
            found += [u for u in (chunk.get("usage"), chunk.get("x_groq", {}).get("usage")) if u]

    assert found
    assert all(usage == whole for usage in found)
    assert whole["prompt_tokens_details"] == {"cached_tokens": 1}
    assert whole["completion_tokens_details"] == {"reasoning_tokens": 2}
