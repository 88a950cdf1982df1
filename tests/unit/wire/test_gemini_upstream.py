from __future__ import annotations

import json
from typing import cast

import msgspec
import pytest

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    ReasoningPart,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    ToolCall,
    ToolSpec,
)
from ymera.core.errors import InvalidRequest, Unsupported
from ymera.core.model import Dialect, Quirk
from ymera.wire.gemini import UPSTREAM, decode_request_for, encode_request
from ymera.wire.openai_chat import decode_request as decode_openai

Json = dict[str, object]

HI = Message(role=Role.USER, content=(TextPart("hi"),))
SCHEMA = msgspec.Raw(b'{"type":"object"}')


def called(*calls: ToolCall, text: str = "") -> Message:
    content = (TextPart(text),) if text else ()
    return Message(role=Role.ASSISTANT, content=content, tool_calls=calls)


def result(call_id: str, text: str, *, is_error: bool = False) -> Message:
    return Message(
        role=Role.TOOL, content=(TextPart(text),), tool_call_id=call_id, is_error=is_error
    )


def encoded(
    *messages: Message,
    model: str = "gemini-3.8-flash",
    flags: tuple[Quirk, ...] = (),
    **rest: object,
) -> tuple[Json, tuple[str, ...]]:
    request = ChatRequest(model="any", messages=messages or (HI,), **rest)  # type: ignore[arg-type]
    made = encode_request(request, model, frozenset(flags))
    return cast("Json", json.loads(made.body)), made.losses


def contents(*messages: Message, model: str = "gemini-3.8-flash") -> list[Json]:
    return cast("list[Json]", encoded(*messages, model=model)[0]["contents"])


def config(sampling: Sampling, **rest: object) -> tuple[Json, tuple[str, ...]]:
    body, losses = encoded(sampling=sampling, **rest)  # type: ignore[arg-type]
    return cast("Json", body.get("generationConfig", {})), losses


@pytest.mark.proves("wire.gemini-upstream")
def test_the_path_names_the_model_and_the_kind_of_answer() -> None:
    assert UPSTREAM.path("gemini-3.8-flash", False) == (
        "/v1beta/models/gemini-3.8-flash:generateContent"
    )
    assert UPSTREAM.path("models/a b/../c", True) == (
        "/v1beta/models/a%20b%2F..%2Fc:streamGenerateContent?alt=sse"
    )


@pytest.mark.proves("wire.gemini-upstream")
def test_messages_become_turns_with_the_results_of_one_step_together() -> None:
    body, losses = encoded(
        Message(role=Role.SYSTEM, content=(TextPart("be kind"),)),
        HI,
        called(
            ToolCall(id="a", name="add", arguments='{"x": 1}', signature="c2ln"),
            ToolCall(id="b", name="look", arguments=""),
            text="I add.",
        ),
        result("a", "2"),
        result("b", '{"seen": [true]}'),
    )

    assert body == {
        "systemInstruction": {"parts": [{"text": "be kind"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "I add."},
                    {
                        "functionCall": {"id": "a", "name": "add", "args": {"x": 1}},
                        "thoughtSignature": "c2ln",
                    },
                    {"functionCall": {"id": "b", "name": "look", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "a", "name": "add", "response": {"output": "2"}}},
                    {"functionResponse": {"id": "b", "name": "look", "response": {"seen": [True]}}},
                ],
            },
        ],
    }
    assert losses == ()


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ("plain", False, {"output": "plain"}),
        ("it broke", True, {"error": "it broke"}),
        ('{"error": "mine"}', False, {"output": '{"error": "mine"}'}),
        ("[1]", False, {"output": "[1]"}),
        ('{"cut', False, {"output": '{"cut'}),
    ],
)
def test_a_result_is_always_an_object(text: str, is_error: bool, response: Json) -> None:
    call = called(ToolCall(id="a", name="f", arguments="{}"))
    turns = contents(HI, call, result("a", text, is_error=is_error))
    assert turns[-1]["parts"] == [
        {"functionResponse": {"id": "a", "name": "f", "response": response}}
    ]


@pytest.mark.proves("wire.gemini-signatures")
def test_calls_of_another_model_are_marked_in_the_turn_that_goes_on() -> None:
    old = called(ToolCall(id="old", name="f", arguments="{}"))
    new = called(
        ToolCall(id="a", name="f", arguments="{}"), ToolCall(id="b", name="f", arguments="{}")
    )
    history = (HI, old, result("old", "1"), HI, new, result("a", "2"), result("b", "3"))

    body, losses = encoded(*history)
    turns = cast("list[Json]", body["contents"])
    marks = [
        part.get("thoughtSignature")
        for turn in turns
        if turn["role"] == "model"
        for part in cast("list[Json]", turn["parts"])
    ]

    assert marks == [None, "skip_thought_signature_validator", None]
    assert losses == ("1 earlier tool calls carry no thought signature: its check was skipped.",)
    assert "skip" not in json.dumps(encoded(*history, model="gemini-2.5-flash"))


@pytest.mark.proves("wire.gemini-signatures")
def test_own_reasoning_goes_back_and_foreign_reasoning_is_a_loss() -> None:
    said = Message(
        role=Role.ASSISTANT,
        content=(
            ReasoningPart(text="mine", signature="c2ln", dialect=Dialect.GEMINI),
            ReasoningPart(text="theirs", signature="x", dialect=Dialect.ANTHROPIC),
            ReasoningPart(text="nobody's"),
            TextPart("Hello"),
        ),
    )
    body, losses = encoded(HI, said, HI)

    assert cast("list[Json]", body["contents"])[1]["parts"] == [
        {"text": "mine", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "Hello"},
    ]
    assert losses == ("Reasoning of 2 earlier answers was left out.",)


@pytest.mark.proves("wire.gemini-upstream")
def test_images_go_inline_or_by_https_address() -> None:
    message = Message(
        role=Role.USER,
        content=(
            ImagePart(url="data:image/png;base64,AAAA"),
            ImagePart(url="https://pictures.test/a.JPG?size=1"),
            ImagePart(url="https://pictures.test/b"),
        ),
    )
    assert contents(message)[0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://pictures.test/a.JPG?size=1"}},
        {"fileData": {"fileUri": "https://pictures.test/b"}},
    ]


def test_what_is_said_of_images_and_people_is_a_loss() -> None:
    picture = ImagePart(url="https://pictures.test/a.png", detail="low")
    _, losses = encoded(Message(role=Role.USER, content=(picture, picture), name="ann"))
    assert losses == ("detail of 2 images was left out.", "name of 1 messages was left out.")


@pytest.mark.proves("wire.gemini-upstream")
@pytest.mark.parametrize("url", ["http://pictures.test/a.png", "data:image/png,raw", "file:///a"])
def test_an_image_that_cannot_be_sent_is_named(url: str) -> None:
    with pytest.raises(Unsupported) as caught:
        encoded(HI, Message(role=Role.USER, content=(TextPart("look"), ImagePart(url=url))))
    assert caught.value.param == "messages[1].content[1]"


def test_an_image_as_a_result_goes_to_models_that_take_it() -> None:
    picture = Message(
        role=Role.TOOL,
        tool_call_id="a",
        content=(TextPart("see"), ImagePart(url="data:image/png;base64,AAAA")),
    )
    history = (HI, called(ToolCall(id="a", name="f", arguments="{}")), picture)

    [part] = cast("list[Json]", contents(*history)[-1]["parts"])
    assert cast("Json", part["functionResponse"])["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    ]
    with pytest.raises(Unsupported) as caught:
        contents(*history, model="gemini-2.5-flash")
    assert caught.value.param == "messages[2].content[1]"


def test_a_conversation_without_the_user_is_still_one() -> None:
    system = Message(role=Role.SYSTEM, content=(TextPart("say hello"),))
    body, losses = encoded(system)

    assert body == {"contents": [{"role": "user", "parts": [{"text": "say hello"}]}]}
    assert losses == ("A request of system messages alone was asked as the user's.",)
    assert encoded(HI, system)[1] == (
        "System messages between the turns were moved to the beginning.",
    )


@pytest.mark.proves("wire.gemini-upstream")
def test_tools_and_their_choice() -> None:
    tools = (ToolSpec(name="f", description="d", parameters=SCHEMA), ToolSpec(name="g"))
    body, losses = encoded(tools=tools, tool_choice="g")

    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}},
                {"name": "g"},
            ]
        }
    ]
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["g"]}
    }
    assert losses == ()
    for choice, mode in (("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")):
        body, _ = encoded(tools=tools, tool_choice=choice)
        assert body["toolConfig"] == {"functionCallingConfig": {"mode": mode}}


def test_the_configuration_is_written() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=3, max_tokens=9, stop=("x",), seed=1)
    written, losses = config(sampling, response_format=ResponseFormat(schema=SCHEMA))

    assert written == {
        "maxOutputTokens": 9,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 3,
        "stopSequences": ["x"],
        "seed": 1,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    assert losses == ()
    assert config(Sampling(), response_format=ResponseFormat())[0] == {
        "responseMimeType": "application/json"
    }


@pytest.mark.proves("wire.gemini-upstream")
@pytest.mark.parametrize(
    ("model", "effort", "written"),
    [
        ("gemini-3.8-flash", "none", {"thinkingLevel": "low", "includeThoughts": False}),
        ("gemini-3.8-flash", "max", {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-3.6-flash", "minimal", {"thinkingLevel": "minimal", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", "minimal", {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-flash-latest", "medium", {"thinkingLevel": "medium", "includeThoughts": True}),
        ("gemma-4-31b-it", "low", {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0, "includeThoughts": False}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128, "includeThoughts": True}),
    ],
)
def test_effort_is_told_in_the_models_own_measure(model: str, effort: str, written: Json) -> None:
    said, losses = config(Sampling(reasoning_effort=effort), model=model)
    assert said == {"thinkingConfig": written}
    exact = written.get("thinkingLevel") == effort or written.get("thinkingBudget") in {0, 1024}
    assert bool(losses) is not exact


def test_a_bound_on_reasoning_becomes_a_level_where_there_are_only_levels() -> None:
    said, losses = config(Sampling(reasoning_tokens=2000))
    assert said == {"thinkingConfig": {"thinkingLevel": "medium", "includeThoughts": True}}
    assert losses == ("reasoning_tokens became the level medium: the model knows levels only.",)
    said, losses = config(Sampling(reasoning_tokens=2000), model="gemini-2.5-flash")
    assert said == {"thinkingConfig": {"thinkingBudget": 2000, "includeThoughts": True}}
    assert losses == ()


@pytest.mark.proves("wire.gemini-upstream")
def test_what_the_model_or_the_dialect_refuses_is_left_out_and_said() -> None:
    body, losses = encoded(
        tools=(ToolSpec(name="f", strict=True),),
        tool_choice="auto",
        parallel_tools=False,
        sampling=Sampling(temperature=0.1, top_k=2, seed=2**40),
        extra={"user": msgspec.Raw(b'"me"')},
        flags=(Quirk.NO_SAMPLING, Quirk.NO_TOOL_CHOICE),
    )

    assert body.keys() == {"contents", "tools"}
    assert losses == (
        "strict was left out of the tools: this dialect does not know it.",
        "tool_choice was left out: the model refuses it.",
        "Tools may be called at once: this dialect cannot forbid it.",
        "temperature was left out: the model refuses it.",
        "top_k was left out: the model refuses it.",
        "seed was left out: this dialect takes 32 bits.",
        "user was left out: this dialect does not know it.",
    )


VERBATIM = {
    "contents": [{"role": "user", "parts": [{"text": "hi", "mediaResolution": {"level": "LOW"}}]}],
    "generationConfig": {"temperature": 0.3, "mediaResolution": "LOW", "seed": 4},
    "safetySettings": [{"threshold": "OFF"}],
    "serviceTier": "priority",
    "model": "models/another",
}


def verbatim() -> ChatRequest:
    return decode_request_for(json.dumps(VERBATIM).encode(), "m", stream=False)


@pytest.mark.proves("wire.verbatim", "wire.owner-decides")
def test_the_callers_own_body_passes_without_what_is_the_owners_to_decide() -> None:
    made = encode_request(verbatim(), "gemini-2.5-flash")

    kept = {name: VERBATIM[name] for name in ("contents", "generationConfig", "safetySettings")}
    assert json.loads(made.body) == kept
    assert made.losses == ()


def test_flags_are_heeded_in_the_callers_own_body() -> None:
    made = encode_request(verbatim(), "m", frozenset({Quirk.NO_SAMPLING, Quirk.NO_SEED}))

    assert json.loads(made.body)["generationConfig"] == {"mediaResolution": "LOW"}
    assert made.losses == (
        "temperature was left out: the model refuses it.",
        "seed was left out: the model refuses it.",
    )


@pytest.mark.proves("wire.verbatim")
def test_a_changed_request_keeps_what_nobody_changed() -> None:
    request = msgspec.structs.replace(verbatim(), messages=(HI,))
    body = json.loads(encode_request(request, "m").body)

    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]
    assert body["generationConfig"] == {"temperature": 0.3, "mediaResolution": "LOW", "seed": 4}
    assert body["safetySettings"] == [{"threshold": "OFF"}]


@pytest.mark.proves("wire.gemini-signatures")
def test_an_unsigned_call_in_the_callers_own_body_is_marked() -> None:
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
        ]
    }
    request = decode_request_for(json.dumps(body).encode(), "m", stream=False)

    assert b"skip_thought_signature_validator" in encode_request(request, "gemini-3.8-flash").body
    assert json.loads(encode_request(request, "gemini-2.5-flash").body) == body


def test_half_of_a_surrogate_pair_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidRequest):
        encoded(Message(role=Role.USER, content=(TextPart("\ud800"),)))


def test_broken_arguments_of_an_earlier_call_stay_what_they_were() -> None:
    body, losses = encoded(HI, called(ToolCall(id="a", name="f", arguments='{"a": ')))

    [part] = cast("list[Json]", cast("list[Json]", body["contents"])[1]["parts"])
    assert cast("Json", part["functionCall"])["args"] == {"_raw": '{"a": '}
    assert "Broken arguments of 1 earlier tool calls were wrapped." in losses


def test_a_request_of_another_dialect_is_said_anew() -> None:
    sent = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "user": "me"}
    made = encode_request(decode_openai(json.dumps(sent).encode()), "gemini-3.8-flash")

    assert json.loads(made.body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert made.losses == ("user was left out: this dialect does not know it.",)
