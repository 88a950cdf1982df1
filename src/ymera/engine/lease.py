"""One upstream call under way: what it holds, and what is learnt when it ends."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from ymera.core.errors import ProviderError, ProviderErrorKind, YmeraError
from ymera.core.model import Model
from ymera.core.quota import LimitSeen, LimitSource, PoolKey, QuotaMetric, QuotaWindow
from ymera.core.usage import Usage
from ymera.routing.health import Probe

if TYPE_CHECKING:
    from ymera.engine.standing import Standing
    from ymera.routing.quota import Ticket

__all__ = ["Lease"]

_OUT_OF_CREDIT = 402
_CHARS_PER_TOKEN = 3
"""Rather too few: a vendor may have made more than was read of it."""

_WINDOWS = {
    ProviderErrorKind.QUOTA_MINUTE: QuotaWindow.MINUTE,
    ProviderErrorKind.QUOTA_DAY: QuotaWindow.DAY,
    ProviderErrorKind.QUOTA_MONTH: QuotaWindow.MONTH,
}


class Lease:
    """What one call holds of quotas and health; `end` it once, whatever became of the call.

    Args:
        standing: where it was taken.
        model: what is asked.
        key_id: with which key.
        pools: what the call counts against.
        ticket: what was reserved there.
        probe: the half-open breakers that the call is trying.
        began: UTC; when it was taken.
        prompt_tokens: estimate of what is sent.
    """

    __slots__ = (
        "_began",
        "_open",
        "_pools",
        "_probe",
        "_prompt_tokens",
        "_standing",
        "_ticket",
        "key_id",
        "model",
    )

    def __init__(
        self,
        standing: Standing,
        model: Model,
        key_id: str | None,
        *,
        pools: tuple[PoolKey, ...],
        ticket: Ticket | None,
        probe: Probe,
        began: datetime,
        prompt_tokens: int = 0,
    ) -> None:
        self.model = model
        self.key_id = key_id
        self._standing = standing
        self._pools = pools
        self._ticket = ticket
        self._probe = probe
        self._began = began
        self._prompt_tokens = prompt_tokens
        self._open = True

    def learned(self, limits: tuple[LimitSeen, ...]) -> None:
        """Take in what the upstream's answer says of its limits."""
        standing = self._standing
        if standing.quotas is not None and self._pools and limits:
            standing.quotas.book.learn(self._pools, limits, standing.clock.now())

    def answering(self) -> None:
        """Note that the upstream has begun to answer, so that others may try it, too."""
        if self._probe:
            self._standing.health.released(self._probe)

    def end(
        self,
        error: BaseException | None,
        *,
        usage: Usage | None = None,
        cost_usd: Decimal | None = None,
        answered: bool = True,
        read_chars: int | None = None,
    ) -> None:
        """Give everything back and note how the call went; does nothing a second time.

        Args:
            error: what ended it; None: the answer is whole.
            usage: tokens as far as they are known.
            cost_usd: what the upstream says it cost.
            answered: whether anything of an answer had come.
            read_chars: of text, reasoning and tool arguments, where the answer is not whole: its
                last piece would have told the tokens. None: the reservation stands.
        """
        if not self._open:
            return
        self._open = False
        standing, model, now = self._standing, self.model, self._standing.clock.now()
        if error is not None and answered and read_chars is not None:
            usage = _as_read(usage, self._prompt_tokens, read_chars)
        self._settle(error, usage, now, answered=answered)
        standing.health.released(self._probe)
        if error is None:
            standing.health.succeeded(model.id, model.provider, self.key_id, now)
        elif isinstance(error, ProviderError):
            self.learned(_limits_of(error))
            block = standing.health.failed(
                model.id, model.provider, self.key_id, error, now, began=self._began
            )
            if block is not None:
                standing.benched(model, self.key_id, block)
            if error.status == _OUT_OF_CREDIT:
                standing.billed(model, None)
        if cost_usd is not None and cost_usd > 0:
            standing.billed(model, cost_usd)

    def _settle(
        self, error: BaseException | None, usage: Usage | None, now: datetime, *, answered: bool
    ) -> None:
        standing = self._standing
        if standing.quotas is None or self._ticket is None:
            return
        book = standing.quotas.book
        refused = isinstance(error, ProviderError) and error.status is not None
        if answered:
            book.settle(self._ticket, usage, now, counted=True)
        elif refused:
            counted = standing.quotas.counts_failed(self.model)
            book.settle(self._ticket, usage, now, counted=counted)
        elif isinstance(error, YmeraError) and not isinstance(error, ProviderError):
            book.release(self._ticket, now)  # it could not even be asked
        else:
            # Cut, over a deadline or given up by us: the vendor most likely counts it.
            book.settle(self._ticket, usage, now, counted=True)


def _as_read(usage: Usage | None, prompt_tokens: int, read_chars: int) -> Usage:
    """Return what an answer that was cut took: what was told on the way, at least what was read."""
    told = usage or Usage()
    return Usage(
        input_tokens=told.input_tokens or prompt_tokens,
        output_tokens=max(told.output_tokens, -(-read_chars // _CHARS_PER_TOKEN)),
    )


def _limits_of(error: ProviderError) -> tuple[LimitSeen, ...]:
    """Return the limits a failure tells of; of a quota without numbers, that it is used up.

    Being out of credit is no quota: it does not come back by itself.
    """
    window = _WINDOWS.get(error.kind)
    credit = error.status == _OUT_OF_CREDIT
    if window is None or credit or any(each.remaining == 0 for each in error.limits):
        return error.limits
    used_up = LimitSeen(
        metric=QuotaMetric.REQUESTS,
        window=window,
        remaining=0,
        reset_s=error.retry_after_s,
        source=LimitSource.ERROR,
    )
    return (*error.limits, used_up)
