"""Answers pass the output guard on their way out, streamed or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.engine import FakeTime, Stage, ask
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import (
    ChatAnswer,
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.engine.cache import ResponseCache
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider


class NoSecrets:
    """Holds back one word and redacts it when it is `secret`."""

    def screen(self, report: Callable[[str], None]) -> Screen:
        return Screen(report)

    def screen_whole(self, text: str, report: Callable[[str], None]) -> str:
        screen = Screen(report)
        return screen.feed(text) + screen.end()


class Screen:
    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._held = ""

    def feed(self, text: str) -> str:
        *ready, self._held = (self._held + text).split(" ")
        return "".join(f"{self._shown(word)} " for word in ready)

    def end(self) -> str:
        return self._shown(self._held)

    def _shown(self, word: str) -> str:
        if word != "secret":
            return word
        self._report("secret.word")
        return "[redacted]"


def guarded(provider: ScriptedProvider, cache: ResponseCache | None = None) -> Stage:
    return Stage({"cloud": provider}, output_guard=NoSecrets(), store_text=True, cache=cache)


@pytest.mark.proves("gateway.output-guard")
async def test_a_plain_answer_is_redacted_and_the_record_names_the_finding() -> None:
    stage = guarded(ScriptedProvider(answers=["the secret is out"]))
    assert await stage.answer() == "the [redacted] is out"
    (record,) = stage.records.seen
    assert (record.findings, record.answer) == (("secret.word",), "the [redacted] is out")


@pytest.mark.proves("gateway.output-guard")
async def test_a_streamed_answer_is_redacted_across_its_pieces() -> None:
    pieces: list[ChatEvent] = [
        TextDelta("the se"),
        TextDelta("cret"),
        TextDelta(" is"),
        Finish(FinishReason.STOP),
    ]
    stage = guarded(ScriptedProvider(answers=[pieces]))
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    events = [event async for event in reply.events()]
    assert "".join(map(str, events)) == "the [redacted] is"
    assert events[0] == TextDelta("the ")
    assert events[-1] == Finish(FinishReason.STOP)


@pytest.mark.proves("gateway.output-guard")
async def test_reasoning_is_screened_apart_and_what_is_held_back_keeps_its_place() -> None:
    pieces: list[ChatEvent] = [
        ReasoningDelta("a secret"),
        TextDelta("secret"),
        ToolCallDelta(index=0, id="1", name="send"),
        Finish(FinishReason.TOOL_CALLS),
    ]
    stage = guarded(ScriptedProvider(answers=[pieces]))
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    assert [event async for event in reply.events()] == [
        ReasoningDelta("a "),
        ReasoningDelta("[redacted]"),
        TextDelta("[redacted]"),
        ToolCallDelta(index=0, id="1", name="send"),
        Finish(FinishReason.TOOL_CALLS),
    ]


@pytest.mark.proves("gateway.output-guard")
async def test_what_was_held_back_when_the_upstream_broke_does_not_leave() -> None:
    broken = ScriptedAnswer(
        answer=ChatAnswer(text="an open sec", finish_reason=FinishReason.STOP),
        error=ProviderError("cut", kind=ProviderErrorKind.TRANSIENT),
        deltas_before_error=3,
    )
    stage = guarded(ScriptedProvider(answers=[broken]))
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    seen: list[str] = []

    async def read() -> None:
        async for event in reply.events():
            seen.append(str(event))  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(ProviderError):
        await read()
    assert "".join(seen) == "an open "


@pytest.mark.proves("gateway.output-guard")
async def test_a_cached_answer_is_the_redacted_one() -> None:
    cache = ResponseCache(60, monotonic=FakeTime().clock().monotonic)
    stage = guarded(ScriptedProvider(answers=["a secret"]), cache=cache)
    assert [await stage.answer(), await stage.answer()] == ["a [redacted]", "a [redacted]"]
    assert stage.records.seen[1].cached


@pytest.mark.proves("gateway.output-guard", "wire.anthropic-signatures")
@pytest.mark.parametrize(
    ("word", "seen"),
    [
        ("plan", [ReasoningDelta("a "), ReasoningDelta("plan", signature="sig")]),
        ("secret", [ReasoningDelta("a "), ReasoningDelta("[redacted]")]),
    ],
    ids=["as it was", "redacted"],
)
async def test_a_signature_leaves_with_what_it_signs_or_not_at_all(
    word: str, seen: list[ChatEvent]
) -> None:
    said: list[ChatEvent] = [
        ReasoningDelta(f"a {word}"),
        ReasoningDelta("", signature="sig"),
        ReasoningDelta("", signature="hidden", redacted=True),
        TextDelta("done"),
        Finish(FinishReason.STOP),
    ]
    stage = guarded(ScriptedProvider(answers=[said]))
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    events = [event async for event in reply.events()]
    hidden = ReasoningDelta("", signature="hidden", redacted=True)
    assert events == [*seen, hidden, TextDelta("done"), Finish(FinishReason.STOP)]
