"""Judges the history of a conversation in the bytes an upstream gets, as its vendor would.

Shares no code with the encoders. Each rule is one that a vendor refuses requests for: a result
answers a call of the turn right before it, each call is answered once, ids meet and have the
dialect's form, arguments are objects, the sides take turns where that is demanded, and nothing a
vendor has signed is sent to another one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator

from ymera.core.model import Dialect

__all__ = ["Issuer", "problems_in"]

Issuer = Callable[[str], str | None]
"""Provider that signed a string, None for what nobody signed."""

_Json = dict[str, object]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LONGEST_ID = 64
_SKIP = "skip_thought_signature_validator"
_SIGNATURE_KEYS = frozenset({"signature", "thoughtSignature", "thought_signature"})


def problems_in(
    body: bytes,
    dialect: Dialect,
    *,
    provider: str,
    issuer: Issuer,
    id_form: re.Pattern[str] | None = None,
    signed_calls: bool = False,
) -> list[str]:
    """Return what is wrong with a request's history, one sentence each; empty when it is valid.

    Args:
        body: as it is sent.
        dialect: in which it is written.
        provider: to whom it is sent.
        issuer: tells whose signature a string is.
        id_form: of ids of calls, where the vendor is stricter than the dialect.
        signed_calls: whether calls of the turn that is going on have to be signed (Gemini 3).
    """
    try:
        fields = json.loads(body)
    except ValueError:
        return ["The body is no JSON."]
    found = list(_foreign(fields, provider, issuer))
    match dialect:
        case Dialect.OPENAI_CHAT:
            found += _openai(_dicts(fields.get("messages")), id_form)
        case Dialect.ANTHROPIC:
            found += _anthropic(_dicts(fields.get("messages")), provider, issuer)
        case Dialect.GEMINI:
            found += _gemini(_dicts(fields.get("contents")), signed_calls=signed_calls)
        case Dialect.OLLAMA:
            found += _ollama(_dicts(fields.get("messages")))
        case _:
            found.append(f"No rules are known for {dialect}.")
    return found


# --- signatures ----------------------------------------------------------------------------------


def _foreign(value: object, provider: str, issuer: Issuer) -> Iterator[str]:
    """Yield every signature of somebody else, wherever it stands."""
    match value:
        case str():
            owner = issuer(value)
            if owner is not None and owner != provider:
                yield f"A signature of {owner} is sent to {provider}."
        case dict():
            for each in value.values():
                yield from _foreign(each, provider, issuer)
        case list():
            for each in value:
                yield from _foreign(each, provider, issuer)


# --- OpenAI chat ---------------------------------------------------------------------------------


def _openai(messages: list[_Json], id_form: re.Pattern[str] | None) -> Iterator[str]:
    waiting: list[str] = []
    for at, message in enumerate(messages):
        role = message.get("role")
        if role == "tool":
            id = message.get("tool_call_id")
            if id in waiting:
                waiting.remove(str(id))
            else:
                yield f"messages[{at}]: the result {id!r} answers no call of the turn before."
            continue
        if waiting:
            yield f"messages[{at}]: the calls {waiting} have no result."
            waiting = []
        if role not in {"system", "developer", "user", "assistant"}:
            yield f"messages[{at}]: the role {role!r} is unknown."
        if role == "assistant":
            if not message.get("content") and not message.get("tool_calls"):
                yield f"messages[{at}]: an answer says nothing."
            yield from _unexpected_keys(message, f"messages[{at}]")
            for call in _dicts(message.get("tool_calls")):
                yield from _openai_call(call, f"messages[{at}]", id_form)
                waiting.append(str(call.get("id")))
            if len(set(waiting)) < len(waiting):
                yield f"messages[{at}]: two calls share an id."
    if waiting:
        yield f"The calls {waiting} at the end have no result."


def _unexpected_keys(message: _Json, where: str) -> Iterator[str]:
    for key in message.keys() & _SIGNATURE_KEYS:
        yield f"{where}: {key} is not of this dialect."


def _openai_call(call: _Json, where: str, id_form: re.Pattern[str] | None) -> Iterator[str]:
    id, function = call.get("id"), call.get("function")
    if not isinstance(id, str) or not 0 < len(id) <= _LONGEST_ID:
        yield f"{where}: the id {id!r} of a call is empty, too long or no string."
    elif id_form is not None and not id_form.fullmatch(id):
        yield f"{where}: the id {id!r} of a call has not the form {id_form.pattern}."
    if call.get("type") != "function" or not isinstance(function, dict):
        yield f"{where}: a call is no function's."
        return
    yield from _unexpected_keys(call, where)
    yield from _name(function.get("name"), where)
    arguments = function.get("arguments")
    if not isinstance(arguments, str) or not _is_object_text(arguments):
        yield f"{where}: the arguments {arguments!r} are no JSON object as text."


# --- Anthropic messages --------------------------------------------------------------------------


def _anthropic(turns: list[_Json], provider: str, issuer: Issuer) -> Iterator[str]:
    waiting: list[str] = []
    seen: set[str] = set()
    before = "assistant"
    for at, turn in enumerate(turns):
        where, role = f"messages[{at}]", turn.get("role")
        if role not in {"user", "assistant"}:
            yield f"{where}: the role {role!r} is unknown."
        if role == before:
            yield f"{where}: two turns of {role} follow each other."
        before = str(role)
        blocks = _blocks(turn.get("content"))
        if not blocks:
            yield f"{where}: a turn is empty."
        yield from _anthropic_results(blocks, waiting, where)
        waiting = []
        for block in blocks:
            kind = block.get("type")
            if kind == "text" and not str(block.get("text", "")).strip():
                yield f"{where}: a text is blank."
            if kind == "thinking" and issuer(str(block.get("signature"))) != provider:
                yield f"{where}: thinking is not signed by {provider}."
            if kind == "tool_use":
                yield from _anthropic_call(block, role, seen, where)
                waiting.append(str(block.get("id")))
    if waiting:
        yield f"The calls {waiting} at the end have no result."


def _blocks(content: object) -> list[_Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else _dicts(content)


def _anthropic_results(blocks: list[_Json], waiting: list[str], where: str) -> Iterator[str]:
    open_calls, said = list(waiting), False
    for block in blocks:
        if block.get("type") != "tool_result":
            said = True
            continue
        if said:
            yield f"{where}: a result stands behind something else."
        id = block.get("tool_use_id")
        if id in open_calls:
            open_calls.remove(str(id))
        else:
            yield f"{where}: the result {id!r} answers no call of the turn before."
    if open_calls:
        yield f"{where}: the calls {open_calls} have no result."


def _anthropic_call(block: _Json, role: object, seen: set[str], where: str) -> Iterator[str]:
    id = block.get("id")
    if role != "assistant":
        yield f"{where}: a call stands in a turn of {role}."
    if not isinstance(id, str) or not _ANTHROPIC_ID.fullmatch(id):
        yield f"{where}: the id {id!r} of a call has not the form of this dialect."
    elif id in seen:
        yield f"{where}: the id {id!r} was used before."
    seen.add(str(id))
    yield from _name(block.get("name"), where)
    if not isinstance(block.get("input"), dict):
        yield f"{where}: the input of a call is no object."


# --- Gemini --------------------------------------------------------------------------------------


def _gemini(turns: list[_Json], *, signed_calls: bool) -> Iterator[str]:
    waiting: list[_Json] = []
    before = "model"
    spoke = _last_said(turns)
    for at, turn in enumerate(turns):
        where, role = f"contents[{at}]", turn.get("role")
        parts = _dicts(turn.get("parts"))
        if role not in {"user", "model"} or role == before:
            yield f"{where}: {role!r} follows {before!r}."
        before = str(role)
        if not parts:
            yield f"{where}: a turn has no parts."
        yield from _gemini_results(parts, waiting, where)
        waiting = [_dict(part["functionCall"]) for part in parts if "functionCall" in part]
        if waiting and role != "model":
            yield f"{where}: a call stands in a turn of {role}."
        for call in waiting:
            yield from _name(call.get("name"), where)
            if not isinstance(call.get("args", {}), dict):
                yield f"{where}: the arguments of a call are no object."
        yield from _gemini_signatures(parts, where, demanded=signed_calls and at > spoke)
    if waiting:
        yield "The calls at the end have no result."


def _last_said(turns: list[_Json]) -> int:
    """Return the place of the last turn in which the user says something, -1 without one."""
    return max(
        (
            at
            for at, turn in enumerate(turns)
            if turn.get("role") == "user"
            and not any("functionResponse" in part for part in _dicts(turn.get("parts")))
        ),
        default=-1,
    )


def _gemini_results(parts: list[_Json], waiting: list[_Json], where: str) -> Iterator[str]:
    results = [_dict(part["functionResponse"]) for part in parts if "functionResponse" in part]
    if len(results) != len(waiting):
        yield f"{where}: {len(results)} results stand behind {len(waiting)} calls."
    for call, result in zip(waiting, results, strict=False):
        if result.get("name") != call.get("name"):
            yield f"{where}: a result of {result.get('name')!r} answers {call.get('name')!r}."
        if result.get("id") != call.get("id"):
            yield f"{where}: the result {result.get('id')!r} answers {call.get('id')!r}."
        if not isinstance(result.get("response"), dict):
            yield f"{where}: a result is no object."


def _gemini_signatures(parts: list[_Json], where: str, *, demanded: bool) -> Iterator[str]:
    for part in parts:
        signature = part.get("thoughtSignature")
        if signature not in {None, _SKIP} and not _is_base64(signature):
            yield f"{where}: a thought signature is not base64."
    first = next((part for part in parts if "functionCall" in part), None)
    if demanded and first is not None and not first.get("thoughtSignature"):
        yield f"{where}: the first call of a step is not signed."


# --- Ollama --------------------------------------------------------------------------------------


def _ollama(messages: list[_Json]) -> Iterator[str]:
    waiting: list[str] = []
    for at, message in enumerate(messages):
        where, role = f"messages[{at}]", message.get("role")
        if not isinstance(message.get("content", ""), str):
            yield f"{where}: the content is no text."
        if role == "tool":
            if not waiting:
                yield f"{where}: a result answers no call."
                continue
            name = waiting.pop(0)
            if message.get("tool_name", name) != name:
                yield f"{where}: a result of {message.get('tool_name')!r} answers {name!r}."
            continue
        if waiting:
            yield f"{where}: calls of {waiting} have no result."
        waiting = []
        if role not in {"system", "user", "assistant"}:
            yield f"{where}: the role {role!r} is unknown."
        for call in _dicts(message.get("tool_calls")):
            function = _dict(call.get("function"))
            yield from _name(function.get("name"), where)
            if not isinstance(function.get("arguments"), dict):
                yield f"{where}: the arguments of a call are no object."
            waiting.append(str(function.get("name")))
    if waiting:
        yield f"Calls of {waiting} at the end have no result."


# --- small things --------------------------------------------------------------------------------


def _name(name: object, where: str) -> Iterator[str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"{where}: {name!r} is no name of a function."


def _is_object_text(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _is_base64(value: object) -> bool:
    try:
        base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _dict(value: object) -> _Json:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[_Json]:
    return [_dict(each) for each in value] if isinstance(value, list) else []
