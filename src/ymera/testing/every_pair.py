"""Calls every active chat and embedding pair of the catalogue against the simulator.

Nothing is stepped over on the way: routing, guards, codec, HTTP and the vendor's shapes are all
real. What this proves is our own side; a vendor may have changed since its row was written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from ymera.catalog.catalog import Catalog
from ymera.catalog.check import count
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import AnswerBuilder, ChatAnswer, FinishReason
from ymera.core.chat import (
    ChatRequest,
    Message,
    RequestHints,
    Role,
    Sampling,
    TextPart,
    ToolSpec,
)
from ymera.core.embedding import EmbeddingRequest, unpack
from ymera.core.errors import YmeraError
from ymera.core.model import Model, ModelKind
from ymera.testing.pointing import is_unpriced
from ymera.testing.providers import ProviderSimulator
from ymera.testing.vectors import UNSAID_DIMS, vector_of

if TYPE_CHECKING:
    from ymera.app import App

__all__ = ["PairResult", "ProviderTotal", "Totals", "call_every_pair", "totals_of"]

_STEP_S = 1801.0
"""The vendors' clock and ours move on by this before each call, so that no quota of 48 requests a
day or more is used up on the way."""

_ADD = ToolSpec(
    name="add",
    description="Adds two numbers.",
    parameters=msgspec.Raw(
        b'{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},'
        b'"required":["a","b"]}'
    ),
)


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one model at one provider.

    Attributes:
        model: the row, or the stand-in of a provider without rows.
        dialect: in which it was asked.
        stand_in: whether the catalogue holds no such model.
        problems: by mode (plain, streamed, ...), one sentence each; empty when all went well.
    """

    model: Model
    dialect: str
    stand_in: bool
    problems: dict[str, str]


class ProviderTotal(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's line of the report."""

    provider: str
    dialect: str
    pairs: int
    passed: int
    stand_in: bool


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The report.

    Attributes:
        providers: one line each.
        pairs, passed: catalogue pairs, stand-ins left out.
        vouched: pairs among them whose price nobody knows, so that no budget would have let them
            be asked; the settings vouched for them.
        hosted_free_chat: different hosted chat models among those that passed and are free now.
        failures: one sentence each.
    """

    providers: tuple[ProviderTotal, ...]
    pairs: int
    passed: int
    vouched: int
    hosted_free_chat: int
    failures: tuple[str, ...]


async def call_every_pair(
    app: App, simulator: ProviderSimulator, *, models: Sequence[Model] | None = None
) -> AsyncIterator[PairResult]:
    """Call each pair, plain and streamed, and yield what came of it.

    Models that can call tools are asked to, both ways as well.

    Args:
        app: set up with `simulator.settings` and its clock, and a budget that lets paid models be
            asked by name.
        simulator: plays the providers.
        models: those to call; every one of the simulated providers by default.
    """
    rows = {row.id: row for owner in simulator.providers for row in simulator.models_of(owner)}
    chosen = models if models is not None else _pairs(app, simulator)
    for number, model in enumerate(chosen, 1):
        problems = {}
        for mode in _modes(model):
            simulator.advance(_STEP_S)
            before = simulator.calls[model.provider, model.upstream_id, 200]
            try:
                problem = await _call(app, rows.get(model.id, model), number, mode)
            except YmeraError as error:
                problem = f"{error.message} {error.hint or ''}".strip()
            calls = simulator.calls[model.provider, model.upstream_id, 200] - before
            if problem is None and calls != 1:
                problem = f"The provider saw {calls} good calls instead of 1."
            if problem is not None:
                problems[mode] = problem
        provider = app.catalog.provider_of(model)
        dialect = provider.endpoints[0].dialect if provider.endpoints else provider.dialects[0]
        yield PairResult(
            model=model,
            dialect=dialect.value,
            stand_in=model.id not in rows,
            problems=problems,
        )


def _modes(model: Model) -> tuple[str, ...]:
    if model.kind is ModelKind.EMBEDDING:
        return ("embedding",)
    tools = ("tool call", "streamed tool call") if model.tools else ()
    return ("plain", "streamed", *tools)


async def _call(app: App, model: Model, number: int, mode: str) -> str | None:
    if mode == "embedding":
        return await _embed(app, model, number)
    stream = mode.startswith("streamed")
    if mode.endswith("tool call"):
        return await _tool_call(app, model, stream=stream)
    return await _chat(app, model, number, stream=stream)


def totals_of(results: Sequence[PairResult], catalog: Catalog) -> Totals:
    """Return the report."""
    rows = []
    for provider in dict.fromkeys(result.model.provider for result in results):
        own = [result for result in results if result.model.provider == provider]
        rows.append(
            ProviderTotal(
                provider=provider,
                dialect=own[0].dialect,
                pairs=len(own),
                passed=sum(not result.problems for result in own),
                stand_in=own[0].stand_in,
            )
        )
    real = [result for result in results if not result.stand_in]
    passed = {result.model.id for result in real if not result.problems}
    free = Catalog(
        generated=catalog.generated,
        providers=catalog.providers.values(),
        models=[model for model in catalog.models if model.id in passed],
    )
    return Totals(
        providers=tuple(rows),
        pairs=len(real),
        passed=len(passed),
        vouched=sum(is_unpriced(catalog.get(result.model.id)) for result in real),
        hosted_free_chat=count(free).distinct_free_chat,
        failures=tuple(
            f"{result.model.id} ({mode}): {problem}"
            for result in results
            for mode, problem in result.problems.items()
        ),
    )


def _pairs(app: App, simulator: ProviderSimulator) -> list[Model]:
    """Return the models to call; of the app's catalogue, which has the stand-ins too."""
    kinds = {ModelKind.CHAT, ModelKind.EMBEDDING}
    played = simulator.providers
    return [m for m in app.catalog.models if m.provider in played and m.kind in kinds]


async def _chat(app: App, model: Model, number: int, *, stream: bool) -> str | None:
    prompt = f"Say hello to number {number}."
    request = _request(model, prompt, stream=stream)
    request = msgspec.structs.replace(
        request, sampling=Sampling(temperature=0.2, max_tokens=64, seed=7)
    )
    answer = await _answer(app, model, request)
    if answer is None:
        return "Another model answered."
    if answer.text != f"You asked: {prompt}":
        return f"It said {answer.text!r}."
    if answer.usage is None:
        return "It reported no usage."
    if answer.usage.input_tokens != len(prompt.split()):
        return f"It counted {answer.usage.input_tokens} tokens of input."
    return None


async def _tool_call(app: App, model: Model, *, stream: bool) -> str | None:
    request = _request(model, "Call add.", stream=stream)
    answer = await _answer(app, model, msgspec.structs.replace(request, tools=(_ADD,)))
    if answer is None:
        return "Another model answered."
    made = [(call.name, msgspec.json.decode(call.arguments)) for call in answer.tool_calls]
    if made != [("add", {"a": 1, "b": 1})] or answer.finish_reason is not FinishReason.TOOL_CALLS:
        return f"It called {made} and stopped because of {answer.finish_reason}."
    return None


def _request(model: Model, prompt: str, *, stream: bool) -> ChatRequest:
    return ChatRequest(
        model=model.id,
        messages=(Message(role=Role.USER, content=(TextPart(prompt),)),),
        stream=stream,
        include_usage=True,
        hints=RequestHints(fresh=True, no_store=True),
    )


async def _answer(app: App, model: Model, request: ChatRequest) -> ChatAnswer | None:
    """Return the answer; None when it is another model's."""
    reply = await app.gateway.handle(request, LOCAL_OWNER)
    builder = AnswerBuilder()
    async for event in reply.events():
        builder.add(event)
    answered = reply.trace.model
    return builder.build() if answered is not None and answered.id == model.id else None


async def _embed(app: App, model: Model, number: int) -> str | None:
    texts = (f"Text number {number}.", "Another one.")
    request = EmbeddingRequest(model=model.id, inputs=texts)
    done = await app.embedder.embed(request, LOCAL_OWNER)
    if done.trace.model is None or done.trace.model.id != model.id:
        return "Another model answered."
    vectors = [unpack(vector) for vector in done.answer.vectors]
    if [len(vector) for vector in vectors] != [model.embedding_dims or UNSAID_DIMS] * 2:
        return f"Its vectors have {done.answer.dimensions} dimensions."
    if vectors != [vector_of(text, len(vectors[0])) for text in texts]:
        return "Its vectors are others than were sent."
    return None
