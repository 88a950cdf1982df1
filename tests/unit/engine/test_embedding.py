"""Requests for vectors through the pipeline, over doubles of the upstream alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
import pytest

from tests.support.engine import FakeTime, Records
from ymera.core.access import LOCAL_OWNER, Principal, PrincipalKind
from ymera.core.embedding import EmbeddingAnswer, EmbeddingRequest, pack
from ymera.core.errors import (
    InvalidRequest,
    NoRoute,
    ProviderError,
    ProviderErrorKind,
    ProviderErrorScope,
    RateLimited,
    TooLong,
    UnknownModel,
    YmeraError,
)
from ymera.core.model import FreeTerms, Model, ModelKind
from ymera.core.route import ExclusionReason
from ymera.core.usage import Price, Usage
from ymera.engine.attempts import Retry
from ymera.engine.embedding import Embedded, Embedder
from ymera.engine.gate import CallGate
from ymera.engine.standing import Standing
from ymera.routing.health import HealthTable
from ymera.routing.plan import Snapshot
from ymera.security.guards.size import SizeGuard
from ymera.security.rate_limit import HourlyRateLimiter

CALLER = Principal(id="u", kind=PrincipalKind.USER)
ANSWER = EmbeddingAnswer(vectors=(pack([1.0]),), usage=Usage(input_tokens=3))


def model(provider: str, upstream_id: str = "bge-m3", **fields: object) -> Model:
    """Return a free embedding model."""
    made = Model(
        id=f"{provider}/{upstream_id}",
        provider=provider,
        upstream_id=upstream_id,
        name=upstream_id,
        kind=ModelKind.EMBEDDING,
        free=FreeTerms(free_now=True, may_auto_route=True, reason="test"),
    )
    return msgspec.structs.replace(made, **fields)


def failing(
    kind: ProviderErrorKind, scope: ProviderErrorScope = ProviderErrorScope.MODEL
) -> ProviderError:
    return ProviderError(f"It failed: {kind}.", kind=kind, scope=scope)


class Closures:
    """Keeps what was closed."""

    def __init__(self) -> None:
        self.closed: dict[str, str] = {}

    def why(self, provider: str) -> str | None:
        """Return why it is closed."""
        return self.closed.get(provider)

    def close(self, provider: str, why: str) -> None:
        """Close it."""
        self.closed[provider] = why


@dataclass
class Stage:
    """An embedder over models and what their hosts answer.

    Attributes:
        replies: by provider, or provider and key; what is not there answers.
        asked: providers and keys in the order they were asked.
    """

    models: tuple[Model, ...]
    replies: dict[object, YmeraError] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unavailable: dict[str, tuple[ExclusionReason, str]] = field(default_factory=dict)
    max_cost_usd: Decimal = Decimal(0)
    rate_limit: int = 100
    with_standing: bool = True
    store_text: bool = False
    answer: EmbeddingAnswer = ANSWER
    fails: int = 1_000
    pauses: list[float] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    time: FakeTime = field(default_factory=FakeTime)
    records: Records = field(default_factory=Records)

    def __post_init__(self) -> None:
        clock = self.time.clock()
        standing = Standing(
            clock=clock,
            keys=lambda provider: self.keys.get(provider, ()),
            health=HealthTable(),
            closures=Closures(),
        )
        self.embedder = Embedder(
            limiter=HourlyRateLimiter(self.rate_limit, now=clock.now),
            guards=[SizeGuard(100)],
            snapshot=lambda: Snapshot(models=self.models, availability=self.unavailable),
            max_cost_usd=self.max_cost_usd,
            call=self.call,
            gate=CallGate(2),
            sinks=[self.records],
            clock=clock,
            standing=standing if self.with_standing else None,
            retry=Retry(random=lambda: 0.5, pause=self.pause),
            store_text=self.store_text,
        )

    async def pause(self, seconds: float) -> None:
        """Note it, and let the time pass."""
        self.pauses.append(seconds)
        self.time.seconds += 60 * 60

    async def call(
        self, request: EmbeddingRequest, model: Model, key_id: str | None
    ) -> EmbeddingAnswer:
        """Answer, or fail as told."""
        self.asked.append((model.provider, key_id))
        error = self.replies.get((model.provider, key_id)) or self.replies.get(model.provider)
        if error is not None and self.fails > 0:
            self.fails -= 1
            raise error
        return self.answer

    async def embed(self, name: str, *texts: str, private: bool = False) -> Embedded:
        """Ask, and let the record arrive."""
        request = EmbeddingRequest(model=name, inputs=texts or ("a",), private=private)
        try:
            return await self.embedder.embed(request, CALLER)
        finally:
            await asyncio.sleep(0)


@pytest.mark.proves("embeddings.record")
async def test_an_answer_leaves_a_record() -> None:
    stage = Stage((model("a"),), keys={"a": ("A_KEY",)})
    done = await stage.embed("a/bge-m3", "some text", "more")

    assert done.answer == ANSWER
    (record,) = stage.records.seen
    assert (record.model_id, record.provider, record.error_code) == ("a/bge-m3", "a", None)
    assert (record.usage, record.cost_usd) == (Usage(input_tokens=3), Decimal(0))
    assert (record.principal, record.requested_model) == (CALLER, "a/bge-m3")
    assert [attempt.error_code for attempt in record.attempts] == [None]
    assert (record.prompt_chars, record.prompt) == (13, None)
    assert done.trace.id == record.id


async def test_texts_are_kept_only_where_that_is_wanted() -> None:
    keeping = Stage((model("a", trains_on_input=False),), store_text=True)
    await keeping.embed("a/bge-m3", "text")
    await keeping.embed("a/bge-m3", "secret", private=True)

    assert [record.prompt for record in keeping.records.seen] == ["text", None]


@pytest.mark.proves("embeddings.same-model")
async def test_a_bare_name_lets_every_host_of_that_model_serve_and_no_other_model() -> None:
    stage = Stage(
        (model("a", "baai/bge-m3"), model("b", "other"), model("c", "BGE-M3"), model("d")),
        replies={"a": failing(ProviderErrorKind.TRANSIENT)},
    )
    done = await stage.embed("bge-m3")

    assert stage.asked == [("a", None), ("c", None)]
    assert done.trace.model is not None
    assert done.trace.model.id == "c/BGE-M3"
    (record,) = stage.records.seen
    assert [attempt.error_code for attempt in record.attempts] == ["transient", None]


@pytest.mark.proves("embeddings.same-model")
async def test_an_id_pins_one_host() -> None:
    failure = failing(ProviderErrorKind.TRANSIENT)
    stage = Stage((model("a"), model("b")), replies={"a": failure})

    with pytest.raises(ProviderError) as caught:
        await stage.embed("a/bge-m3")

    assert caught.value is failure
    assert set(stage.asked) == {("a", None)}
    assert stage.records.seen[0].error_code == "provider_error"
    assert caught.value.request_id == stage.records.seen[0].id


async def test_a_host_whose_vectors_have_another_length_is_another_model() -> None:
    stage = Stage(
        (model("a", embedding_dims=4), model("b", embedding_dims=8), model("c")),
        replies={"a": failing(ProviderErrorKind.TRANSIENT)},
    )
    await stage.embed("bge-m3")

    assert stage.asked == [("a", None), ("c", None)]


@pytest.mark.proves("embeddings.keys")
@pytest.mark.parametrize(
    "failure",
    [
        failing(ProviderErrorKind.QUOTA_DAY),
        failing(ProviderErrorKind.AUTH, ProviderErrorScope.KEY),
    ],
)
async def test_a_key_to_blame_is_followed_by_the_next(failure: ProviderError) -> None:
    stage = Stage((model("a"),), keys={"a": ("K", "K_2", "K_3")}, replies={("a", "K"): failure})
    await stage.embed("a/bge-m3")
    await stage.embed("a/bge-m3")

    assert stage.asked[:2] == [("a", "K"), ("a", "K_2")]
    assert stage.asked[2] != ("a", "K")  # it is benched meanwhile


async def test_a_failure_of_the_model_is_not_the_keys() -> None:
    stage = Stage(
        (model("a"), model("b")),
        keys={"a": ("K", "K_2")},
        replies={"a": failing(ProviderErrorKind.MODEL_GONE)},
    )
    await stage.embed("bge-m3")

    assert stage.asked == [("a", "K"), ("b", None)]


async def test_the_last_host_is_tried_once_more_where_that_may_help() -> None:
    failure = failing(ProviderErrorKind.TRANSIENT)
    stage = Stage((model("a"), model("b")), replies={"a": failure, "b": failure}, fails=2)
    await stage.embed("bge-m3")
    hopeless = Stage((model("a"),), replies={"a": failing(ProviderErrorKind.MODEL_GONE)})
    with pytest.raises(ProviderError):
        await hopeless.embed("bge-m3")

    assert [provider for provider, _ in stage.asked] == ["a", "b", "b"]
    assert stage.pauses == [0.3]
    assert (len(hopeless.asked), hopeless.pauses) == (1, [])


async def test_without_a_standing_everybody_is_asked_once() -> None:
    stage = Stage(
        (model("a"), model("b")),
        with_standing=False,
        replies={"a": failing(ProviderErrorKind.QUOTA_DAY)},
    )
    await stage.embed("bge-m3")

    assert stage.asked == [("a", None), ("b", None)]


async def test_when_every_host_fails_all_of_it_is_told() -> None:
    last = failing(ProviderErrorKind.QUOTA_DAY)
    stage = Stage(
        (model("a"), model("b")), replies={"a": failing(ProviderErrorKind.TRANSIENT), "b": last}
    )
    with pytest.raises(NoRoute, match="It failed: quota_day") as caught:
        await stage.embed("bge-m3")

    assert {str(each) for each in caught.value.failures} == {
        "It failed: transient.",
        "It failed: quota_day.",
    }
    assert caught.value.__cause__ is last


@pytest.mark.proves("embeddings.refusals")
@pytest.mark.parametrize("name", ["auto", "free", "no-such", "a/chat"])
async def test_no_alias_and_no_chat_model_makes_vectors(name: str) -> None:
    stage = Stage((model("a"), msgspec.structs.replace(model("a", "chat"), kind=ModelKind.CHAT)))

    with pytest.raises(UnknownModel, match="could not be compared") as caught:
        await stage.embed(name)

    assert caught.value.param == "model"
    assert "a/bge-m3" in (caught.value.hint or "")
    assert stage.asked == []


Make = Callable[[], Stage]


@pytest.mark.proves("embeddings.refusals")
@pytest.mark.parametrize(
    ("stage", "private", "reason", "said"),
    [
        (
            lambda: Stage(
                (model("a"),), unavailable={"a/bge-m3": (ExclusionReason.NO_KEY, "No key: set K.")}
            ),
            False,
            ExclusionReason.NO_KEY,
            "set K",
        ),
        (lambda: Stage((model("a"),)), True, ExclusionReason.PRIVACY, "may train"),
        (
            lambda: Stage((model("a", free=FreeTerms(free_now=False, may_auto_route=False,
                                                     reason="It bills.")),)),
            False,
            ExclusionReason.NOT_FREE,
            "It bills",
        ),
        (
            lambda: Stage(
                (model("a", free=FreeTerms(free_now=False, may_auto_route=False, reason="")),),
                max_cost_usd=Decimal(1),
            ),
            False,
            ExclusionReason.NOT_FREE,
            "not known",
        ),
    ],
)  # fmt: skip
async def test_a_model_that_cannot_be_asked_says_why(
    stage: Make, private: bool, reason: ExclusionReason, said: str
) -> None:
    made = stage()
    with pytest.raises(NoRoute, match=said) as caught:
        await made.embed("a/bge-m3", private=private)

    assert [exclusion.reason for exclusion in caught.value.exclusions] == [reason]
    assert made.asked == []


async def test_a_budget_lets_a_paid_model_be_asked_and_its_cost_is_recorded() -> None:
    price = Price(input_usd_per_mtok=Decimal("0.1"), output_usd_per_mtok=Decimal(0))
    paid = model(
        "a", price=price, free=FreeTerms(free_now=False, may_auto_route=False, reason="It bills.")
    )
    stage = Stage((paid,), max_cost_usd=Decimal("0.01"))
    done = await stage.embed("a/bge-m3")

    assert done.trace.cost_usd() == Decimal("0.0000003")
    with pytest.raises(NoRoute, match="the budget is"):
        await Stage((paid,), max_cost_usd=Decimal("1e-9")).embed("a/bge-m3")


@pytest.mark.proves("money.reported-cost")
async def test_a_free_model_that_reports_a_cost_closes_its_provider() -> None:
    billed = msgspec.structs.replace(ANSWER, cost_usd=Decimal("0.001"))
    stage = Stage((model("a"),), answer=billed)
    done = await stage.embed("a/bge-m3")

    assert done.trace.cost_usd() == Decimal("0.001")
    with pytest.raises(NoRoute, match=r"0\.001") as caught:
        await stage.embed("a/bge-m3")
    assert caught.value.exclusions[0].reason is ExclusionReason.CLOSED
    assert len(stage.asked) == 1


@pytest.mark.proves("embeddings.refusals")
async def test_size_is_bounded_text_by_text() -> None:
    stage = Stage((model("a"),))
    await stage.embed("a/bge-m3", *["x" * 100] * 5)

    with pytest.raises(TooLong):
        await stage.embed("a/bge-m3", "x", "x" * 101)
    with pytest.raises(InvalidRequest):
        await stage.embed("a/bge-m3", "x", "  ")
    with pytest.raises(InvalidRequest):
        await stage.embedder.embed(EmbeddingRequest(model="a/bge-m3", inputs=()), CALLER)


async def test_a_text_over_every_context_is_too_long() -> None:
    stage = Stage((model("a", context_window=10), model("b", context_window=12)))

    with pytest.raises(TooLong, match="does not fit") as caught:
        await stage.embed("bge-m3", "x" * 90)
    assert caught.value.param == "input"
    await stage.embed("bge-m3", "x" * 40)
    assert stage.asked == [("b", None)]


@pytest.mark.proves("embeddings.admission")
async def test_requests_for_vectors_count_against_the_callers_limit() -> None:
    stage = Stage((model("a"),), rate_limit=1)
    await stage.embed("a/bge-m3")

    with pytest.raises(RateLimited):
        await stage.embed("a/bge-m3")
    assert stage.records.seen[-1].error_code == "rate_limit_exceeded"


async def test_a_caller_that_leaves_ends_the_call() -> None:
    stage = Stage((model("a"),))
    begun = asyncio.Event()

    async def hang(request: EmbeddingRequest, model: Model, key_id: str | None) -> EmbeddingAnswer:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    stage.embedder._call = hang
    task = asyncio.ensure_future(stage.embed("a/bge-m3"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert stage.records.seen[0].error_code == "cancelled"
    stage.embedder._call = stage.call
    assert (await stage.embed("a/bge-m3")).answer == ANSWER  # its slot was given back


async def test_the_local_owner_has_no_limit() -> None:
    stage = Stage((model("a"),), rate_limit=1)
    request = EmbeddingRequest(model="a/bge-m3", inputs=("a",))
    for _ in range(3):
        await stage.embedder.embed(request, LOCAL_OWNER)
