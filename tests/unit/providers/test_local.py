"""What the provider makes of a request and of failures, with a child and a network of our own."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.local_process import FakeProcess
from tests.support.weights import CONTENT, weights_of
from ymera.core.answer import (
    AnswerBuilder,
    ChatAnswer,
    FinishReason,
)
from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    Role,
    Sampling,
    TextPart,
)
from ymera.core.errors import CatalogError, MachineError, ProviderError, ProviderErrorKind
from ymera.core.model import FreeTerms, Model
from ymera.core.ports import Deadlines
from ymera.core.usage import Usage
from ymera.providers.local import LocalProvider, is_runnable
from ymera.providers.local_process import LocalProcess
from ymera.providers.local_settings import LocalSettings
from ymera.providers.local_supervisor import LocalSupervisor
from ymera.providers.pull import pull

MODEL = Model(
    id="local/tiny",
    provider="local",
    upstream_id="tiny",
    name="Tiny",
    context_window=1000,
    free=FreeTerms(free_now=True, may_auto_route=True, reason="runs on your hardware"),
    weights=weights_of(CONTENT),
)
ANSWER = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Hello"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}


class Response:
    headers: Mapping[str, str] = {"content-type": "application/json"}

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body

    async def read(self, limit: int) -> bytes:
        return self.body[:limit]

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.body

    async def close(self) -> None:
        pass


class Network:
    """Answers every call the same; remembers the last."""

    def __init__(self) -> None:
        self.response = Response(200, msgspec.json.encode(ANSWER))
        self.error: ProviderError | None = None
        self.url = ""
        self.headers: Mapping[str, str] = {}
        self.body: dict[str, Any] = {}
        self.deadlines = Deadlines()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
    ) -> Response:
        self.url, self.headers, self.deadlines = url, headers, deadlines
        self.body = msgspec.json.decode(body, type=dict[str, Any])
        if self.error is not None:
            raise self.error
        return self.response

    async def close(self) -> None:
        pass


class Setup:
    """A provider whose model is pulled and whose child is `child`."""

    def __init__(self, models_dir: Path, settings: LocalSettings) -> None:
        self.network = Network()
        self.child = FakeProcess(Path("tiny.gguf"), settings)
        supervisor = LocalSupervisor(settings, launch=self._launch)
        self.provider = LocalProvider(
            "local", models_dir, self.network, settings, supervisor=supervisor
        )

    def _launch(self, path: Path, settings: LocalSettings) -> LocalProcess:
        return self.child

    async def ask(self, model: Model = MODEL, **fields: Any) -> ChatAnswer:
        turns = fields.pop("messages", (Message(role=Role.USER, content=(TextPart("hi"),)),))
        request = ChatRequest(model=model.id, messages=turns, **fields)
        answer = AnswerBuilder()
        async for batch in self.provider.stream(request, model, Deadlines(total_s=0.001)):
            for event in batch:
                answer.add(event)
        return answer.build()


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    is_runnable.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "xllamacpp" or None)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(CONTENT)
    pull(weights_of(CONTENT), folder)
    yield folder
    is_runnable.cache_clear()


@pytest.fixture
def local(models_dir: Path) -> Setup:
    return Setup(models_dir, LocalSettings(context_tokens=800, answer_timeout_s=77))


async def test_an_answer_comes_from_the_child_with_its_key(local: Setup) -> None:
    answer = await local.ask()

    assert answer == ChatAnswer(
        text="Hello",
        finish_reason=FinishReason.STOP,
        usage=Usage(input_tokens=3, output_tokens=1),
    )
    assert local.network.url == "http://127.0.0.1:1/prefix/v1/chat/completions"
    assert local.network.headers["authorization"] == "Bearer key"


@pytest.mark.proves("local.cancel")
@pytest.mark.parametrize("stream", [True, False])
async def test_the_child_always_streams_so_that_a_cancelled_answer_ends(
    local: Setup, stream: bool
) -> None:
    await local.ask(stream=stream)

    assert local.network.body["stream"] is True
    assert local.network.body["stream_options"] == {"include_usage": True}


async def test_time_limits_are_those_of_embedded_models_not_of_hosted_ones(local: Setup) -> None:
    await local.ask()

    assert local.network.deadlines == Deadlines(
        connect_s=5.0, first_byte_s=77, idle_s=77, total_s=77
    )


@pytest.mark.proves("local.greedy")
@pytest.mark.parametrize(
    ("asked", "temperature", "top_p"),
    [
        (Sampling(), 0.0, None),
        (Sampling(seed=1), 0.0, None),
        (Sampling(temperature=0.7), 0.7, None),
        (Sampling(top_p=0.5), None, 0.5),
    ],
)
async def test_decoding_is_greedy_unless_sampling_is_asked_for(
    local: Setup, asked: Sampling, temperature: float | None, top_p: float | None
) -> None:
    await local.ask(sampling=asked)

    assert (local.network.body.get("temperature"), local.network.body.get("top_p")) == (
        temperature,
        top_p,
    )


@pytest.mark.proves("local.bounded")
@pytest.mark.parametrize(
    ("asked", "window", "max_output", "sent"),
    [
        (None, None, None, 800),
        (None, 500, None, 500),
        (None, 1000, 300, 300),
        (100, 1000, 300, 100),
        (100_000, 1000, None, 800),
    ],
)
async def test_an_answer_is_never_longer_than_context_window_and_wish(
    local: Setup, asked: int | None, window: int | None, max_output: int | None, sent: int
) -> None:
    model = msgspec.structs.replace(MODEL, context_window=window, max_output=max_output)

    await local.ask(model, sampling=Sampling(max_tokens=asked))

    body = local.network.body
    assert body.get("max_tokens", body.get("max_completion_tokens")) == sent


@pytest.mark.proves("local.bounded")
async def test_fields_that_would_choose_a_slot_or_lift_a_bound_are_dropped(local: Setup) -> None:
    extra = {name: msgspec.Raw(b"7") for name in ("id_slot", "n_predict", "n", "top_k")}

    await local.ask(extra=extra)

    assert extra.keys() & local.network.body.keys() == {"top_k"}


@pytest.mark.proves("local.bounded")
async def test_a_prompt_over_the_context_is_refused_as_too_long(local: Setup) -> None:
    said = {
        "code": 400,
        "message": "request (9031 tokens) exceeds the available context size (4096 tokens)",
        "type": "exceed_context_size_error",
    }
    local.network.response = Response(400, msgspec.json.encode({"error": said}))

    with pytest.raises(ProviderError) as caught:
        await local.ask()

    assert caught.value.kind is ProviderErrorKind.TOO_LARGE


async def test_an_image_is_refused_before_any_call(local: Setup) -> None:
    picture = Message(role=Role.USER, content=(ImagePart(url="data:image/png;base64,AAAA"),))

    with pytest.raises(ProviderError, match="cannot see images") as caught:
        await local.ask(messages=(picture,))

    assert caught.value.kind is ProviderErrorKind.CAPABILITY
    assert local.network.url == ""


@pytest.mark.proves("local.crash-isolated")
async def test_a_cut_answer_of_a_dead_child_is_told_as_a_crash(
    local: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = ProviderError("The connection was cut.", kind=ProviderErrorKind.TRANSIENT)
    local.network.error = cut
    # Still alive when it is lent, gone when the answer breaks off.
    monkeypatch.setattr(FakeProcess, "wait_gone", lambda _self, _timeout_s: True)

    with pytest.raises(ProviderError) as caught:
        await local.ask()

    assert caught.value.message == (
        "The embedded model 'local/tiny' stopped in the middle of its answer: it was ended by "
        "SIGKILL."
    )
    assert caught.value.__cause__ is cut


async def test_other_failures_of_a_living_child_stay_what_they_are(local: Setup) -> None:
    late = ProviderError("No answer in time.", kind=ProviderErrorKind.TRANSIENT)
    local.network.error = late

    with pytest.raises(ProviderError) as caught:
        await local.ask()

    assert caught.value is late


async def test_a_model_that_is_not_pulled_names_the_command(local: Setup) -> None:
    model = msgspec.structs.replace(MODEL, weights=weights_of(b"other"))

    with pytest.raises(MachineError, match="has not been downloaded") as caught:
        await local.ask(model)

    assert caught.value.hint == "Run: ymera models pull tiny"


async def test_a_missing_package_names_the_command(
    local: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert not is_runnable()

    with pytest.raises(MachineError, match="'xllamacpp', which is not installed") as caught:
        await local.ask()

    assert caught.value.hint == "Run: pip install 'ymera[local]'"


async def test_while_its_child_runs_a_model_costs_no_look_at_the_disk(
    local: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    await local.ask()
    looks: list[str] = []

    def look(*_args: object) -> bool:
        looks.append("a look")
        return True

    monkeypatch.setattr(importlib.util, "find_spec", look)
    monkeypatch.setattr("ymera.providers.local.is_pulled", look)

    await local.ask()
    assert looks == []

    local.child.dead = True
    await local.ask()
    assert looks == ["a look"]  # a child that has to be started needs its file


async def test_an_entry_without_weights_is_no_embedded_model(local: Setup) -> None:
    with pytest.raises(CatalogError, match="names no file"):
        await local.ask(msgspec.structs.replace(MODEL, weights=None))


@pytest.mark.proves("local.on-demand")
async def test_closing_the_provider_ends_its_child(local: Setup) -> None:
    await local.ask()
    assert local.child.alive

    await local.provider.close()

    assert not local.child.alive
