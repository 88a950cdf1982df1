"""The same question of the same caller is answered once; what must not be kept is not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from tests.support.engine import FakeTime, Stage, ask, model
from ymera.core.access import LOCAL_OWNER, Principal, PrincipalKind
from ymera.core.answer import (
    ChatAnswer,
    Finish,
    FinishReason,
    UsageReport,
)
from ymera.core.chat import (
    ChatRequest,
    RequestHints,
    Sampling,
    ToolCall,
    ToolSpec,
)
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.usage import Usage
from ymera.engine.cache import CachedAnswer, ResponseCache, cache_key
from ymera.testing.scripted import ScriptedAnswer, ScriptedProvider

MODEL = model("cloud")
USAGE = Usage(input_tokens=3, output_tokens=4)


def held(text: str = "hello", **changes: object) -> CachedAnswer:
    answer = ChatAnswer(text=text, finish_reason=FinishReason.STOP)
    answer = msgspec.structs.replace(answer, **changes)
    return CachedAnswer(answer=answer, model=MODEL, plan=None)


def caching(provider: ScriptedProvider, time: FakeTime | None = None, ttl_s: float = 60) -> Stage:
    time = time or FakeTime()
    cache = ResponseCache(ttl_s, monotonic=time.clock().monotonic)
    return Stage({"cloud": provider}, time=time, cache=cache)


@pytest.mark.proves("cache.exact")
async def test_an_equal_question_is_answered_from_memory_at_no_cost() -> None:
    provider = ScriptedProvider(answers=["first", "second"])
    stage = caching(provider)
    assert [await stage.answer(), await stage.answer()] == ["first", "first"]
    assert len(provider.requests) == 1
    asked, recalled = stage.records.seen
    assert (asked.cached, len(asked.attempts)) == (False, 1)
    assert (recalled.cached, recalled.attempts, recalled.model_id) == (True, (), "cloud/m")
    assert (recalled.cost_usd, recalled.usage) == (Decimal(0), Usage())


@pytest.mark.proves("cache.exact")
async def test_a_streamed_answer_serves_a_plain_question_and_the_reverse() -> None:
    said = ChatAnswer(text="one two", finish_reason=FinishReason.STOP, usage=USAGE)
    provider = ScriptedProvider(answers=[said])
    stage = caching(provider)
    await stage.answer(ask(stream=True))
    reply = await stage.gateway().handle(ask(stream=True), LOCAL_OWNER)
    events = [event async for event in reply.events()]
    assert "".join(map(str, events)) == "one two"
    assert events[-2:] == [UsageReport(USAGE), Finish(FinishReason.STOP)]
    assert await stage.answer(ask()) == "one two"
    assert len(provider.requests) == 1


@pytest.mark.proves("cache.expires")
async def test_an_answer_is_not_used_from_its_age_limit_on() -> None:
    time = FakeTime()
    stage = caching(ScriptedProvider(answers=["old", "new"]), time, ttl_s=10)
    assert await stage.answer() == "old"
    time.seconds = 9.9
    assert await stage.answer() == "old"
    time.seconds = 10
    assert await stage.answer() == "new"


@pytest.mark.proves("cache.exact")
async def test_callers_do_not_see_each_others_answers() -> None:
    stage = caching(ScriptedProvider(answers=["for the owner", "for ann"]))
    ann = Principal(id="ann", kind=PrincipalKind.USER)
    assert await stage.answer() == "for the owner"
    assert await stage.answer(ask(), ann) == "for ann"


DIFFERENT: dict[str, Callable[[ChatRequest], ChatRequest]] = {
    "another prompt": lambda request: ask("Say goodbye"),
    "another model": lambda request: msgspec.structs.replace(request, model="best"),
    "another bound": lambda request: msgspec.structs.replace(
        request, sampling=Sampling(max_tokens=5)
    ),
    "another seed": lambda request: msgspec.structs.replace(request, sampling=Sampling(seed=5)),
    "unknown fields": lambda request: msgspec.structs.replace(
        request, extra={"top_k": msgspec.Raw(b"1")}
    ),
}


@pytest.mark.proves("cache.exact")
@pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_may_change_the_answer_is_part_of_the_key(
    change: Callable[[ChatRequest], ChatRequest],
) -> None:
    assert cache_key(change(ask()), LOCAL_OWNER) != cache_key(ask(), LOCAL_OWNER)
    assert cache_key(ask(), LOCAL_OWNER) == cache_key(ask(stream=True), LOCAL_OWNER)


NEVER: dict[str, ChatRequest] = {
    "private": ask(hints=RequestHints(private=True)),
    "not to be stored": ask(hints=RequestHints(no_store=True)),
    "fresh": ask(hints=RequestHints(fresh=True)),
    "with tools": msgspec.structs.replace(ask(), tools=(ToolSpec(name="send"),)),
    "drawn by chance": msgspec.structs.replace(ask(), sampling=Sampling(temperature=0.7)),
}


@pytest.mark.proves("cache.never")
@pytest.mark.parametrize("request_", NEVER.values(), ids=NEVER.keys())
async def test_some_requests_are_never_cached(request_: ChatRequest) -> None:
    stage = caching(ScriptedProvider(answers=["first", "second"]))
    assert [await stage.answer(request_), await stage.answer(request_)] == ["first", "second"]


@pytest.mark.proves("cache.never")
async def test_a_failed_answer_is_not_kept() -> None:
    broken = ScriptedAnswer(
        answer=ChatAnswer(text="half an answer", finish_reason=FinishReason.STOP),
        error=ProviderError("cut", kind=ProviderErrorKind.TRANSIENT),
        deltas_before_error=1,
    )
    stage = caching(ScriptedProvider(answers=[broken, "whole"]))
    with pytest.raises(ProviderError):
        await stage.answer(ask(stream=True))
    assert await stage.answer() == "whole"


@pytest.mark.proves("cache.never")
@pytest.mark.parametrize(
    "changes",
    [
        {"finish_reason": FinishReason.LENGTH},
        {"finish_reason": FinishReason.CONTENT_FILTER},
        {"text": ""},
        {"tool_calls": (ToolCall(id="1", name="send", arguments="{}"),)},
    ],
    ids=str,
)
def test_an_answer_that_is_not_whole_is_not_taken(changes: dict[str, object]) -> None:
    cache = ResponseCache(60, monotonic=lambda: 0.0)
    cache.put(b"key", held(**changes))  # type: ignore[arg-type]
    assert cache.get(b"key") is None


@pytest.mark.proves("cache.bounded")
def test_the_least_recently_used_answer_leaves_first() -> None:
    cache = ResponseCache(60, monotonic=lambda: 0.0, max_entries=2)
    cache.put(b"a", held("a"))
    cache.put(b"b", held("b"))
    assert cache.get(b"a") is not None
    cache.put(b"c", held("c"))
    assert [cache.get(key) is not None for key in (b"a", b"b", b"c")] == [True, False, True]


@pytest.mark.proves("cache.bounded")
def test_the_text_held_is_bounded_and_one_answer_cannot_fill_it() -> None:
    cache = ResponseCache(60, monotonic=lambda: 0.0, max_chars=100)
    cache.put(b"long", held("x" * 11))
    assert cache.get(b"long") is None
    keys = [bytes([number]) for number in range(30)]
    for key in keys:
        cache.put(key, held("x" * 10))
    assert sum(cache.get(key) is not None for key in keys) == 10
    cache.put(keys[-1], held("y" * 10))
    assert sum(cache.get(key) is not None for key in keys) == 10
