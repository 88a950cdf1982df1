"""What the call path costs of our own: one gateway over the scripted double, armed or bare.

    python bench/call_path.py [--requests 5000] [--rounds 5]

`bare` knows neither health nor quotas nor keys; `armed` has all of them over a provider with three
documented limits; `armed, 2 keys` rotates. CPU time of this process per request, best of the
rounds: other users of the machine disturb it least. Plain answers, then streams of 20 pieces.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.engine import FakeTime, Stage, ask
from tests.support.standing import Offstage, per_day, per_minute
from ymera.core.access import LOCAL_OWNER
from ymera.core.answer import ChatEvent, Finish, FinishReason, TextDelta, UsageReport
from ymera.core.quota import QuotaMetric
from ymera.core.usage import Usage
from ymera.testing.scripted import ScriptedProvider

PIECES = 20
EVENTS: Sequence[ChatEvent] = [
    *[TextDelta("word ")] * PIECES,
    Finish(FinishReason.STOP),
    UsageReport(Usage(input_tokens=10, output_tokens=20)),
]
MUCH = 10**9
LIMITS = (per_minute(MUCH), per_day(MUCH), per_day(MUCH, QuotaMetric.TOKENS))


def stage(keys: Sequence[str] | None) -> Stage:
    """Return a gateway; `keys` None: without health, quotas and keys."""
    made = Stage({"a": ScriptedProvider(answers=lambda _request, _model: EVENTS)})
    made.max_input_length = MUCH
    if keys is not None:
        off = Offstage(FakeTime(), keys={"a": keys}, limits={"a": LIMITS})
        made.standing = off.standing()
    return made


async def cost_us(made: Stage, requests: int, *, stream: bool) -> float:
    """Return microseconds of CPU per request."""
    gateway, request = made.gateway(), ask(stream=stream)
    began = time.process_time()
    for _ in range(requests):
        reply = await gateway.handle(request, LOCAL_OWNER)
        async for _ in reply.events():
            pass
    spent = time.process_time() - began
    made.records.seen.clear()
    return spent / requests * 1e6


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    variants: dict[str, Sequence[str] | None] = {
        "bare": None,
        "armed": (),
        "armed, 2 keys": ("K", "K_2"),
    }
    best: dict[tuple[str, bool], float] = {}
    for _ in range(chosen.rounds):
        for name, keys in variants.items():
            for stream in (False, True):
                spent = asyncio.run(cost_us(stage(keys), chosen.requests, stream=stream))
                best[name, stream] = min(spent, best.get((name, stream), spent))
    print(f"{'':14}  plain us  stream us")
    for name in variants:
        print(f"{name:14}  {best[name, False]:8.1f}  {best[name, True]:9.1f}")


if __name__ == "__main__":
    main()
