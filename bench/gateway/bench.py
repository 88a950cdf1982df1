"""Gateways side by side on one machine: what a request costs, and what it waits.

    python bench/gateway/bench.py                              # the floor and Ymera, two minutes
    python bench/gateway/bench.py litellm portkey tensorzero   # beside peers, installed by pip, npm
    python bench/gateway/bench.py --rounds 5 --markdown table.md

Needs Linux, a C compiler and two cores: the gateways run on core 0, the upstream and the load on
core 1. Phases are interleaved: every gateway in turn, then the next phase, then the next round, so
that a neighbour's noise meets all of them. Read CPU per request first (of the gateway's whole
process tree, from the kernel's accounting): requests per second move with whoever shares the
machine, ratios within one run hardly do.

Phases: `full` 32 connections that ask at once again; `level` 1,500 requests a second over 32
connections, for those that can; `calm` 40 a second over 16; `stream` 16 connections of 64 chunks as
fast as they come; `paced` 8 streams, the first chunk after 20 ms, then one every 20 ms.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
GATEWAY_CORE, LOAD_CORE = "0", "1"
READY_WITHIN_S = 120
SETTLING_S = 3
YARDSTICK = "floor"
LEVEL_RATE = 1500
QUESTION = {
    "model": "mock",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Summarise: " + "lorem ipsum dolor sit amet " * 8},
    ],
    "max_tokens": 256,
    "temperature": 0.2,
}


@dataclass(frozen=True)
class Phase:
    """A way to ask; `rate` 0 asks again at once."""

    name: str
    connections: int
    rate: int = 0
    streamed: bool = False
    paced: bool = False


PHASES = (
    Phase("full", 32),
    Phase("level", 32, rate=LEVEL_RATE),
    Phase("calm", 16, rate=40),
    Phase("stream", 16, streamed=True),
    Phase("paced", 8, streamed=True, paced=True),
)


# --- processes -----------------------------------------------------------------------------------


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> list[int]:
    """Return a process and all that come from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_us(pid: int) -> float:
    """Return the CPU time a process family has used."""
    total = 0
    for member in family(pid):
        with suppress(OSError):
            for thread in Path(f"/proc/{member}/task").iterdir():
                total += int((thread / "schedstat").read_text().split()[0])
    return total / 1000


def rss_mb(pid: int) -> float:
    """Return the memory a process family holds."""
    total = 0
    for member in family(pid):
        with suppress(OSError):
            status = Path(f"/proc/{member}/status").read_text()
            if found := re.search(r"VmRSS:\s+(\d+)", status):
                total += int(found[1])
    return total / 1024


@contextmanager
def running(
    command: list[str], core: str, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on one core; end it and its children."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", core, *command],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


# --- one gateway ---------------------------------------------------------------------------------


@dataclass
class Gateway:
    """A gateway that runs before one upstream.

    Attributes:
        rss_start_mb: when it was up.
        ready_s, ready_cpu_s: until then.
    """

    name: str
    port: int
    pid: int
    path: str
    headers: list[str]
    folder: Path
    ready_s: float = 0.0
    ready_cpu_s: float = 0.0
    rss_start_mb: float = 0.0

    def ask(self, tools: Path, phase: Phase, seconds: float, warm_up_s: float = 0.5) -> Figures:
        """Run one phase."""
        body = self.folder / ("streamed.json" if phase.streamed else "plain.json")
        before = cpu_us(self.pid)
        how = [str(phase.connections), str(seconds), str(warm_up_s), str(phase.rate), "0"]
        where = [str(tools / "load"), str(self.port), self.path, str(body)]
        figures = _load([*where, *how, *self.headers])
        return figures | {"cpu_us": cpu_us(self.pid) - before}


Figures = dict[str, Any]


def _load(command: list[str]) -> Figures:
    done = subprocess.run(
        ["taskset", "-c", LOAD_CORE, *command], capture_output=True, text=True, check=True
    )
    found: Figures = json.loads(done.stdout)
    return found


def filled(text: str, names: Mapping[str, object]) -> str:
    """Return `text` with the known placeholders filled; other braces stay."""
    return re.sub(r"\{(\w+)\}", lambda m: str(names.get(m[1], m[0])), text)


def installed(name: str, row: Mapping[str, Any], work: Path) -> Path:
    """Install what a gateway needs, once; return its folder."""
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "installed"
    if mark.exists():
        return folder
    if "pip" in row:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *row["pip"]], check=True)
    if "npm" in row:
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run([*npm, *row["npm"]], cwd=folder, check=True)
    if "replace" in row:
        file = folder / row["replace"]["file"]
        file.write_text(file.read_text().replace(row["replace"]["old"], row["replace"]["new"]))
    mark.touch()
    return folder


@contextmanager
def started(name: str, row: Mapping[str, Any], work: Path, upstream: int) -> Iterator[Gateway]:
    """Run a gateway before an upstream and see that it is up."""
    home = installed(name, row, work)
    folder = Path(tempfile.mkdtemp(dir=work))
    names: dict[str, object] = {
        "port": free_port(),
        "up": upstream,
        "dir": home if "npm" in row else folder,
        "bin": home / "venv/bin",
        "here": HERE,
        "python": sys.executable,
        "key": f"sk-{secrets.token_hex(24)}",
    }
    for file, text in row.get("files", {}).items():
        (folder / file).write_text(filled(text.lstrip(), names))
    names["dir"] = names["dir"] if "npm" in row else folder
    for kind, streamed in (("plain", False), ("streamed", True)):
        question = QUESTION | {"model": row.get("model", "mock")}
        if streamed:
            question["stream"] = True
        (folder / f"{kind}.json").write_text(json.dumps(question))
    command = shlex.split(filled(row["start"], names))
    env = {key: filled(value, names) for key, value in row.get("env", {}).items()}
    log = folder / "log"
    begun = time.monotonic()
    with running(command, GATEWAY_CORE, log, env) as process:
        port = _ready_port(row, int(str(names["port"])), process, log)
        yield Gateway(
            name=name,
            port=port,
            pid=process.pid,
            path=row.get("path", "/v1/chat/completions"),
            headers=[filled(each, names) for each in row.get("headers", [])],
            folder=folder,
            ready_s=time.monotonic() - begun,
            ready_cpu_s=cpu_us(process.pid) / 1e6,
            rss_start_mb=rss_mb(process.pid),
        )


def _ready_port(
    row: Mapping[str, Any], port: int, process: subprocess.Popen[bytes], log: Path
) -> int:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"it ended before it was up:\n{log.read_text()[-2000:]}")
        if "says_port" in row:
            found = re.search(row["says_port"], log.read_text())
            port = int(found[1]) if found else 0
        if port and _answers(f"http://127.0.0.1:{port}{row.get('ready', '/')}"):
            return port
        time.sleep(0.05)
    raise SystemExit(f"it was not up within {READY_WITHIN_S} s:\n{log.read_text()[-2000:]}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback address
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


# --- a run ---------------------------------------------------------------------------------------


@dataclass
class Measured:
    """All figures of one gateway, by phase, one entry a round."""

    fast: Gateway
    slow: Gateway
    rounds: dict[str, list[Figures]] = field(default_factory=dict)
    rss_end_mb: float = 0.0

    def median(self, phase: str, *path: str) -> float:
        """Return the median over the rounds of one figure."""
        values = []
        for figures in self.rounds.get(phase, []):
            value: Any = figures
            for key in path:
                value = value[key]
            values.append(float(value))
        return statistics.median(values) if values else math.nan

    def cpu_per(self, phase: str, what: str) -> float:
        """Return CPU microseconds for each of what was answered (`all` requests, `all_chunks`)."""
        each = [figures["cpu_us"] / max(1, figures[what]) for figures in self.rounds[phase]]
        return statistics.median(each) if each else math.nan


def measure(
    names: list[str], rows: Mapping[str, Any], work: Path, rounds: int, seconds: float
) -> dict[str, Measured]:
    """Start everything, run the phases interleaved, end everything."""
    for tool in ("upstream", "load"):
        source, target = HERE / f"{tool}.c", work / tool
        subprocess.run(["cc", "-O2", "-o", target, source], check=True)
    found: dict[str, Measured] = {}
    with ExitStack() as stack:
        fast, slow = free_port(), free_port()
        for port, more in ((fast, []), (slow, ["20000", "50", "20000"])):
            command = [str(work / "upstream"), str(port), *more]
            stack.enter_context(running(command, LOAD_CORE, work / f"upstream-{port}.log"))
        for name in names:
            gateways = [
                stack.enter_context(started(name, rows[name], work, port)) for port in (fast, slow)
            ]
            found[name] = Measured(*gateways)
            for gateway in gateways:
                gateway.ask(work, Phase("first", 4), seconds=0.5)
            print(f"{name}: up in {gateways[0].ready_s:.1f} s", flush=True)
        time.sleep(SETTLING_S)  # what is loaded or tidied up after the first request
        for number in range(rounds):
            for phase in PHASES:
                order = names[number % len(names) :] + names[: number % len(names)]
                for name in order:
                    each = found[name]
                    gateway = each.slow if phase.paced else each.fast
                    figures = gateway.ask(work, phase, seconds)
                    each.rounds.setdefault(phase.name, []).append(figures)
                    if figures["failed"]:
                        print(f"  {name}, {phase.name}: {figures['failed']} failed {figures}")
            print(f"round {number + 1} of {rounds}", flush=True)
        for each in found.values():
            each.rss_end_mb = rss_mb(each.fast.pid)
    return found


# --- the table -----------------------------------------------------------------------------------


def table(found: Mapping[str, Measured]) -> str:
    """Return the figures as a Markdown table."""
    base = found.get(YARDSTICK)
    heads = ["gateway", "CPU us/request", "x floor", "requests/s", "calm p50 ms", "p99 ms"]
    heads += ["CPU us/request, level", "x floor"]
    heads += ["CPU us/chunk, full", "x floor", "CPU us/chunk, paced", "x floor"]
    heads += ["first token ms", "chunk delay p50 us", "RSS MB start", "after", "ready s", "CPU s"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, each in found.items():
        request, chunk = each.cpu_per("full", "all"), each.cpu_per("stream", "all_chunks")
        paced, level = each.cpu_per("paced", "all_chunks"), level_cpu(each)
        values = [
            request,
            request / base.cpu_per("full", "all") if base else math.nan,
            each.median("full", "per_s"),
            each.median("calm", "latency", "p50") / 1000,
            each.median("calm", "latency", "p99") / 1000,
            level,
            level / level_cpu(base) if base else math.nan,
            chunk,
            chunk / base.cpu_per("stream", "all_chunks") if base else math.nan,
            paced,
            paced / base.cpu_per("paced", "all_chunks") if base else math.nan,
            each.median("paced", "first_token", "p50") / 1000,
            each.median("paced", "delay", "p50"),
            each.fast.rss_start_mb,
            each.rss_end_mb,
            each.fast.ready_s,
            each.fast.ready_cpu_s,
        ]
        lines.append(f"| {name} | " + " | ".join(map(_short, values)) + " |")
    return "\n".join(lines)


def level_cpu(each: Measured) -> float:
    """Return CPU us/request at a rate that is the same for all; NaN for one that falls behind.

    A process that sleeps between requests pays for each waking, and asks a sleeping upstream: the
    floor itself takes several times as much so as it does under full load.
    """
    kept_up = each.median("level", "per_s") >= 0.97 * LEVEL_RATE
    return each.cpu_per("level", "all") if kept_up else math.nan


def _short(value: float) -> str:
    if math.isnan(value):
        return ""
    return (
        f"{value:.0f}"
        if abs(value) >= 100
        else f"{value:.1f}"
        if abs(value) >= 1
        else f"{value:.2f}"
    )


def main() -> int:
    """Run; return the exit code."""
    rows = tomllib.loads((HERE / "gateways.toml").read_text())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("peers", nargs="*", choices=[*rows, []], metavar="PEER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each phase")
    parser.add_argument("--work", type=Path, help="a folder to keep installed peers in")
    parser.add_argument("--markdown", type=Path, help="write the table there, too")
    args = parser.parse_args()
    names = list(dict.fromkeys([YARDSTICK, "ymera", *args.peers]))
    work = args.work or Path(tempfile.mkdtemp(prefix="gateways-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        shown = table(measure(names, rows, work.resolve(), args.rounds, args.seconds))
    finally:
        if args.work is None:
            shutil.rmtree(work, ignore_errors=True)
    print(shown)
    if args.markdown:
        args.markdown.write_text(shown + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
