from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from tests.support.engine import FakeTime, model
from tests.support.engine import Stage as Engine
from ymera.app import App
from ymera.config.load import load_settings
from ymera.core.access import LOCAL_OWNER, Principal, PrincipalKind
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, Message, ReasoningPart, Role, TextPart, ToolCall, ToolSpec
from ymera.core.errors import ProviderError, ProviderErrorKind
from ymera.core.usage import Usage
from ymera.engine.conversations import Conversations
from ymera.engine.reply import Reply
from ymera.engine.trace import RequestTrace
from ymera.testing import ScriptedAnswer, ScriptedProvider
from ymera.testing.http import Exchange, LoopbackServer
from ymera.wire import anthropic, openai_chat
from ymera.wire.codec import AnswerHead, CallerDialect

pytestmark = pytest.mark.proves("engine.affinity")

SOMEONE = Principal(id="someone", kind=PrincipalKind.ACCESS_KEY)


def turn(role: Role, text: str) -> Message:
    return Message(role=role, content=(TextPart(text),))


def asked(*texts: str) -> ChatRequest:
    """Return a conversation of these turns, the user's first."""
    roles = [Role.USER, Role.ASSISTANT]
    messages = tuple(turn(roles[n % 2], text) for n, text in enumerate(texts))
    return ChatRequest(model="auto", messages=messages)


FIRST, SECOND = asked("hi"), asked("hi", "hello", "how are you?")


@dataclass
class Memory:
    """Conversations, and a clock that moves when told to."""

    time: FakeTime = field(default_factory=FakeTime)
    max_entries: int = 3

    def __post_init__(self) -> None:
        self.held = Conversations(
            lambda: self.time.seconds, ttl_s=100, max_entries=self.max_entries
        )

    def trace(self, request: ChatRequest, who: Principal = LOCAL_OWNER) -> RequestTrace:
        return RequestTrace(request=request, principal=who, clock=self.time.clock())

    def last(self, request: ChatRequest, who: Principal = LOCAL_OWNER) -> str | None:
        return self.held.last_model(self.trace(request, who))

    def answer(self, request: ChatRequest, provider: str, who: Principal = LOCAL_OWNER) -> None:
        trace = self.trace(request, who)
        self.held.last_model(trace)
        trace.model = model(provider)
        self.held.answered(trace)


def test_a_first_turn_is_remembered_but_has_nothing_to_stay_with() -> None:
    memory = Memory()
    memory.answer(FIRST, "one")
    assert memory.last(FIRST) is None
    assert memory.last(SECOND) == "one/m"
    memory.answer(SECOND, "two")
    assert memory.last(SECOND) == "two/m"


def test_callers_do_not_share_conversations() -> None:
    memory = Memory()
    memory.answer(FIRST, "one")
    assert memory.last(SECOND, SOMEONE) is None


def test_an_idle_conversation_is_forgotten() -> None:
    memory = Memory()
    memory.answer(FIRST, "one")
    memory.time.seconds = 99
    assert memory.last(SECOND) == "one/m"
    memory.answer(SECOND, "one")
    memory.time.seconds = 198
    assert memory.last(SECOND) == "one/m"
    memory.time.seconds = 199
    assert memory.last(SECOND) is None


def test_the_conversation_idle_longest_makes_room() -> None:
    memory = Memory()
    for text in ("a", "b", "c", "a", "d"):
        memory.answer(asked(text), text)
    assert len(memory.held) == 3
    known = {text: memory.last(asked(text, "hello", "go on")) for text in "abcd"}
    assert known == {"a": "a/m", "b": None, "c": "c/m", "d": "d/m"}


def test_what_was_not_answered_or_has_no_user_turn_is_not_remembered() -> None:
    memory = Memory()
    trace = memory.trace(FIRST)
    memory.held.last_model(trace)
    memory.held.answered(trace)  # no model answered
    system_only = ChatRequest(model="auto", messages=(turn(Role.SYSTEM, "Be brief."),))
    memory.answer(system_only, "one")
    assert len(memory.held) == 0


async def test_only_an_answer_that_is_whole_is_remembered() -> None:
    memory = Memory()
    cut = ScriptedAnswer(
        answer=ChatAnswer(text="Hel lo", finish_reason=FinishReason.STOP),
        error=ProviderError("It died.", kind=ProviderErrorKind.TRANSIENT),
        deltas_before_error=1,
    )
    provider = ScriptedProvider(answers=[cut, "Hello"])
    gateway = Engine(providers={"one": provider}, conversations=memory.held).gateway()

    async def answer() -> None:
        asking = msgspec.structs.replace(FIRST, stream=True)
        reply = await gateway.handle(asking, LOCAL_OWNER)
        await reply.answer()

    with pytest.raises(ProviderError, match="It died"):
        await answer()
    assert memory.last(SECOND) is None
    await answer()
    assert memory.last(SECOND) == "one/m"


# --- two hosts of two dialects, a conversation that moves between them ------------------------

TOOL = ToolSpec(name="add", parameters=msgspec.Raw(b'{"type":"object","properties":{}}'))
STRANGE_ID = "functions.add:0"
"""A tool-call id that the Anthropic dialect refuses."""


@dataclass
class Host:
    """A vendor on loopback.

    Attributes:
        down: whether it answers 429.
        bodies: what it was sent, decoded.
        requests: the same as its own dialect reads it.
    """

    dialect: CallerDialect
    answer: ChatAnswer
    down: bool = False
    bodies: list[dict[str, object]] = field(default_factory=list)
    requests: list[ChatRequest] = field(default_factory=list)

    async def respond(self, exchange: Exchange) -> bool:
        if self.down:
            return await exchange.send(429, b'{"error":{"message":"Slow down."}}')
        request = self.dialect.decode_request(exchange.request.body)
        self.bodies.append(msgspec.json.decode(exchange.request.body))
        self.requests.append(request)
        head = AnswerHead(id="req_1", created=0, model="m", request=request)
        return await exchange.send(200, self.dialect.encode_answer(self.answer, head))


@dataclass
class Stage:
    """An app with two free hosts: `one` is asked first, for its name comes first."""

    one: Host
    two: Host
    app: App
    time: FakeTime

    async def ask(self, *messages: Message) -> Reply:
        """Return the reply to these turns, read to its end."""
        request = ChatRequest(model="auto", messages=messages, tools=(TOOL,))
        reply = await self.app.front_door.handle(request, LOCAL_OWNER)
        await reply.answer()
        await asyncio.sleep(0)
        return reply

    async def who(self, *messages: Message) -> str:
        """Return the id of the model that answers these turns."""
        answered = (await self.ask(*messages)).trace.model
        assert answered is not None
        return answered.id


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    usage = Usage(input_tokens=5, output_tokens=5)
    call = ToolCall(id=STRANGE_ID, name="add", arguments='{"a":2}')
    calling = ChatAnswer(
        text="",
        reasoning="I should add.",
        finish_reason=FinishReason.TOOL_CALLS,
        tool_calls=(call,),
        usage=usage,
    )
    telling = ChatAnswer(text="It is 5.", finish_reason=FinishReason.STOP, usage=usage)
    one, two = Host(openai_chat.CALLER, calling), Host(anthropic.CALLER, telling)
    async with LoopbackServer(one.respond) as first, LoopbackServer(two.respond) as second:
        monkeypatch.setenv("YMERA_LOCAL__ENABLED", "false")
        for name, value in {
            "ONE__BASE_URL": f"{first.origin}/v1",
            "TWO__BASE_URL": second.origin,
            "TWO__DIALECT": "anthropic",
        }.items():
            monkeypatch.setenv(f"YMERA_PROVIDERS__{name}", value)
        for name in ("ONE", "TWO"):
            monkeypatch.setenv(f"YMERA_PROVIDERS__{name}__MODELS", '["m"]')
            for what in ("FREE", "KEYLESS", "TOOLS"):
                monkeypatch.setenv(f"YMERA_PROVIDERS__{name}__{what}", "true")
        time = FakeTime()
        app = App(load_settings, environ={}, clock=time.clock())
        async with app:
            yield Stage(one, two, app, time)


QUESTION = turn(Role.USER, "What is 2 and 3?")
CALLED = Message(
    role=Role.ASSISTANT,
    content=(ReasoningPart(text="I should add."),),
    tool_calls=(ToolCall(id=STRANGE_ID, name="add", arguments='{"a":2}'),),
)
RESULT = Message(role=Role.TOOL, content=(TextPart("5"),), tool_call_id=STRANGE_ID, name="add")


async def test_a_conversation_that_had_to_move_stays_where_it_went(stage: Stage) -> None:
    assert await stage.who(QUESTION) == "one/m"
    assert await stage.who(QUESTION, CALLED, RESULT) == "one/m"
    stage.one.down = True
    assert await stage.who(QUESTION, CALLED, RESULT) == "two/m"
    stage.one.down = False
    stage.time.seconds += 3600  # whatever the first host was benched for is over

    told, thanks = turn(Role.ASSISTANT, "It is 5."), turn(Role.USER, "Thank you.")
    reply = await stage.ask(QUESTION, CALLED, RESULT, told, thanks)
    assert reply.trace.plan is not None
    stayed = reply.trace.plan.candidates[0]
    assert stayed.model.id == "two/m"
    assert stayed.terms["affinity"] > 0.1
    another = (await stage.ask(turn(Role.USER, "Another question."))).trace.plan
    assert another is not None
    assert not any("affinity" in each.terms for each in another.candidates)


@pytest.mark.proves("engine.switch-keeps-history")
async def test_on_a_switch_ids_still_meet_and_what_is_lost_is_recorded(stage: Stage) -> None:
    await stage.ask(QUESTION)
    stage.one.down = True
    reply = await stage.ask(QUESTION, CALLED, RESULT)

    (seen,) = stage.two.requests
    (call,) = seen.messages[1].tool_calls
    assert call.id != STRANGE_ID
    assert call.id.replace("_", "").isalnum()
    assert seen.messages[2].tool_call_id == call.id
    assert seen.messages[2].text == "5"
    assert "I should add." not in msgspec.json.encode(stage.two.bodies).decode()
    failed, answered = reply.trace.attempts
    assert (failed.model_id, failed.error_code) == ("one/m", "quota_minute")
    assert answered.model_id == "two/m"
    assert any("rewritten" in loss for loss in answered.losses)
    assert any("easoning" in loss for loss in answered.losses)
    record = reply.trace.record(None)
    assert record.attempts[-1].losses == answered.losses

    stage.time.seconds += 1
    await stage.ask(QUESTION, CALLED, RESULT, turn(Role.ASSISTANT, "5."), QUESTION)
    assert stage.two.requests[-1].messages[1].tool_calls[0].id == call.id  # the same each turn
