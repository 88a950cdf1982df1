"""What the audit log says of the last days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from ymera.core.errors import MachineError

__all__ = ["NOT_COVERED", "AuditEntry", "AuditSummary", "read_audit", "summarise"]

NOT_COVERED = (
    "Text rules know forms, not meanings: an attack in other words passes. What limits it is the"
    " tool gate, not the rules.",
    "Personal data in answers is not looked for.",
    "Credentials without a vendor's form are found after a name such as `api_key =` only.",
    "The audit log is not signed: who may write the files can change them unseen.",
    "Names are not resolved by the tool gate: a public name for a private address is for the tool"
    " itself to refuse.",
    "Tool descriptions of MCP servers are not pinned.",
)
_REFUSALS = {
    "guard_blocked": "guard",
    "context_length_exceeded": "size",
    "rate_limit_exceeded": "rate_limit",
    "forbidden": "forbidden",
    "invalid_api_key": "access_key",
    "budget_exceeded": "budget",
}


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit log; fields a line does not have keep their defaults."""

    ts: datetime
    action: str
    outcome: str | None = None
    error_code: str | None = None
    principal: str | None = None
    principal_kind: str | None = None
    request_id: str | None = None
    requested_model: str | None = None
    model: str | None = None
    findings: tuple[str, ...] = ()
    detail: dict[str, str | int | float | bool | None] = {}

    def shown(self) -> dict[str, object]:
        """Return what the line says, without what it does not; the detail as one text."""
        fields = msgspec.structs.asdict(self)
        said = {name: value for name, value in fields.items() if value not in (None, (), {})}
        outcome = self.error_code or self.outcome
        detail = " ".join(f"{name}={value}" for name, value in self.detail.items())
        detail = detail or " ".join(part for part in (self.model, *self.findings) if part)
        return said | {"ts": self.ts.isoformat(), "detail": detail, "outcome": outcome or ""}


class AuditSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over a time.

    Attributes:
        requests: how many there were.
        refused: by what refused them.
        findings: by kind, of requests and of calls to the security manager.
        tool_refusals: calls that the tool gate refused.
        rate_limit_refusals: of requests and of `check_rate_limit`.
        unreadable: lines that are none of ours.
    """

    requests: int
    refused: dict[str, int]
    findings: dict[str, int]
    tool_refusals: int
    rate_limit_refusals: int
    unreadable: int


def read_audit(directory: Path, *, since: datetime) -> Iterator[AuditEntry | None]:
    """Yield the lines written since a time, the oldest first; None for one that is unreadable.

    Raises:
        MachineError: a file cannot be read.
    """
    first = f"audit-{(since - timedelta(days=1)).date().isoformat()}.jsonl"
    decoder = msgspec.json.Decoder(AuditEntry)
    for path in sorted(directory.glob("audit-*.jsonl")):
        if path.name < first:
            continue
        try:
            with path.open("rb") as file:
                for line in file:
                    try:
                        entry = decoder.decode(line)
                    except msgspec.DecodeError:
                        yield None
                        continue
                    if entry.ts >= since:
                        yield entry
        except OSError as error:
            raise MachineError(
                f"The audit file '{path}' cannot be read ({error.strerror}).",
                hint="Make it readable for your user.",
            ) from error


def summarise(directory: Path, *, since: datetime) -> AuditSummary:
    """Return the counts of what the audit log holds since a time.

    Raises:
        MachineError: a file cannot be read.
    """
    requests = unreadable = 0
    refused: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    actions: Counter[str] = Counter()
    for entry in read_audit(directory, since=since):
        if entry is None:
            unreadable += 1
            continue
        findings.update(entry.findings)
        if entry.action == "request":
            requests += 1
            if entry.error_code in _REFUSALS:
                refused[_REFUSALS[entry.error_code]] += 1
        else:
            actions[entry.action] += 1
            kinds = entry.detail.get("kinds")
            findings.update(kinds.split() if isinstance(kinds, str) else ())
    return AuditSummary(
        requests=requests,
        refused=dict(refused.most_common()),
        findings=dict(findings.most_common()),
        tool_refusals=actions["security.tool_refused"],
        rate_limit_refusals=refused["rate_limit"] + actions["security.rate_limited"],
        unreadable=unreadable,
    )
