"""Load time, speed and memory of an embedded model.

    python bench/local_model.py [--model smollm2-135m] [--threads 1,2] [--rounds 3]

Prints one row per number of threads, medians over the rounds. The model has to be pulled. Says how
busy the machine was: on a machine that also does other things the numbers mean little.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_data_path

from ymera.catalog.load import load
from ymera.core.answer import TextDelta, UsageReport
from ymera.core.chat import (
    ChatRequest,
    Message,
    Role,
    Sampling,
    TextPart,
)
from ymera.core.model import Model
from ymera.core.ports import Deadlines
from ymera.providers.local import LocalProvider
from ymera.providers.local_process import LocalProcess
from ymera.providers.local_settings import LocalSettings
from ymera.providers.local_supervisor import LocalSupervisor
from ymera.providers.pull import is_pulled
from ymera.providers.transport import HttpTransport

ANSWER_TOKENS = 128
PROMPT = "Write a Python function that reads a CSV file and returns the mean of each column."
CONTEXT = "The quick brown fox jumps over the lazy dog. " * 90  # about 900 tokens


class Round(NamedTuple):
    """One child, from its start to its end."""

    load_s: float
    first_token_s: float
    tokens_per_s: float
    prefill_tokens_per_s: float
    child_rss_mb: float


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    model = load().get(arguments.model)
    assert model.weights is not None, f"{model.id} is no embedded model"
    assert is_pulled(model.weights, arguments.models_dir), f"ymera models pull {model.upstream_id}"
    print(f"{model.name}; {os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f}")
    print("threads  load s  first token s  tokens/s  prefill tokens/s  child RSS MB  own RSS MB")
    for threads in arguments.threads:
        rounds = [asyncio.run(_round(model, arguments, threads)) for _ in range(arguments.rounds)]
        load_s, first_s, speed, prefill, rss = (
            statistics.median(c) for c in zip(*rounds, strict=True)
        )
        print(
            f"{threads:7}  {load_s:6.2f}  {first_s:13.2f}  {speed:8.1f}  {prefill:16.1f}  "
            f"{rss:12.0f}  {_rss_mb(os.getpid()):10.0f}"
        )


async def _round(model: Model, arguments: argparse.Namespace, threads: int) -> Round:
    children: list[LocalProcess] = []

    def launch(path: Path, settings: LocalSettings) -> LocalProcess:
        children.append(LocalProcess.launch(path, settings))
        return children[-1]

    settings = LocalSettings(threads=threads)
    transport = HttpTransport()
    supervisor = LocalSupervisor(settings, launch=launch)
    provider = LocalProvider(
        model.provider, arguments.models_dir, transport, settings, supervisor=supervisor
    )
    try:
        load_s, _, _ = await _ask(provider, model, "hi", 1)
        first_s, whole_s, tokens = await _ask(provider, model, PROMPT, ANSWER_TOKENS)
        read_s, _, read = await _ask(provider, model, CONTEXT, 1)
        return Round(
            load_s=load_s,
            first_token_s=first_s,
            tokens_per_s=(tokens[1] - 1) / (whole_s - first_s),
            prefill_tokens_per_s=read[0] / read_s,
            child_rss_mb=_rss_mb(children[0].pid),
        )
    finally:
        await provider.close()
        await transport.close()


async def _ask(
    provider: LocalProvider, model: Model, prompt: str, max_tokens: int
) -> tuple[float, float, tuple[int, int]]:
    """Return seconds to the first token, seconds in all, and tokens in and out."""
    request = ChatRequest(
        model=model.id,
        messages=(Message(role=Role.USER, content=(TextPart(prompt),)),),
        sampling=Sampling(max_tokens=max_tokens),
        stream=True,
    )
    started = time.perf_counter()
    first_s = None
    tokens = (0, 0)
    async for event in provider.stream(request, model, Deadlines()):
        if first_s is None and isinstance(event, TextDelta):
            first_s = time.perf_counter() - started
        if isinstance(event, UsageReport):
            tokens = (event.usage.input_tokens, event.usage.output_tokens)
    whole_s = time.perf_counter() - started
    return first_s or whole_s, whole_s, tokens


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kilobytes) / 1000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--models-dir", type=Path, default=user_data_path("ymera") / "models")
    parser.add_argument(
        "--threads", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2]
    )
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
