from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.routing import PAID, labelled_prompts, model, shipped, task
from ymera.catalog.load import load
from ymera.core.access import LOCAL_OWNER, Principal, PrincipalKind
from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Message,
    Part,
    Role,
    Sampling,
    TextPart,
    ToolCall,
)
from ymera.core.model import FreeTerms, Limits, Model, ModelKind
from ymera.core.route import Candidate, ExclusionReason, RoutePolicy
from ymera.core.task import Needs, TaskComplexity, TaskProfile
from ymera.routing.affinity import SWITCH_PRICE, conversation_key, goes_on, staying_bonus
from ymera.routing.plan import Snapshot, plan
from ymera.routing.profile import profile

pytestmark = pytest.mark.proves("routing.affinity")

texts = st.text(max_size=30)
principals = st.builds(Principal, id=texts, kind=st.sampled_from(PrincipalKind))
parts = st.builds(TextPart, texts) | st.builds(ImagePart, url=texts)
contents = st.lists(parts, max_size=2).map(tuple)
systems = st.builds(Message, role=st.just(Role.SYSTEM), content=contents)
users = st.builds(Message, role=st.just(Role.USER), content=contents)
later_turns = st.lists(
    st.builds(
        Message,
        role=st.sampled_from([Role.ASSISTANT, Role.TOOL, Role.USER]),
        content=contents,
        tool_calls=st.lists(
            st.builds(ToolCall, id=texts, name=texts, arguments=texts), max_size=1
        ).map(tuple),
    ),
    max_size=4,
)


def said(*turns: Message, model: str = "auto") -> ChatRequest:
    return ChatRequest(model=model, messages=turns)


def turn(role: Role, *content: str) -> Message:
    held: tuple[Part, ...] = tuple(map(TextPart, content))
    return Message(role=role, content=held)


@given(principals, st.lists(systems, max_size=1), users, later_turns, st.booleans(), texts)
def test_every_turn_of_a_conversation_has_the_key_of_its_first(
    who: Principal,
    system: list[Message],
    first: Message,
    later: list[Message],
    stream: bool,
    name: str,
) -> None:
    opening = said(*system, first)
    going_on = msgspec.structs.replace(
        said(*system, first, *later, model=name), stream=stream, sampling=Sampling(temperature=1)
    )
    assert conversation_key(who, going_on) == conversation_key(who, opening) is not None


@given(principals, principals, st.lists(systems, max_size=1), users)
def test_two_callers_never_share_a_conversation(
    one: Principal, other: Principal, system: list[Message], first: Message
) -> None:
    request = said(*system, first)
    same = conversation_key(one, request) == conversation_key(other, request)
    assert same == (one == other)


@given(texts, texts, texts, texts)
def test_another_beginning_is_another_conversation(
    system: str, first: str, other_system: str, other_first: str
) -> None:
    one = said(turn(Role.SYSTEM, system), turn(Role.USER, first))
    other = said(turn(Role.SYSTEM, other_system), turn(Role.USER, other_first))
    same = conversation_key(LOCAL_OWNER, one) == conversation_key(LOCAL_OWNER, other)
    assert same == ((system, first) == (other_system, other_first))


def test_images_and_the_cut_between_parts_count() -> None:
    def key(*content: Part) -> bytes | None:
        return conversation_key(LOCAL_OWNER, said(Message(role=Role.USER, content=content)))

    keys = {
        key(TextPart("ab")),
        key(TextPart("a"), TextPart("b")),
        key(TextPart("ab"), ImagePart(url="data:1")),
        key(TextPart("ab"), ImagePart(url="data:2")),
    }
    assert len(keys) == 4


def test_half_a_surrogate_pair_has_a_key() -> None:
    assert conversation_key(LOCAL_OWNER, said(turn(Role.USER, "\ud800"))) is not None


def test_a_request_without_a_user_turn_belongs_to_no_conversation() -> None:
    assert conversation_key(LOCAL_OWNER, said(turn(Role.SYSTEM, "Be brief."))) is None


def test_only_an_answered_conversation_goes_on() -> None:
    question = turn(Role.USER, "hi")
    assert not goes_on(said(question))
    assert not goes_on(said(question, turn(Role.USER, "are you there?")))
    assert goes_on(said(question, turn(Role.ASSISTANT, "hello"), question))


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_staying_is_worth_more_the_longer_the_conversation(one: int, other: int) -> None:
    shorter, longer = sorted((one, other))
    low = staying_bonus(task(est_input_tokens=shorter))
    high = staying_bonus(task(est_input_tokens=longer))
    assert SWITCH_PRICE / 2 < low <= high < SWITCH_PRICE


def near(quality: float) -> dict[str, object]:
    return {"quality": {"chat": quality, "code": quality}, "tools": True}


def test_a_neighbour_no_longer_takes_over_but_a_far_better_model_does() -> None:
    last = model("sim/last", **near(0.50))
    neighbour = model("sim/neighbour", **near(0.55))
    better = model("sim/better", **near(0.90))

    def first(*models: Model, stays_with: str | None) -> str:
        made = plan(
            task(),
            Snapshot(models=models),
            RoutePolicy(),
            stays_with=stays_with,
        )
        return made.candidates[0].model.id

    assert first(last, neighbour, stays_with=None) == "sim/neighbour"
    assert first(last, neighbour, stays_with="sim/last") == "sim/last"
    assert first(last, neighbour, better, stays_with="sim/last") == "sim/better"


def test_the_bonus_is_a_term_of_the_score_and_part_of_the_reason() -> None:
    models = (model("sim/last", **near(0.5)), model("sim/other", **near(0.5)))
    made = plan(task(), Snapshot(models=models), RoutePolicy(), stays_with="sim/other")
    stayed, other = made.candidates
    assert stayed.model.id == "sim/other"
    assert stayed.terms["affinity"] == staying_bonus(task())
    assert stayed.score == pytest.approx(sum(stayed.terms.values()))
    assert "answered this conversation's last turn +0.2" in stayed.reason
    assert "affinity" not in other.terms
    assert "conversation" not in other.reason


def narrow(id: str, tpm: int | None, quality: float) -> Model:
    terms = FreeTerms(
        free_now=True, may_auto_route=True, reason="free in a test", limits=Limits(tpm=tpm)
    )
    return model(id, free=terms, **near(quality))


@pytest.mark.proves("engine.outgrown")
def test_a_conversation_with_tools_keeps_away_from_minutes_too_small_for_its_next_turns() -> None:
    models = (narrow("sim/narrow", 8_000, 0.7), narrow("sim/wide", None, 0.5))
    work = task(est_input_tokens=3_500, est_output_tokens=1_000, needs=Needs(tools=True))

    def first(profile: TaskProfile, stays_with: str | None = None) -> Candidate:
        made = plan(profile, Snapshot(models=models), RoutePolicy(), stays_with=stays_with)
        return made.candidates[0]

    assert first(work).model.id == "sim/wide"
    short = msgspec.structs.replace(work, est_input_tokens=2_500)
    assert first(short).model.id == "sim/narrow"
    without_tools = msgspec.structs.replace(work, needs=Needs())
    assert first(without_tools).model.id == "sim/narrow"
    stayed = first(work, stays_with="sim/narrow")
    assert stayed.model.id == "sim/narrow", "leaving it would be the switch that is to be avoided"
    other = plan(work, Snapshot(models=models), RoutePolicy()).candidates[1]
    assert other.terms["outgrown"] == -staying_bonus(work)
    assert "too few tokens a minute" in other.reason


@pytest.mark.parametrize("why", [ExclusionReason.HEALTH, ExclusionReason.NO_KEY])
def test_the_bonus_lapses_when_the_model_cannot_be_asked(why: ExclusionReason) -> None:
    models = (model("sim/last"), model("sim/other"))
    snapshot = Snapshot(models=models, availability={"sim/last": (why, "It rests.")})
    made = plan(task(), snapshot, RoutePolicy(), stays_with="sim/last")
    assert [each.model.id for each in made.candidates] == ["sim/other"]
    assert all("affinity" not in each.terms for each in made.candidates)


def test_a_model_to_avoid_is_asked_last_though_it_answered_before() -> None:
    models = (model("sim/last"), model("sim/other"))
    policy = RoutePolicy(avoid={"sim/last": "failed its checks"})
    made = plan(task(), Snapshot(models=models), policy, stays_with="sim/last")
    assert [each.model.id for each in made.candidates] == ["sim/other", "sim/last"]


def test_a_paid_model_does_not_win_over_a_free_one_by_staying() -> None:
    models = (model("sim/free"), model("sim/paid", free=PAID))
    policy = RoutePolicy(max_cost_usd=Decimal(1))
    made = plan(task(), Snapshot(models=models), policy, stays_with="sim/paid")
    assert made.candidates[0].model.id == "sim/free"


def switches(random: Random, *, stays: bool) -> int:
    """Return how often a session of 12 turns, each of another kind of task, changes its model."""
    fit = [
        each
        for each in load().models
        if each.kind is ModelKind.CHAT and each.free.may_auto_route and not each.free.limits.tpm
    ]
    snapshot = Snapshot(models=tuple(random.sample(fit, random.randint(2, 20))))
    turns = [turn(Role.SYSTEM, "Follow the rules. " * random.randint(100, 1_000))]
    used: list[str] = []
    for _ in range(12):
        turns.append(turn(Role.USER, random.choice(labelled_prompts()).text))
        asked = profile(said(*turns), shipped(), TaskComplexity.MEDIUM)
        last = used[-1] if used and stays else None
        made = plan(asked, snapshot, RoutePolicy(), explain=False, stays_with=last)
        used += [each.model.id for each in made.candidates[:1]]
        turns.append(turn(Role.ASSISTANT, "A line of an answer.\n" * random.randint(5, 100)))
    return sum(one != next_one for one, next_one in pairwise(used))


def test_a_session_of_many_kinds_of_tasks_changes_its_model_once_at_most() -> None:
    with_bonus = [switches(Random(seed), stays=True) for seed in range(40)]
    without = [switches(Random(seed), stays=False) for seed in range(40)]
    assert max(with_bonus) <= 1
    assert sum(with_bonus) <= 2
    assert sum(without) >= 20  # there was something to prevent


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.booleans(), st.booleans(), st.none() | st.integers(50, 5000)),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 5),
    st.integers(1, 10_000),
)
def test_staying_never_lets_a_model_in_or_out(
    facts: list[tuple[float, bool, bool, int | None]], place: int, tokens: int
) -> None:
    models = tuple(
        model(f"sim/m{n}", quality={"code": quality}, context_window=window,
              **({} if free else {"free": PAID}))
        for n, (quality, free, _, window) in enumerate(facts)
    )  # fmt: skip
    rests = {
        f"sim/m{n}": (ExclusionReason.HEALTH, "It rests.")
        for n, (_, _, well, _) in enumerate(facts)
        if not well
    }
    snapshot = Snapshot(models=models, availability=rests)
    profile, policy = task(est_input_tokens=tokens), RoutePolicy(max_candidates=9)
    without = plan(profile, snapshot, policy)
    staying = plan(profile, snapshot, policy, stays_with=f"sim/m{place}")
    ids = {each.model.id for each in without.candidates}

    assert {each.model.id for each in staying.candidates} == ids
    assert staying.exclusions == without.exclusions
    others = [each.model.id for each in without.candidates if each.model.id != f"sim/m{place}"]
    stayed = [each.model.id for each in staying.candidates if each.model.id != f"sim/m{place}"]
    assert stayed == others  # nobody else changes places
