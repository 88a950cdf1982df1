"""The user's document's `SecurityManager`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypedDict

import msgspec

from ymera.core.access import LOCAL_OWNER
from ymera.core.errors import AccessError, InvalidRequest, MachineError, RequestError
from ymera.core.ports import ToolGate
from ymera.core.tool import Tool
from ymera.security.audit import AuditLog, AuditValue
from ymera.security.guards.injection import remove_injections, risk, scan
from ymera.security.guards.secrets import redact_secrets
from ymera.security.normalise import visible
from ymera.security.rate_limit import HourlyRateLimiter
from ymera.security.report import NOT_COVERED, summarise
from ymera.security.rules import injection_rules
from ymera.security.vault import Vault

__all__ = [
    "OutputVerdict",
    "RateLimitVerdict",
    "Sanitized",
    "SecurityManager",
    "SecurityState",
    "ToolVerdict",
]

_REPORT_DAYS = 7
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object"}')


class Sanitized(TypedDict):
    """What `sanitize_input` says: `score` is 0 (nothing found) to 1."""

    safe: bool
    issues: list[str]
    sanitized: str
    score: float


class OutputVerdict(TypedDict):
    """What `validate_output` says."""

    safe: bool
    issues: list[str]
    sanitized: str


class RateLimitVerdict(TypedDict):
    """What `check_rate_limit` says; `reset_at` is when the next slot comes free (UTC)."""

    allowed: bool
    remaining: int
    reset_at: datetime


class ToolVerdict(TypedDict):
    """What `validate_tool_execution` says; `approved_by` is None when it may not run."""

    allowed: bool
    reason: str
    hint: str | None
    approved_by: str | None


class SecurityState(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in force, and the parts they shaped.

    Attributes:
        limiter: counts requests of named users.
        gate: decides on tool calls.
        audit: the audit log, open or not.
        audit_enabled: whether requests are written to it.
        max_input_length: characters.
        rate_limit_per_hour: requests of one caller.
        input_validation, output_validation: whether requests and answers pass the guards.
    """

    limiter: HourlyRateLimiter
    gate: ToolGate
    audit: AuditLog
    audit_enabled: bool
    max_input_length: int
    rate_limit_per_hour: int
    input_validation: bool
    output_validation: bool


class SecurityManager:
    """The document's security layer over the parts that requests pass as well.

    Args:
        vault: returns where provider keys and encryption keys are kept.
        state: returns what is in force; asked at each call, so a reload counts.
        find_tool: returns a tool by name, None when there is none.
        now: returns the current time (UTC).
    """

    def __init__(
        self,
        *,
        vault: Callable[[], Vault],
        state: Callable[[], SecurityState],
        find_tool: Callable[[str], Tool | None],
        now: Callable[[], datetime],
    ) -> None:
        self._vault = vault
        self._state = state
        self._find_tool = find_tool
        self._now = now

    def sanitize_input(self, text: str) -> Sanitized:
        """Look for injected SQL, shell, script and paths, and for orders to the model.

        It is for values that go on into a query, a command or a page. Questions to a model do not
        have to pass it: a developer may ask about any of these.

        Args:
            text: a value from outside, of any length.

        Returns:
            `safe`; `issues`, such as `sql_injection.stacked`; `sanitized`, the text without the
            lines that are unsafe and without invisible characters; `score`.

        Raises:
            InvalidRequest: it is no text.
        """
        _require_text(text)
        state = self._state()
        cut = visible(text)[: state.max_input_length]
        found = scan(cut)
        score = risk(found)
        issues = [each.kind for each in found]
        if len(text) > state.max_input_length:
            issues.append("size.too_long")
            score = 1.0
        safe = score < injection_rules().block_at
        if not safe:
            self._note("security.input_unsafe", kinds=" ".join(issues), score=score)
        sanitized = cut if risk(found) < injection_rules().block_at else remove_injections(cut)
        return Sanitized(safe=safe, issues=issues, sanitized=sanitized, score=score)

    def validate_output(self, text: str) -> OutputVerdict:
        """Look for credentials in what is about to be shown.

        Returns:
            `safe`; `issues`, such as `secret.aws_access_key`; `sanitized` with each credential
            replaced by `[redacted: ...]`.

        Raises:
            InvalidRequest: it is no text.
        """
        _require_text(text)
        sanitized, kinds = redact_secrets(text)
        issues = list(dict.fromkeys(kinds))
        if issues:
            self._note("security.output_unsafe", kinds=" ".join(issues))
        return OutputVerdict(safe=not issues, issues=issues, sanitized=sanitized)

    def encrypt_api_key(self, key: str) -> str:
        """Return `key` encrypted (AES-256-GCM) as one word; this machine alone can open it.

        Raises:
            InvalidRequest: it is no text, or empty.
            MachineError: the encryption key is lost, readable by others or cannot be written.
        """
        _require_text(key)
        if not key:
            raise InvalidRequest("There is no key to encrypt.", hint="Pass the key.", param="key")
        return self._vault().encrypt(key)

    def decrypt_api_key(self, token: str) -> str:
        """Return what `encrypt_api_key` was given.

        Raises:
            InvalidRequest: it was changed, made on another machine, or is no such token.
            MachineError: the encryption key is lost or readable by others.
        """
        _require_text(token)
        return self._vault().decrypt(token)

    def check_rate_limit(self, user: str, limit: int | None = None) -> RateLimitVerdict:
        """Count one request of a user.

        Args:
            user: name; requests of this user through the library count together with these.
            limit: requests in any hour; None is `security.rate_limit_per_hour`.
        """
        _require_text(user)
        state = self._state()
        limit = state.rate_limit_per_hour if limit is None else limit
        verdict = state.limiter.check(user, limit)
        if not verdict.allowed:
            self._note("security.rate_limited", user=user, limit=limit)
        return RateLimitVerdict(
            allowed=verdict.allowed, remaining=verdict.remaining, reset_at=verdict.reset_at
        )

    def validate_tool_execution(
        self, tool: str | Tool, arguments: Mapping[str, object] | None = None
    ) -> ToolVerdict:
        """Return whether a tool may be called with these arguments, as the tool loop would.

        Args:
            tool: a tool, or the name of one; of an unknown one the worst is assumed.
            arguments: as the model wrote them, decoded.
        """
        named = tool if isinstance(tool, Tool) else self._find_tool(tool)
        if named is None:
            named = Tool(name=str(tool), description="", parameters=_NO_PARAMETERS)
        try:
            approved_by = self._state().gate.check(named, arguments or {}, LOCAL_OWNER)
        except (AccessError, RequestError) as error:
            self._note("security.tool_refused", tool=named.name, reason=error.message)
            return ToolVerdict(
                allowed=False, reason=error.message, hint=error.hint, approved_by=None
            )
        return ToolVerdict(allowed=True, reason=approved_by, hint=None, approved_by=approved_by)

    def log_audit(self, action: str, **details: AuditValue) -> None:
        """Write one line of your own to the audit log, unless that is switched off.

        Args:
            action: what happened, such as `report.exported`.
            details: texts, numbers or truth values; what looks like a credential is masked.
        """
        _require_text(action)
        self._note(action, **details)

    def get_security_report(self) -> dict[str, object]:
        """Return what happened in the last 7 days, how keys are kept, and what is not covered.

        Holds no key and no text of anybody. Counts come from the audit log of every process.

        Raises:
            MachineError: the audit log cannot be read.
        """
        state = self._state()
        since = self._now() - timedelta(days=_REPORT_DAYS)
        counts = summarise(state.audit.directory, since=since)
        return {
            "since": since,
            "requests": counts.requests,
            "refused": counts.refused,
            "findings": counts.findings,
            "tool_refusals": counts.tool_refusals,
            "rate_limit_refusals": counts.rate_limit_refusals,
            "keys": self._key_report(),
            "audit": {
                "enabled": state.audit_enabled,
                "directory": str(state.audit.directory),
                "unreadable_lines": counts.unreadable,
            },
            "switches": {
                "input_validation": state.input_validation,
                "output_validation": state.output_validation,
                "max_input_length": state.max_input_length,
                "rate_limit_per_hour": state.rate_limit_per_hour,
            },
            "not_covered": list(NOT_COVERED),
        }

    def _key_report(self) -> dict[str, object]:
        vault = self._vault()
        try:
            keys, ages = vault.list(), vault.key_ages()
        except MachineError as error:
            return {"problem": error.message, "hint": error.hint}
        return {
            "stored": [
                {
                    "provider": key.provider,
                    "age_days": (self._now() - key.created_at).days,
                    "problem": key.problem,
                }
                for key in keys
            ],
            "encryption_key_age_days": (self._now() - ages[-1]).days if ages else None,
        }

    def _note(self, action: str, **details: AuditValue) -> None:
        state = self._state()
        if state.audit_enabled:
            state.audit.log(action, **details)


def _require_text(value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(
            f"A text is needed, not {type(value).__name__}.", hint="Pass a str.", param="text"
        )
