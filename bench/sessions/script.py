"""What the models of the coding sessions say: calls of tools, three times out of four.

The same request is always answered in the same way, so that a second vendor that is asked after
the first one refused says what the first would have said, in its own forms.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import string

from ymera.core.answer import ChatAnswer, FinishReason
from ymera.core.chat import ChatRequest, Role, ToolCall
from ymera.core.model import Dialect, Model
from ymera.core.usage import Usage

__all__ = ["TOOLS", "Marks", "Script", "prose"]

TOOLS: dict[str, dict[str, object]] = {
    "read_file": {"path": {"type": "string"}},
    "write_file": {"path": {"type": "string"}, "content": {"type": "string"}},
    "run_command": {"command": {"type": "string"}, "timeout_s": {"type": "integer"}},
    "search_code": {"pattern": {"type": "string"}},
}
"""Properties of each tool's arguments; all are required."""

_TEXT_EVERY = 4
_WORDS = (
    "def class return import value index buffer parser token result error path config request "
    "session handler stream window limit queue lock retry cache match state field module test "
    "assert raise yield await async lambda while for if else None True False"
).split()
_SIGNED = "sig::!"  # six bytes, so that its base64 form is a prefix of the whole's
_PREFIX = base64.b64encode(_SIGNED.encode()).decode()
_LETTERS = string.ascii_letters + string.digits


class Marks:
    """Signatures that name whoever signed, in a form that looks like a vendor's."""

    def __init__(self) -> None:
        self._made = 0

    def sign(self, provider: str) -> str:
        """Return a new signature of a provider."""
        self._made += 1
        return base64.b64encode(f"{_SIGNED}{provider}:{self._made:06}".encode()).decode()

    @staticmethod
    def issuer(text: str) -> str | None:
        """Return who signed, None where nobody did."""
        if not text.startswith(_PREFIX):
            return None
        try:
            signed = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return "somebody whose signature was cut"
        return signed.removeprefix(_SIGNED).rpartition(":")[0]


def prose(rng: random.Random, chars: int) -> str:
    """Return so many characters that look like code."""
    words: list[str] = []
    length = 0
    while length < chars:
        word = rng.choice(_WORDS)
        words.append(word)
        length += len(word) + 1
        if len(words) % 9 == 0:
            words.append("\n   ")
            length += 5
    return " ".join(words)[:chars]


class Script:
    """Answers by the place in the session alone.

    Args:
        seed: of what is said.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def answer(
        self, request: ChatRequest, model: Model, dialect: Dialect, tokens: int, marks: Marks
    ) -> ChatAnswer:
        """Return what a model says next.

        Args:
            request: the conversation so far, as the vendor reads it.
            model: who is asked.
            dialect: in which it answers; it decides what is signed.
            tokens: of the prompt as the vendor counts.
            marks: makes signatures.
        """
        step = sum(message.role is Role.ASSISTANT for message in request.messages)
        opening = next(one.text for one in request.messages if one.role is Role.USER)
        rng = random.Random(f"{self._seed} {step} {opening[:200]}")
        thought = prose(rng, 120) if model.reasoning else ""
        signs = dialect in {Dialect.ANTHROPIC, Dialect.GEMINI} and bool(thought)
        calls: tuple[ToolCall, ...] = ()
        text = ""
        if (step + 1) % _TEXT_EVERY:
            calls = _calls(rng, request, model, step)
            text = prose(rng, 60) if rng.random() < 0.5 else ""
        else:
            text = prose(rng, 900)
        signature = marks.sign(model.provider) if signs else None
        if calls and signs and dialect is Dialect.GEMINI:
            first = ToolCall(
                id=calls[0].id,
                name=calls[0].name,
                arguments=calls[0].arguments,
                signature=signature,
            )
            calls, signature = (first, *calls[1:]), None
        said = len(text) + len(thought) + sum(len(call.arguments) for call in calls)
        return ChatAnswer(
            text=text,
            reasoning=thought,
            reasoning_signature=signature,
            tool_calls=calls,
            finish_reason=FinishReason.TOOL_CALLS if calls else FinishReason.STOP,
            usage=Usage(input_tokens=tokens, output_tokens=round(said / 3.8) + 1),
        )


def _calls(
    rng: random.Random, request: ChatRequest, model: Model, step: int
) -> tuple[ToolCall, ...]:
    made = sum(len(message.tool_calls) for message in request.messages)
    offered = [tool.name for tool in request.tools if tool.name in TOOLS]
    names = rng.sample(offered, 2 if rng.random() < 0.3 else 1)
    return tuple(
        ToolCall(
            id=_id(model, name, made + place, place, step),
            name=name,
            arguments=json.dumps(_arguments(rng, name)),
        )
        for place, name in enumerate(names)
    )


def _arguments(rng: random.Random, name: str) -> dict[str, object]:
    path = f"src/{rng.choice(_WORDS)}_{rng.randrange(99)}.py"
    match name:
        case "write_file":
            return {"path": path, "content": prose(rng, 600)}
        case "run_command":
            return {"command": f'python -m pytest -k "{rng.choice(_WORDS)}"', "timeout_s": 60}
        case "search_code":
            return {"pattern": rf"def\s+{rng.choice(_WORDS)}\b"}
    return {"path": path}


def _id(model: Model, name: str, number: int, place: int, step: int) -> str:
    """Return an id as the vendor's models write them."""
    rng = random.Random(f"{model.id} {name} {number} {step}")
    letters = "".join(rng.choices(_LETTERS, k=32))
    vendor = model.provider
    if vendor == "nvidia":
        return f"functions.{name}:{place}"  # some hosts count from 0 again in each answer
    if vendor == "siliconflow" or "kimi" in model.upstream_id:
        return f"functions.{name}:{number}"
    if "mistral" in model.upstream_id.lower():
        return letters[:9]
    match vendor:
        case "cohere":
            return f"{name}_{letters[:12].lower()}"
        case "zai":
            return f"call_-{rng.randrange(10**18, 10**19)}"
        case "ovhcloud" | "cloudflare":
            return f"chatcmpl-tool-{rng.getrandbits(128):032x}"
        case "openrouter":
            return f"toolu_bdrk_01{letters[:22]}" if rng.random() < 0.5 else f"call_{letters[:24]}"
    return f"call_{letters[:24]}"
