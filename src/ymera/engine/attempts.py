"""The fallback loop: ask the candidates in order until one has answered.

The commit point is the first delta that can reach the caller. Before it, a failure moves on to
the next candidate; after it, the failure is the caller's to see. A plain (not streamed) answer
reaches the caller whole, so its commit point is its end.

Right before each call, with a slot for it in hand, it is looked at once more whether the candidate
can be asked: what the plan knew may have changed since, unless nothing else has run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ymera.core.answer import AnswerBuilder, ChatEvent
from ymera.core.chat import ChatRequest
from ymera.core.errors import (
    CatalogError,
    ConfigError,
    MachineError,
    NoRoute,
    ProviderError,
    ProviderErrorKind,
    ProviderErrorScope,
    Unsupported,
    YmeraError,
)
from ymera.core.model import Model
from ymera.core.route import Candidate, Exclusion, RoutePlan
from ymera.engine.ceiling import under_ceiling
from ymera.engine.gate import CallGate
from ymera.engine.standing import Standing
from ymera.engine.structured import checked
from ymera.engine.trace import RequestTrace
from ymera.engine.upstream_call import UpstreamCall, UpstreamEvents

__all__ = ["Asking", "Attempts", "Call", "Commitment", "Retry", "is_about_key"]

_FINAL = frozenset({ProviderErrorKind.MODERATION})
"""Failures that another model must not paper over."""

_FAILURES = (ProviderError, MachineError, ConfigError, CatalogError, Unsupported)
"""What is wrong with one candidate, so that the next one may still answer: `Unsupported` where its
dialect has no words for what is asked."""

_HICCUP = frozenset({ProviderErrorKind.TRANSIENT})
_BRIEF = _HICCUP | {ProviderErrorKind.UPSTREAM_BUSY}

_HINT = "`ymera doctor` shows what is wrong; `ymera route` shows what could be asked."


@dataclass(frozen=True, kw_only=True, slots=True)
class Commitment:
    """An answer that has begun.

    Attributes:
        head: the events seen so far.
        rest: batches still to come, to be read once; None: the answer is whole.
        end: gives back what the answer holds (the upstream call and its slot) and cancels what
            still runs; told what ended it, None where all is well. None: nothing is held.
        whole: of a whole answer, its events added up already; None: nobody has.
    """

    head: Sequence[ChatEvent]
    rest: AsyncIterator[Sequence[ChatEvent]] | None = None
    end: Callable[[BaseException | None], Awaitable[None]] | None = None
    whole: AnswerBuilder | None = None


class Call(Protocol):
    """Starts one upstream call."""

    def __call__(self, request: ChatRequest, model: Model, key_id: str | None) -> UpstreamEvents:
        """Return its events; `key_id` names the key to use, None the provider's first or none."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """A second try of the last candidate, where nobody else is left to ask.

    And of the model that a conversation stays with: one hiccup is no reason to change it. It is
    made where the upstream failed quickly and before it had answered anything: what it might have
    done twice is nothing. A call that ran into a deadline is not made again.

    Attributes:
        random: returns 0..1, so that callers who failed together do not come back together.
        pause: waits for seconds.
        pause_s: the middle of the pause.
        quick_s: what counts as quickly.
    """

    random: Callable[[], float]
    pause: Callable[[float], Awaitable[None]]
    pause_s: float = 0.3
    quick_s: float = 0.9

    def helps(self, error: YmeraError, took_s: float, *, busy: bool = False) -> bool:
        """Return whether the failed call may well succeed a moment later.

        Args:
            error: how it failed.
            took_s: seconds it took.
            busy: whether a host that was only busy is worth it, too.
        """
        kinds = _BRIEF if busy else _HICCUP
        return (
            isinstance(error, ProviderError)
            and error.kind in kinds
            and (error.retry_after_s or 0.0) <= self.quick_s
            and took_s <= self.quick_s
        )

    async def wait(self) -> None:
        """Wait for half to one and a half of `pause_s`."""
        await self.pause(self.pause_s * (0.5 + self.random()))


class _PassedOver(Exception):
    """A candidate that cannot be asked at this moment."""

    def __init__(self, exclusion: Exclusion) -> None:
        super().__init__(exclusion.detail)
        self.exclusion = exclusion


class Asking:
    """What has become of the candidates of one request so far."""

    def __init__(self, request: ChatRequest, plan: RoutePlan, trace: RequestTrace) -> None:
        self.request = request
        self.plan = plan
        self.trace = trace
        self.failures: list[YmeraError] = []
        self.tried: set[str | None] = set()
        """Keys the model at hand was asked with."""
        self.answered = False
        """Whether the last call had begun to answer."""
        self.asked: dict[str, None] = {}
        """Ids of the models that were asked."""
        self.fresh = plan.admitted
        """Whether nothing else has run since the plan was made, so that it is no older than this
        moment."""

    def pass_over(self, exclusion: Exclusion) -> None:
        """Note why a candidate is not asked."""
        self.plan = msgspec.structs.replace(
            self.plan, exclusions=(*self.plan.exclusions, exclusion)
        )
        self.trace.plan = self.plan

    def error(self) -> YmeraError:
        """Return what to tell when nobody has answered."""
        plan, failures = self.plan, self.failures
        unsayable = failures and all(isinstance(each, Unsupported) for each in failures)
        if unsayable or (failures and len(plan.candidates) == 1):
            return failures[-1]
        if failures:
            names = ", ".join(self.asked)
            message = f"Every model that could be asked failed: {names}. Last error: {failures[-1]}"
        else:
            message = f"No model can be asked at this moment. {plan.exclusions[-1].detail}"
        error = NoRoute(message, exclusions=plan.exclusions, failures=failures, hint=_HINT)
        error.__cause__ = failures[-1] if failures else None
        return error


class Attempts:
    """Asks candidates in order.

    Args:
        call: starts one upstream call.
        gate: bounds concurrent upstream calls.
        standing: says who can be asked now and takes note of each call; None lets everyone be
            asked and keeps no note.
        retry: tries the last candidate again; None never does.
    """

    def __init__(
        self,
        *,
        call: Call,
        gate: CallGate,
        standing: Standing | None = None,
        retry: Retry | None = None,
    ) -> None:
        self._call = call
        self._gate = gate
        self._standing = standing
        self._retry = retry

    async def commit(
        self, request: ChatRequest, plan: RoutePlan, trace: RequestTrace, *, waited: bool = False
    ) -> Commitment:
        """Return the first answer that begins (streamed) or is whole (plain).

        Every upstream call is noted in `trace`, and every candidate passed over in its plan.

        Args:
            request: what is asked.
            plan: whom to ask.
            trace: takes note.
            waited: whether anything was waited for since the plan was made.

        Raises:
            ProviderError: the only candidate failed, or one failed in a way that is final.
            MachineError, ConfigError, CatalogError: the only candidate could not be asked at all.
            Unsupported: no candidate's dialect has words for what is asked.
            NoRoute: every one of several candidates failed, or none can be asked any more.
        """
        asking = Asking(request, plan, trace)
        if waited:
            asking.fresh = False
        for candidate in plan.candidates:
            commitment = await self._ask(candidate, asking)
            if commitment is not None:
                return commitment
        raise asking.error()

    async def _ask(self, candidate: Candidate, asking: Asking) -> Commitment | None:
        """Ask one model, with its other keys where a key was to blame; None: go on to the next."""
        asking.tried.clear()
        plan = asking.plan
        last = (
            candidate is plan.candidates[-1] and len(asking.asked) < plan.policy.max_candidates - 1
        )
        stays = "affinity" in candidate.terms
        retries = 1 if (last or stays) and self._retry is not None else 0
        while True:
            started_s = asking.trace.clock.monotonic()
            try:
                return await self._attempt(candidate, asking)
            except _PassedOver as passed:
                if not asking.tried:
                    asking.pass_over(passed.exclusion)
                return None
            except _FAILURES as error:
                if isinstance(error, ProviderError) and error.kind in _FINAL:
                    raise
                asking.failures.append(error)
                took_s = asking.trace.clock.monotonic() - started_s
                retry = self._retry if retries and not asking.answered else None
                busy = stays or len(plan.candidates) > 1  # the others were all busy, too
                if retry is not None and retry.helps(error, took_s, busy=busy):
                    retries = 0
                    asking.tried.clear()
                    await retry.wait()
                elif self._standing is None or not is_about_key(error):
                    return None

    async def _attempt(self, candidate: Candidate, asking: Asking) -> Commitment:
        trace, model = asking.trace, candidate.model
        trace.upstream_starts()
        request, losses = under_ceiling(asking.request, model, asking.plan.profile)
        losses = (*request.losses, *losses)
        if await self._gate.enter():
            asking.fresh = False
        try:
            call = self._begun(candidate, asking, losses)
        except BaseException:
            self._gate.leave()
            raise
        try:
            events = call.begin(self._call(request, model, call.key_id))
            events = checked(events, request, model)
            await call.read_head(events)
        except BaseException as error:
            asking.answered = call.answered
            await call.end(error)
            raise
        call.commit()
        if request.stream:
            return Commitment(head=call.head, rest=events, end=call.end)
        await call.end(None)
        return Commitment(head=call.head, whole=call.answer)

    def _begun(self, candidate: Candidate, asking: Asking, losses: tuple[str, ...]) -> UpstreamCall:
        """Take what the call needs.

        Raises:
            _PassedOver: the candidate cannot be asked now.
        """
        model, key_id, lease = candidate.model, candidate.key_id, None
        now = asking.trace.clock.now()
        if self._standing is not None:
            profile = asking.plan.profile
            if not asking.fresh:
                found = self._standing.admit(model, profile, without=asking.tried, now=now)
                if isinstance(found, Exclusion):
                    raise _PassedOver(found)
                key_id = found
            asking.fresh = False
            lease = self._standing.lease(model, key_id, profile, now)
        asking.tried.add(key_id)
        asking.asked[model.id] = None
        return UpstreamCall(
            asking.request, model, key_id, asking.trace, lease, now, losses, self._gate.leave
        )


def is_about_key(error: YmeraError) -> bool:
    """Return whether another key of the same provider may fare better."""
    return isinstance(error, ProviderError) and (
        error.scope is ProviderErrorScope.KEY
        or error.kind
        in {
            ProviderErrorKind.AUTH,
            ProviderErrorKind.QUOTA_MINUTE,
            ProviderErrorKind.QUOTA_DAY,
            ProviderErrorKind.QUOTA_MONTH,
        }
    )
