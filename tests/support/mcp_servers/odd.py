"""Servers that misbehave, speaking the protocol by hand: `odd.py KIND`.

junk         prints what is no message before, between and after its answers
slow-junk    like junk, and its standard error is endless
mute         reads and never answers
deaf         answers, and ignores the end of its input and SIGTERM
deaf-tree    like deaf, and starts a child of its own that does so too; writes its id to a file
crashing     ends as soon as it is started, with words on standard error
sloppy       answers a call with something outside the protocol
flood        answers a call with one endless line
telling      writes the methods it is asked for to a file
asking       asks the user something in the middle of a call, over the older protocol
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KIND = sys.argv[1]
TOOL = {"name": "poke", "description": "Poke.", "inputSchema": {"type": "object"}}


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def send(message: dict[str, Any]) -> None:
    say(json.dumps({"jsonrpc": "2.0"} | message))


def junk() -> None:
    if KIND in {"junk", "slow-junk"}:
        say("Listening... {not json")
        say('{"jsonrpc": "1.0"}')
        sys.stdout.buffer.write(b"\xff\xfe\x00\n")
        sys.stdout.buffer.flush()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    match request["method"]:
        case "initialize":
            return {
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": KIND, "version": "1"},
            }
        case "tools/list":
            return {"tools": [TOOL]}
        case "tools/call" if KIND == "sloppy":
            return {"content": "no list of blocks"}
        case "tools/call" if KIND == "flood":
            while True:
                sys.stdout.write("x" * 65_536)
        case "tools/call" if KIND == "asking":
            params = {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}
            send({"id": "ask", "method": "elicitation/create", "params": params})
            reply = json.loads(sys.stdin.readline())
            return {"content": [{"type": "text", "text": json.dumps(reply.get("result"))}]}
        case _:
            return {"content": [{"type": "text", "text": "poked"}]}


def serve() -> None:
    known = {"initialize", "tools/list", "tools/call"}
    for line in sys.stdin:
        request = json.loads(line)
        junk()
        if KIND == "telling":
            with Path(sys.argv[2]).open("a", encoding="utf-8") as told:
                told.write(request["method"] + "\n")
        if "id" not in request:
            continue
        if request["method"] in known:
            send({"id": request["id"], "result": answer(request)})
        else:
            send({"id": request["id"], "error": {"code": -32601, "message": "Method not found"}})
        junk()


if KIND == "crashing":
    sys.stderr.write("no database: token=super-secret-value\n")
    sys.exit(3)
if KIND == "mute":
    for _ in sys.stdin:
        pass
    sys.exit(0)
if KIND in {"deaf", "deaf-tree"}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if KIND == "deaf-tree":
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    grandchild = subprocess.Popen([sys.executable, "-c", child])
    Path(sys.argv[2]).write_text(str(grandchild.pid), encoding="utf-8")
if KIND == "slow-junk":
    sys.stderr.write("noise " * 200_000)
    sys.stderr.flush()
serve()
if KIND in {"deaf", "deaf-tree"}:
    time.sleep(600)
