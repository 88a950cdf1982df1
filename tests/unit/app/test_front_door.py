"""An agent is asked like a model, through every door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest

import ymera
from tests.support.asgi import JSON_HEADERS, Client
from tests.support.server import SCRIPTED
from ymera.app import App
from ymera.app.front_door import parameters_of, task_of
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import (
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
)
from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    Role,
    Sampling,
    TextPart,
)
from ymera.core.errors import InvalidRequest, UnknownModel, Unsupported
from ymera.server.asgi import Server

pytestmark = pytest.mark.proves("agents.by-name")


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    for name, value in SCRIPTED.items():
        monkeypatch.setenv(name, value)
    async with App.create() as app:
        yield app


def asks(task: str, *, model: str = "general_agent", stream: bool = False) -> ChatRequest:
    said = Message(role=Role.USER, content=(TextPart(task),))
    return ChatRequest(model=model, messages=(said,), stream=stream)


async def test_an_agents_answer_is_its_runs_result_with_cost_and_run_id(app: App) -> None:
    reply = await app.front_door.handle(asks("What is a monad?"), LOCAL_OWNER)
    answer = await reply.answer()
    (run,) = await app.runs.list()
    shown = await app.runs.get(run.run_id)
    assert (answer.text, answer.finish_reason) == (shown.result, FinishReason.STOP)
    assert answer.text
    assert answer.usage is not None
    assert reply.trace.request.hints.run_id == run.run_id
    assert reply.trace.cost_usd() == shown.cost == Decimal(0)


async def test_a_streamed_answer_shows_the_phases_as_reasoning(app: App) -> None:
    reply = await app.front_door.handle(asks("What is a monad?", stream=True), LOCAL_OWNER)
    events = [event async for event in reply.events()]
    reasoning = [event.text for event in events if isinstance(event, ReasoningDelta)]
    assert any("done" in line for line in reasoning)
    assert sum(isinstance(event, TextDelta) for event in events) == 1
    assert events[-1] == Finish(FinishReason.STOP)


async def test_leaving_the_answer_cancels_the_run(app: App) -> None:
    reply = await app.front_door.handle(asks("What is a monad?", stream=True), LOCAL_OWNER)
    events = reply.events()
    await anext(events)
    await events.aclose()
    (run,) = await app.runs.list()
    assert run.state == "cancelled"


async def test_what_an_agent_cannot_do_is_refused_by_name(app: App) -> None:
    bounded = msgspec.structs.replace(asks("hi"), sampling=Sampling(max_tokens=5))
    with pytest.raises(Unsupported) as caught:
        await app.front_door.handle(bounded, LOCAL_OWNER)
    assert caught.value.param == "max_tokens"
    odd = msgspec.structs.replace(asks("hi"), extra={"metadata": msgspec.Raw(b"[1]")})
    with pytest.raises(InvalidRequest, match="metadata"):
        await app.front_door.handle(odd, LOCAL_OWNER)
    with pytest.raises(InvalidRequest, match="empty"):
        await app.front_door.handle(asks("  "), LOCAL_OWNER)
    picture = ImagePart(url="data:image/png;base64,AAAA")
    turn = Message(role=Role.USER, content=(TextPart("Describe it"), picture))
    seeing = msgspec.structs.replace(asks("hi"), messages=(turn,))
    with pytest.raises(Unsupported) as caught:
        await app.front_door.handle(seeing, LOCAL_OWNER)
    assert caught.value.param == "images"
    assert await app.runs.list() == ()


async def test_explaining_an_agent_names_the_command_that_does(app: App) -> None:
    with pytest.raises(Unsupported) as caught:
        app.front_door.route(asks("hi"))
    assert "agents show general_agent" in (caught.value.hint or "")


async def test_an_unknown_name_is_still_an_unknown_model(app: App) -> None:
    with pytest.raises(UnknownModel):
        await app.front_door.handle(asks("hi", model="no_such_agent"), LOCAL_OWNER)


def test_no_metadata_and_metadata_that_is_null_are_no_parameters() -> None:
    null = msgspec.structs.replace(asks("hi"), extra={"metadata": msgspec.Raw(b"null")})
    assert parameters_of(null) == parameters_of(asks("hi")) == {}


def test_earlier_turns_are_part_of_the_task() -> None:
    turns = (
        Message(role=Role.USER, content=(TextPart("Name a bird"),)),
        Message(role=Role.ASSISTANT, content=(TextPart("Heron"),)),
        Message(role=Role.USER, content=(TextPart("Another"),)),
    )
    assert task_of(ChatRequest(model="general_agent", messages=turns)) == (
        "Another\n\nEarlier in this conversation:\nuser: Name a bird\nassistant: Heron"
    )


async def test_the_library_and_the_server_take_agents_for_models(app: App) -> None:
    answer = await app.orchestrator.ask(
        ymera.AIRequest(prompt="What is a monad?", model="general_agent")
    )
    assert (answer.success, answer.cost) == (True, Decimal(0))
    listed = await Client(Server(app)).send("GET", "/v1/models")
    names = msgspec.json.decode(listed.body)
    assert "coding_agent" in [model["id"] for model in names["data"]]
    said = [{"role": "user", "content": "What is a monad?"}]
    body = msgspec.json.encode({"model": "general_agent", "messages": said})
    asked = await Client(Server(app)).send("POST", "/v1/chat/completions", body)
    assert asked.status == 200
    assert asked.headers["x-ymera-run"].startswith("run_")
    assert asked.headers["x-ymera-cost-usd"] == "0"


@pytest.mark.proves("tools.by-request")
async def test_tools_are_asked_for_by_option_header_and_setting(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await app.orchestrator.ask(
        ymera.AIRequest(prompt="What time is it in UTC?", tools=("current_time",))
    )
    assert [item.source for item in asked.context] == ["clock:UTC"]
    body = msgspec.json.encode(
        {"model": "auto", "messages": [{"role": "user", "content": "What time is it in UTC?"}]}
    )
    headers = {**JSON_HEADERS, "x-ymera-tools": "current_time"}
    answer = await Client(Server(app)).send("POST", "/v1/chat/completions", body, headers)
    assert answer.status == 200
    assert "x-ymera-attempts" not in answer.headers
    refused = await Client(Server(app)).send(
        "POST", "/v1/chat/completions", body, {**headers, "x-ymera-tools": "no_such_tool"}
    )
    assert (refused.status, refused.error["param"]) == (400, "tools")
    monkeypatch.setenv("YMERA_TOOLS__ALWAYS", "true")
    async with App.create() as always:
        given = await always.orchestrator.ask(ymera.AIRequest(prompt="What time is it in UTC?"))
        none = await always.orchestrator.ask(
            ymera.AIRequest(prompt="What time is it in UTC?", tools=())
        )
    assert [item.source for item in given.context] == ["clock:UTC"]
    assert none.context == ()
