"""What became of the coding sessions, counted and printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.sessions.vendors import Refused, Seen

__all__ = ["TURNS", "Report", "Session", "Switch", "print_report"]

TURNS = 12
_AVOIDABLE_PER_1000 = 5
_AVOIDABLE_PER_1000_WRONG = 20
_PAYMENT = 402
_TOO_MANY = 429
_SERVER_SIDE = 500


@dataclass(kw_only=True)
class Switch:
    """A turn answered by another model than the one before.

    Attributes:
        why: what kept the former model from it; empty: nothing.
    """

    before: str
    after: str
    why: str


@dataclass(kw_only=True)
class Session:
    """What became of one.

    Attributes:
        turns: answered.
        failures: requests that nobody answered, by what they were told.
        models: who answered, in order.
        tokens: of the last prompt, roughly.
    """

    turns: int = 0
    failures: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    tokens: int = 0

    @property
    def needless(self) -> int:
        """Switches while the last model would have answered."""
        return sum(not switch.why for switch in self.switches)


@dataclass(kw_only=True)
class Report:
    """What a day of sessions came to."""

    seed: int
    wrong: bool
    sessions: list[Session]
    seen: Seen
    seconds: float = 0.0
    closed: tuple[str, ...] = ()

    @property
    def upstream(self) -> int:
        """Calls that vendors got."""
        return sum(self.seen.calls.values())

    @property
    def refused(self) -> list[Refused]:
        """Answers with a status of 4xx."""
        return [each for each in self.seen.refused if each.status < _SERVER_SIDE]

    @property
    def avoidable(self) -> list[Refused]:
        """Those that could have been known."""
        return [each for each in self.refused if each.avoidable]

    @property
    def avoidable_per_1000(self) -> float:
        """Of upstream calls."""
        return 1000 * len(self.avoidable) / max(self.upstream, 1)

    @property
    def most_needless(self) -> int:
        """Needless switches of the session that had most."""
        return max((session.needless for session in self.sessions), default=0)

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        bound = _AVOIDABLE_PER_1000_WRONG if self.wrong else _AVOIDABLE_PER_1000
        few = self.avoidable_per_1000 <= bound
        return few and self.most_needless <= 1 and not self.seen.invalid


def print_report(report: Report) -> None:
    """Print it as a table, with the providers and whatever was avoidable."""
    asked = sum(len(each.models) + len(each.failures) for each in report.sessions)
    served = sum(each.turns for each in report.sessions)
    whole = sum(each.turns == TURNS for each in report.sessions)
    sizes = sorted(each.tokens for each in report.sessions if each.turns == TURNS)
    rows = [
        ("sessions, whole", f"{len(report.sessions)}, {whole}"),
        ("tokens at their end", f"{sizes[0]:,} .. {sizes[-1]:,}" if sizes else "-"),
        ("requests of callers, served", f"{asked:,}, {served:,}"),
        ("upstream requests", f"{report.upstream:,}"),
        ("4xx", f"{len(report.refused)}"),
        ("4xx, avoidable", f"{len(report.avoidable)}  ({report.avoidable_per_1000:.2f} per 1,000)"),
        ("402", f"{sum(each.status == _PAYMENT for each in report.refused)}"),
        ("invalid histories", f"{len(report.seen.invalid)}"),
        ("needless switches a session", _histogram(each.needless for each in report.sessions)),
        ("all switches a session", _histogram(len(each.switches) for each in report.sessions)),
        ("providers closed", ", ".join(report.closed) or "none"),
        ("seconds", f"{report.seconds:.1f}"),
    ]
    switches = Counter(
        switch.why or "NEEDLESS" for each in report.sessions for switch in each.switches
    )
    rows += [(f"switch: {why}", f"{n}") for why, n in switches.most_common()]
    failures = Counter(code for each in report.sessions for code in each.failures)
    rows += [(f"failed: {why}", f"{n}") for why, n in failures.most_common()]
    rows += [(f"upstream in {name}", f"{n:,}") for name, n in report.seen.dialects.most_common()]
    for name, value in rows:
        print(f"{name:<44} {value}")
    _print_providers(report)
    for each, count in Counter(report.avoidable).most_common(20):
        print(f"avoidable: {count} x {each.status} {each.model_id}: {each.what}")
    for session in report.sessions:
        for switch in session.switches:
            if not switch.why:
                print(f"needless: {switch.before} -> {switch.after}")
    for text in report.seen.invalid[:10]:
        print(f"invalid: {text}")


def _print_providers(report: Report) -> None:
    names = ("calls", "answered", "429", "other 4xx", "avoidable")
    print(f"\n{'provider':<14}" + "".join(f"{name:>11}" for name in names))
    for provider, calls in report.seen.calls.most_common():
        own = [each for each in report.refused if each.provider == provider]
        busy = sum(each.status == _TOO_MANY for each in own)
        avoidable = sum(each.avoidable for each in own)
        answered = report.seen.answered[provider]
        numbers = (calls, answered, busy, len(own) - busy, avoidable)
        print(f"{provider:<14}" + "".join(f"{number:>11,}" for number in numbers))
    print()


def _histogram(counts: Iterable[int]) -> str:
    found = Counter(counts)
    return ", ".join(f"{count}: {found[count]}" for count in sorted(found))
