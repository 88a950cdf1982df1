"""The official google-genai SDK is the judge of our Gemini dialect: what it sends and reads."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from google import genai
from google.genai import errors, types
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.support.raw_site import RawSite, calling
from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, ImagePart, ReasoningPart, Role, ToolCall
from ymera.core.errors import InvalidRequest, ProviderError, ProviderErrorKind, YmeraError
from ymera.core.model import Dialect
from ymera.core.usage import Usage
from ymera.server.bridge import serve_page
from ymera.server.exchange import Exchange
from ymera.testing.scripted import events_of
from ymera.wire.codec import AnswerHead
from ymera.wire.gemini import CALLER, ListedModel, decode_request_for, encode_model, encode_models

pytestmark = [
    pytest.mark.proves("sdk.google"),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

SIGNATURE = base64.b64encode(b"why I called").decode()
CALL = ToolCall(id="call_1", name="add", arguments='{"a": 1, "b": [2]}', signature=SIGNATURE)
USAGE = Usage(input_tokens=9, output_tokens=5, cached_tokens=4, reasoning_tokens=2)
LISTED = ListedModel(id="some-model", name="Some model", input_tokens=1000, output_tokens=100)
SUM = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="add",
            parameters=types.Schema(
                type=types.Type.OBJECT, properties={"a": types.Schema(type=types.Type.INTEGER)}
            ),
        )
    ]
)


def answer_to(request: ChatRequest) -> ChatAnswer:
    last = request.messages[-1]
    if request.tools and last.role is Role.USER:
        return ChatAnswer(
            text="I add.",
            reasoning="Adding helps.",
            finish_reason=FinishReason.TOOL_CALLS,
            tool_calls=(CALL,),
            usage=USAGE,
        )
    return ChatAnswer(text=f"You said: {last.text}", finish_reason=FinishReason.STOP, usage=USAGE)


@dataclass
class Vendor:
    """Answers as the vendor would, with our codec; keeps what it was asked."""

    url: str = ""
    asked: list[ChatRequest] = field(default_factory=list)
    error: YmeraError | None = None

    async def generate(self, http: Request) -> Response:
        model, _, method = str(http.path_params["call"]).partition(":")
        stream = method == "streamGenerateContent"
        try:
            request = decode_request_for(await http.body(), model, stream)
            if self.error is not None and not stream:
                raise self.error
        except YmeraError as error:
            return _json(CALLER.encode_error(error), error.http_status)
        self.asked.append(request)
        head = AnswerHead(id="req_1", created=1, model=model, request=request)
        answer = answer_to(request)
        if stream:
            return StreamingResponse(self._pieces(answer, head), media_type=CALLER.framing.value)
        return _json(CALLER.encode_answer(answer, head))

    async def _pieces(self, answer: ChatAnswer, head: AnswerHead) -> AsyncIterator[bytes]:
        encoder = CALLER.stream_encoder(head)
        for event in events_of(answer, streamed=True):
            yield encoder.encode(event)
            if self.error is not None:
                yield encoder.error(self.error)
                return
        yield encoder.end()

    async def models(self, http: Request) -> Response:
        return _json(encode_models([LISTED]))

    async def model(self, http: Request) -> Response:
        return _json(encode_model(LISTED))


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


@asynccontextmanager
async def served(vendor: Vendor) -> AsyncIterator[None]:
    app = Starlette(
        routes=[
            Route("/v1beta/models", vendor.models),
            Route("/v1beta/models/{call}", vendor.model),
            Route("/v1beta/models/{call}", vendor.generate, methods=["POST"]),
        ]
    )

    async def serve(exchange: Exchange) -> None:
        await serve_page(app, exchange)

    async with calling(RawSite(behave=serve, limit=10_000_000)) as door:
        vendor.url = f"http://127.0.0.1:{door.port}"
        yield


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    made = Vendor()
    async with served(made):
        yield made


@pytest.fixture
async def client(vendor: Vendor) -> AsyncIterator[genai.Client]:
    options = types.HttpOptions(base_url=vendor.url, api_version="v1beta")
    made = genai.Client(api_key="synthetic", http_options=options)
    async with made.aio:
        yield made
    made.close()


async def test_it_reads_text_usage_and_why_the_model_stopped(client: genai.Client) -> None:
    answer = await client.aio.models.generate_content(model="m", contents="hello")

    assert answer.text == "You said: hello"
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    assert answer.response_id == "1"
    usage = answer.usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.total_token_count) == (9, 14)
    assert (usage.candidates_token_count, usage.thoughts_token_count) == (3, 2)
    assert usage.cached_content_token_count == 4


async def test_it_joins_a_stream_to_the_same_text_and_usage(client: genai.Client) -> None:
    stream = await client.aio.models.generate_content_stream(model="m", contents="one two three")
    chunks = [chunk async for chunk in stream]

    assert len(chunks) > 3
    assert "".join(chunk.text or "" for chunk in chunks) == "You said: one two three"
    last = chunks[-1]
    assert last.usage_metadata is not None
    assert last.usage_metadata.total_token_count == 14
    assert last.candidates is not None
    assert last.candidates[0].finish_reason is types.FinishReason.STOP


@pytest.mark.proves("wire.gemini-signatures")
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_chat_with_a_tool_keeps_calls_results_and_signatures(
    client: genai.Client, vendor: Vendor, streamed: bool
) -> None:
    by_hand = types.AutomaticFunctionCallingConfig(disable=True)
    config = types.GenerateContentConfig(tools=[SUM], automatic_function_calling=by_hand)
    chat = client.aio.chats.create(model="m", config=config)
    calls: list[types.FunctionCall] = []
    if streamed:
        async for chunk in await chat.send_message_stream("add"):
            calls += chunk.function_calls or []
    else:
        calls += (await chat.send_message("add")).function_calls or []
    [call] = calls
    assert (call.id, call.name, call.args) == ("call_1", "add", {"a": 1, "b": [2]})
    assert call.id is not None

    result = types.Part.from_function_response(name="add", response={"result": 3})
    assert result.function_response is not None
    result.function_response.id = call.id
    await chat.send_message(result)

    asked = vendor.asked[-1]
    said, answered = asked.messages[1], asked.messages[2]
    assert said.tool_calls[0].signature == SIGNATURE
    assert said.tool_calls[0].id == answered.tool_call_id == "call_1"
    assert ReasoningPart(text="Adding helps.") in said.content
    assert said.text == "I add."
    assert len(asked.messages) == 3
    assert answered.text == "3"


async def test_what_it_sends_is_read(client: genai.Client, vendor: Vendor) -> None:
    picture = types.Part.from_bytes(data=b"\x00\x01\xfe", mime_type="image/png")
    linked = types.Part.from_uri(file_uri="https://pictures.test/a.jpg", mime_type="image/jpeg")
    config = types.GenerateContentConfig(
        system_instruction="be kind",
        temperature=0.5,
        max_output_tokens=7,
        stop_sequences=["x"],
        response_mime_type="application/json",
        response_json_schema={"type": "object"},
        thinking_config=types.ThinkingConfig(thinking_level=types.ThinkingLevel.HIGH),
        tools=[SUM],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode=types.FunctionCallingConfigMode.ANY
            )
        ),
    )
    await client.aio.models.generate_content(
        model="m", contents=["look", picture, linked], config=config
    )

    [asked] = vendor.asked
    assert asked.verbatim is not None
    assert asked.verbatim.dialect is Dialect.GEMINI
    assert asked.messages[0].text == "be kind"
    images = [part.url for part in asked.messages[1].content if isinstance(part, ImagePart)]
    assert base64.urlsafe_b64decode(images[0].partition(",")[2]) == b"\x00\x01\xfe"
    assert images[1] == "https://pictures.test/a.jpg"
    assert (asked.sampling.temperature, asked.sampling.max_tokens) == (0.5, 7)
    assert asked.sampling.reasoning_effort == "high"
    assert asked.tool_choice == "required"
    assert asked.tools[0].parameters is not None
    assert b'"object"' in bytes(asked.tools[0].parameters)
    assert asked.response_format is not None


async def test_it_raises_its_own_errors(client: genai.Client, vendor: Vendor) -> None:
    vendor.error = ProviderError(
        "Too many.", kind=ProviderErrorKind.QUOTA_MINUTE, retry_after_s=36.0
    )
    with pytest.raises(errors.ClientError) as caught:
        await client.aio.models.generate_content(model="m", contents="hello")
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert "36s" in str(caught.value.details)

    vendor.error = InvalidRequest("`contents` is wrong.", param="contents")
    with pytest.raises(errors.ClientError, match="contents"):
        await client.aio.models.generate_content(model="m", contents="hello")

    vendor.error = ProviderError("It broke.", kind=ProviderErrorKind.TRANSIENT)
    with pytest.raises(errors.ServerError):
        await client.aio.models.generate_content(model="m", contents="hello")


async def test_an_error_in_the_middle_of_a_stream_is_raised(
    client: genai.Client, vendor: Vendor
) -> None:
    vendor.error = ProviderError("It broke.", kind=ProviderErrorKind.UPSTREAM_BUSY)
    stream = await client.aio.models.generate_content_stream(model="m", contents="hello")
    first = await anext(stream)
    assert first.text

    with pytest.raises(errors.APIError, match="It broke"):
        await anext(stream)


async def test_it_lists_the_models(client: genai.Client) -> None:
    [listed] = [model async for model in await client.aio.models.list()]
    one = await client.aio.models.get(model="some-model")

    assert listed.name == one.name == "models/some-model"
    assert (one.input_token_limit, one.output_token_limit) == (1000, 100)
    assert one.supported_actions == ["generateContent"]
