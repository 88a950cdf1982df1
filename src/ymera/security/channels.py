"""What is done about a text, by the way it came."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ymera.security.guards.injection import risk, scan
from ymera.security.guards.secrets import redact_secrets
from ymera.security.rules import injection_rules

__all__ = ["Action", "Channel", "Verdict", "judge"]

_SECRET_SEVERITY = 0.9


class Channel(StrEnum):
    """Where a text comes from."""

    USER_INPUT = "user_input"
    RETRIEVED_DOCUMENT = "retrieved_document"
    TOOL_OUTPUT = "tool_output"
    TOOL_DESCRIPTION = "tool_description"
    TOOL_ARGUMENT = "tool_argument"
    MODEL_OUTPUT = "model_output"


class Action(StrEnum):
    """What is done about it."""

    ALLOW = "allow"
    FLAG = "flag"
    BLOCK = "block"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one text.

    Attributes:
        action: allow, flag or block.
        score: 0..1, higher is worse.
        findings: kinds such as `sql_injection.stacked`, never the text.
    """

    action: Action
    score: float
    findings: tuple[str, ...] = ()


_CODE = ("sql_injection", "shell_injection", "script_injection", "path_traversal")
_LOOKED_FOR: dict[Channel, tuple[str, ...]] = {
    # Questions may be about attacks, and documents about anything: only orders count there.
    Channel.USER_INPUT: (*_CODE, "prompt_injection"),
    Channel.RETRIEVED_DOCUMENT: ("prompt_injection",),
    Channel.TOOL_OUTPUT: ("prompt_injection",),
    Channel.TOOL_DESCRIPTION: ("prompt_injection",),
    Channel.TOOL_ARGUMENT: _CODE,
    Channel.MODEL_OUTPUT: (),
}
_BLOCKING = frozenset({Channel.TOOL_ARGUMENT, Channel.TOOL_DESCRIPTION})


def judge(text: str, channel: Channel) -> Verdict:
    """Return what is done about `text`: arguments and descriptions are blocked, the rest flagged.

    An answer's credentials are flagged: on the way out they are redacted, not refused.
    """
    found = scan(text, _LOOKED_FOR[channel]) if _LOOKED_FOR[channel] else ()
    kinds = [each.kind for each in found]
    score = risk(found)
    if channel is Channel.MODEL_OUTPUT:
        kinds = list(dict.fromkeys(redact_secrets(text)[1]))
        score = _SECRET_SEVERITY if kinds else 0.0
    if score < injection_rules().block_at:
        action = Action.ALLOW
    else:
        action = Action.BLOCK if channel in _BLOCKING else Action.FLAG
    return Verdict(action=action, score=score, findings=tuple(kinds))
