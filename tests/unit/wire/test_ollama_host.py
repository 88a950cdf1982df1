"""An Ollama host over HTTP: the client of every host, in this dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from tests.support.chat import make_model, make_request
from ymera.core.answer import AnswerBuilder, ChatAnswer, FinishReason, RequestAdapted
from ymera.core.chat import ChatRequest, Sampling, ToolCall
from ymera.core.errors import ProviderError
from ymera.core.errors import ProviderErrorKind as Kind
from ymera.core.ports import Deadlines
from ymera.core.usage import Usage
from ymera.providers.hosted import HostedProvider
from ymera.providers.transport import HttpTransport
from ymera.testing import Fault
from ymera.testing.http import Exchange, LoopbackServer
from ymera.testing.speech import Voice
from ymera.testing.stage import perform
from ymera.wire import ollama

QUICK = Deadlines(connect_s=5, first_byte_s=5, idle_s=5, total_s=5)
ANSWER = ChatAnswer(
    text="It is five.",
    reasoning="Two and three.",
    finish_reason=FinishReason.TOOL_CALLS,
    tool_calls=(ToolCall(id="c1", name="tell", arguments='{"what":5}'),),
    usage=Usage(input_tokens=9, output_tokens=3),
)


@dataclass
class Host:
    """A host and a client of it.

    Attributes:
        fault: what goes wrong.
        seen: path and body of each request.
        losses: what the client said it could not say.
    """

    provider: HostedProvider | None = None
    fault: Fault | None = None
    seen: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    losses: tuple[str, ...] = ()

    async def respond(self, exchange: Exchange) -> bool:
        asked = exchange.request
        self.seen.append((asked.path, msgspec.json.decode(asked.body)))
        if self.fault is Fault.GONE:
            return await exchange.send(404, b'{"error":"model \'m\' not found"}')
        request = ollama.CALLER.decode_request(asked.body)
        return await perform(exchange, Voice(ollama.CALLER), request, ANSWER, fault=self.fault)

    async def ask(self, request: ChatRequest) -> ChatAnswer:
        """Return the answer the client read."""
        assert self.provider is not None
        built = AnswerBuilder()
        stream = self.provider.stream(request, make_model("m"), QUICK)
        for event in [event async for batch in stream for event in batch]:
            built.add(event)
            if isinstance(event, RequestAdapted):
                self.losses = event.losses
        return built.build()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made, transport = Host(), HttpTransport()
    async with LoopbackServer(made.respond) as server:
        made.provider = HostedProvider("sim", ollama.UPSTREAM, server.origin, {}, transport)
        yield made
        await transport.close()


@pytest.mark.proves("wire.ollama", "wire.usage-once")
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
async def test_it_answers_streamed_and_plain_alike(host: Host, stream: bool) -> None:
    assert await host.ask(make_request(stream=stream)) == ANSWER
    ((path, body),) = host.seen
    assert path == "/api/chat"
    assert body["stream"] is stream
    assert host.losses == ()


@pytest.mark.proves("wire.ollama-losses")
async def test_what_it_cannot_be_told_comes_first(host: Host) -> None:
    sampling = Sampling(reasoning_effort="high")
    await host.ask(msgspec.structs.replace(make_request(), sampling=sampling))
    assert host.losses == ("reasoning_effort high left out: the model sets its own.",)


@pytest.mark.proves("wire.ollama-errors", "wire.broken-stream")
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.GONE, Kind.MODEL_GONE),
        (Fault.CUT_MID_STREAM, Kind.TRANSIENT),
        (Fault.ERROR_EVENT, Kind.TRANSIENT),
        (Fault.BAD_CHUNK, Kind.BAD_ANSWER),
        (Fault.NO_FINISH, None),
    ],
)
async def test_what_goes_wrong_is_a_failure_never_an_answer(
    host: Host, fault: Fault, kind: Kind | None, stream: bool
) -> None:
    host.fault = fault
    with pytest.raises(ProviderError) as caught:
        await host.ask(make_request(stream=stream))
    assert kind is None or caught.value.kind is kind
