"""Structured output: checked, repaired, or the next candidate."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engine import Stage, ask, model
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    TextDelta,
    UsageReport,
)
from ymera.core.chat import ChatRequest, ImagePart, ResponseFormat, ToolCall
from ymera.core.errors import ProviderError, ProviderErrorKind, ProviderErrorScope, Unsupported
from ymera.core.model import Model
from ymera.core.ports import Deadlines
from ymera.core.route import RoutePlan
from ymera.core.usage import Usage
from ymera.engine.structured import REPAIRED, checked, fitted
from ymera.testing.scripted import ScriptedProvider

SCHEMA = msgspec.Raw(
    b'{"type":"object","properties":{"n":{"type":"integer"},"s":{"type":"string"}},"required":["n"]}'
)
PERSON = ResponseFormat(schema=SCHEMA)
GOOD = '{"n": 1, "s": "one two three"}'
BROKEN = "```json\n{'n': 1, 's': \"one two three\",}\n```"
WRONG = '{"n": "one"}'
PROSE = "Sorry, I cannot help with {that} today, it is [not] my business."


def structured(*, stream: bool = False, wanted: ResponseFormat = PERSON) -> ChatRequest:
    return msgspec.structs.replace(ask(stream=stream), response_format=wanted)


def says(*replies: object) -> ScriptedProvider:
    return ScriptedProvider(answers=list(replies))  # type: ignore[arg-type]


@dataclass
class Native(Stage):
    """Its models are known to keep to a schema."""

    def plan(self) -> RoutePlan:
        plan = super().plan()
        sure = tuple(
            msgspec.structs.replace(
                each, model=msgspec.structs.replace(each.model, json_schema=True)
            )
            for each in plan.candidates
        )
        return msgspec.structs.replace(plan, candidates=sure)


async def read(stage: Stage, request: ChatRequest) -> tuple[list[str], str | None]:
    """Return the pieces of text that left, and the error that ended them."""
    pieces: list[str] = []
    error: str | None = None
    try:
        reply = await stage.gateway().handle(request, LOCAL_OWNER)
        async for event in reply.events():
            pieces += [str(event)] * bool(str(event))
    except ProviderError as failed:
        error = failed.kind
    await asyncio.sleep(0)
    return pieces, error


@pytest.mark.proves("engine.structured")
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_fits_leaves_as_it_was_written(stream: bool) -> None:
    stage = Stage({"a": says(GOOD)})
    pieces, error = await read(stage, structured(stream=stream))
    assert ("".join(pieces), error) == (GOOD, None)
    assert stage.records.seen[0].attempts[0].losses == ()


@pytest.mark.proves("engine.structured")
@pytest.mark.parametrize("stream", [False, True])
async def test_broken_json_is_repaired_and_the_attempt_says_so(stream: bool) -> None:
    stage = Stage({"a": says(BROKEN), "b": says(GOOD)})
    pieces, error = await read(stage, structured(stream=stream))

    assert error is None
    assert json.loads("".join(pieces)) == {"n": 1, "s": "one two three"}
    [attempt] = stage.records.seen[0].attempts
    assert (attempt.model_id, attempt.losses) == ("a/m", (REPAIRED,))
    assert stage.records.seen[0].usage is not None


@pytest.mark.proves("engine.structured")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("bad", [WRONG, PROSE, '{"n": ', "[1]", '{"s": "no n"}', "null"])
async def test_an_answer_that_does_not_fit_goes_to_the_next_and_nothing_of_it_leaves(
    bad: str, stream: bool
) -> None:
    stage = Stage({"a": says(bad), "b": says(GOOD)})
    pieces, error = await read(stage, structured(stream=stream))

    assert ("".join(pieces), error) == (GOOD, None)
    assert [(each.model_id, each.error_code) for each in stage.records.seen[0].attempts] == [
        ("a/m", "bad_answer"),
        ("b/m", None),
    ]


@pytest.mark.proves("engine.structured")
async def test_an_answer_that_does_not_fit_is_an_error_where_nobody_else_can_be_asked() -> None:
    stage = Stage({"a": says(WRONG)})
    with pytest.raises(ProviderError) as caught:
        await stage.answer(structured())
    assert caught.value.kind is ProviderErrorKind.BAD_ANSWER
    assert caught.value.scope is ProviderErrorScope.REQUEST
    assert "schema" in caught.value.message
    assert caught.value.hint


@pytest.mark.proves("engine.structured")
async def test_a_streamed_answer_is_held_back_until_it_is_checked() -> None:
    written: list[int] = []

    async def note(number: int) -> None:
        written.append(number)

    provider = ScriptedProvider(answers=[GOOD], delay=note)
    reply = await Stage({"a": provider}).gateway().handle(structured(stream=True), LOCAL_OWNER)

    assert len(written) > 4  # all of it was there before the first piece could leave
    events = reply.events()
    assert str(await anext(events))
    await events.aclose()


@pytest.mark.proves("engine.structured")
async def test_a_model_that_keeps_to_schemas_streams() -> None:
    written: list[int] = []

    async def note(number: int) -> None:
        written.append(number)

    provider = ScriptedProvider(answers=[GOOD], delay=note)
    stage = Native({"a": provider})
    reply = await stage.gateway().handle(structured(stream=True), LOCAL_OWNER)
    assert written == [0]
    assert "".join([str(event) async for event in reply.events()]) == GOOD


@pytest.mark.proves("engine.structured")
@pytest.mark.parametrize("bad", [WRONG, BROKEN])
async def test_a_bad_end_of_a_stream_that_has_left_is_an_error(bad: str) -> None:
    stage = Native({"a": says(bad), "b": says(GOOD)})
    pieces, error = await read(stage, structured(stream=True))

    assert "".join(pieces) == bad
    assert error == "bad_answer"
    assert stage.records.seen[0].error_code is not None


@pytest.mark.parametrize("stream", [False, True])
async def test_any_object_will_do_without_a_schema(stream: bool) -> None:
    anything = ResponseFormat()
    stage = Stage({"a": says("[1, 2]"), "b": says("42"), "c": says('{"any": "thing"}')})
    pieces, error = await read(stage, structured(stream=stream, wanted=anything))
    assert ("".join(pieces), error) == ('{"any": "thing"}', None)


@pytest.mark.proves("engine.structured")
async def test_a_cut_answer_is_not_completed_with_what_nobody_wrote() -> None:
    cut = ChatAnswer(text='{"n": 1, "s": "one t', finish_reason=FinishReason.LENGTH)
    stage = Stage({"a": says(cut), "b": says(GOOD)})
    assert await stage.answer(structured()) == GOOD
    pieces, error = await read(Native({"a": says(cut)}), structured(stream=True))
    assert ("".join(pieces), error) == (cut.text, None)  # its finish says that it was cut


@pytest.mark.parametrize(
    "answer",
    [
        ChatAnswer(text="I will not.", finish_reason=FinishReason.CONTENT_FILTER),
        ChatAnswer(
            text="Let me see.",
            finish_reason=FinishReason.TOOL_CALLS,
            tool_calls=(ToolCall(id="a", name="f", arguments="{}"),),
        ),
    ],
)
async def test_only_an_answer_that_is_one_has_to_be_json(answer: ChatAnswer) -> None:
    assert await Stage({"a": says(answer)}).answer(structured()) == answer.text


@pytest.mark.proves("engine.structured")
@pytest.mark.parametrize("ending", ["misfit", "cut"])
async def test_what_a_useless_answer_used_is_known_all_the_same(ending: str) -> None:
    usage = UsageReport(Usage(input_tokens=5, output_tokens=7))
    cut = ProviderError("It broke.", kind=ProviderErrorKind.TRANSIENT)

    async def upstream() -> AsyncIterator[Sequence[ChatEvent]]:
        yield (TextDelta(WRONG),)
        yield (usage,)
        if ending == "cut":
            raise cut
        yield (Finish(FinishReason.STOP),)

    events = checked(upstream(), structured(), model("a"))
    assert await anext(events) == (usage,)
    with pytest.raises(ProviderError):
        await anext(events)


async def test_long_answers_are_checked_without_holding_others_up() -> None:
    text = json.dumps({"n": 1, "s": "long " * 2000})
    assert await Stage({"a": says(text)}).answer(structured()) == text
    mended = await Stage({"a": says(text[:-1] + ",}")}).answer(structured())
    assert json.loads(mended) == json.loads(text)


@pytest.mark.proves("engine.structured")
def test_a_request_without_a_format_costs_nothing() -> None:
    async def none() -> AsyncIterator[Sequence[ChatEvent]]:
        return
        yield  # makes this a generator

    events = none()
    assert checked(events, ask(), model("a")) is events


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Here it is:\n```json\n{"n": 1}\n```\nHope it helps!', {"n": 1}),
        ('{"n": 1,}', {"n": 1}),
        ("{n: 1, \"s\": 'x'}", {"n": 1, "s": "x"}),
        ('{"n": 1, "s": "say "hi" now"}', {"n": 1, "s": 'say "hi" now'}),
        ('{"n": 1 /* one */}', {"n": 1}),
        ('{"n": 1, "s": "open', {"n": 1, "s": "open"}),
    ],
)
def test_what_can_be_mended(text: str, value: object) -> None:
    mended, repaired = fitted(text, PERSON)
    assert repaired
    assert json.loads(mended) == value


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "",
        '{"a": ' * 5000,
        "{" * 20_000,
        '{"n": 1, ' + '"x" ' * 20_000,
        'First {"n": 1} and then {"n": 2}, or rather all of the other numbers that there are: {',
    ],
)
def test_what_cannot_be_mended_is_refused(text: str) -> None:
    with pytest.raises(ProviderError):
        fitted(text, PERSON)


@pytest.mark.parametrize("schema", [b'{"type": 5}', b'{"$ref": "https://other.test/a"}', b"[]"])
def test_a_schema_that_is_none_still_wants_json(schema: bytes) -> None:
    wanted = ResponseFormat(schema=msgspec.Raw(schema))
    assert fitted('{"a": 1}', wanted) == ('{"a": 1}', False)
    with pytest.raises(ProviderError):
        fitted("no", wanted)


def test_a_schemas_regular_expressions_are_not_run() -> None:
    endless = b'{"type":"object","properties":{"a":{"type":"string","pattern":"^(a+)+$"}}}'
    text = json.dumps({"a": "a" * 40 + "!"})
    assert fitted(text, ResponseFormat(schema=msgspec.Raw(endless))) == (text, False)


@given(st.text(max_size=80), st.booleans())
def test_whatever_is_written_what_leaves_fits(text: str, cut: bool) -> None:
    for wanted in (PERSON, ResponseFormat()):
        with contextlib.suppress(ProviderError):
            fits, _ = fitted(text, wanted, cut=cut)
            assert isinstance(json.loads(fits), dict)


@pytest.mark.proves("engine.fallback")
async def test_a_model_that_cannot_be_told_what_was_asked_is_passed_over() -> None:
    class TakesNoImages(ScriptedProvider):
        async def stream(
            self, request: ChatRequest, model: Model, deadlines: Deadlines
        ) -> AsyncGenerator[Sequence[ChatEvent], None]:
            if any(isinstance(part, ImagePart) for part in request.messages[0].content):
                raise Unsupported("No images.", hint="x", param="messages")
            async for batch in super().stream(request, model, deadlines):
                yield batch

    picture = msgspec.structs.replace(
        ask(),
        messages=(
            msgspec.structs.replace(ask().messages[0], content=(ImagePart(url="http://a.test/b"),)),
        ),
    )
    stage = Stage({"a": TakesNoImages(), "b": says("A cat.")})
    assert await stage.answer(picture) == "A cat."
    with pytest.raises(Unsupported):
        await Stage({"a": TakesNoImages()}).answer(picture)
