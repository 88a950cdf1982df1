"""security: what has to be blocked, redacted, encrypted, limited and written down, is."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ymera.core.errors import InvalidRequest, RateLimited
from ymera.engine.orchestrator import AIRequest
from ymera.security.vault import Vault
from ymera.testing.scripted import ScriptedProvider
from ymera.validation.hosted import HOST, hosted_only
from ymera.validation.report import Check, Unchecked, Unmet, check

if TYPE_CHECKING:
    from ymera.app import App
    from ymera.validation.installation import Installation

__all__ = ["examine"]

_INJECTION = "'; DROP TABLE users; --"
"""The document's example."""
_BENIGN = "Please list the users who joined last week, newest first."
_KEY_LETTERS = "bcdghjmnpqrtvwzBCDGHJMNPQRTVWZ23456789"
"""Without vowels, so that no word such as "fake" comes up, which marks an example."""
_LIMIT = 100
_OWN_LIMIT = 3
_ON: dict[str, object] = {
    "security.enable_input_validation": True,
    "security.enable_output_validation": True,
    "security.rate_limit_per_hour": _OWN_LIMIT,
    "monitoring.enable_audit_log": True,
}
_USER = "validation"


async def examine(installation: Installation) -> AsyncGenerator[Check, None]:
    """Make the checks."""
    leaked = _made_up_key()
    keys, flags = hosted_only()
    leaky = ScriptedProvider(answers=lambda _request, _model: f"The key is {leaked}, keep it.")
    async with installation.app(flags={**flags, **_ON}, keys=keys, providers={HOST: leaky}) as app:
        yield await check("input", _input(app))
        yield await check("output", _output(app, leaked))
        yield await check("encryption", _encryption(app))
        yield await check("rate limit", _rate_limit(app))
        yield await check("audit", _audit(app, leaked))
        yield await check("report", _report(app))
    yield await check("switches", _switches(installation))
    yield await check("your keys", _own_keys(installation))


def _made_up_key() -> str:
    """Return what looks like a GitHub token and is none."""
    return "ghp_" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(36))


async def _input(app: App) -> str:
    found = app.securing.manager.sanitize_input(_INJECTION)
    if found["safe"] or not found["issues"]:
        raise Unmet(f"{_INJECTION!r} passes as safe.")
    if not app.securing.manager.sanitize_input(_BENIGN)["safe"]:
        raise Unmet(f"The harmless {_BENIGN!r} is blocked.")
    return f"{_INJECTION!r} is blocked ({', '.join(found['issues'])}), a harmless sentence is not"


async def _output(app: App, leaked: str) -> str:
    """A key in an answer is found by the manager, and does not leave through the pipeline."""
    verdict = app.securing.manager.validate_output(f"The key is {leaked}.")
    if verdict["safe"] or leaked in verdict["sanitized"]:
        raise Unmet("A key in a text passes as safe.")
    if not app.securing.manager.validate_output(_BENIGN)["safe"]:
        raise Unmet(f"The harmless {_BENIGN!r} is taken for a secret.")
    answer = await app.orchestrator.ask(AIRequest(prompt="What is the key?", fresh=True))
    if leaked in answer.response or not answer.response:
        raise Unmet("A key that a model wrote reached the caller.")
    return f"a model's answer left as {answer.response!r}"


async def _encryption(app: App) -> str:
    key = f"sk-validation-{os.urandom(12).hex()}"
    token = app.securing.manager.encrypt_api_key(key)
    if key in token or app.securing.manager.decrypt_api_key(token) != key:
        raise Unmet("An encrypted key does not come back as it was.")
    half = len(token) // 2
    tampered = token[:half] + ("A" if token[half] != "A" else "B") + token[half + 1 :]
    try:
        app.securing.manager.decrypt_api_key(tampered)
    except InvalidRequest:
        pass
    else:
        raise Unmet("A changed token was decrypted all the same.")
    files = [each for each in app.paths.encryption.rglob("*") if each.is_file()]
    if any(key.encode() in each.read_bytes() for each in files):
        raise Unmet("The key lies in a file as it is.")
    if os.name == "posix" and any(stat.S_IMODE(each.stat().st_mode) & 0o077 for each in files):
        raise Unmet("A file of keys can be read by others.")
    return "a key comes back as it was, a changed token is refused, files are for their owner"


async def _rate_limit(app: App) -> str:
    verdicts = [app.securing.manager.check_rate_limit(_USER, _LIMIT) for _ in range(_LIMIT + 1)]
    if not all(each["allowed"] for each in verdicts[:_LIMIT]) or verdicts[_LIMIT]["allowed"]:
        raise Unmet(f"Of {_LIMIT + 1} requests {sum(v['allowed'] for v in verdicts)} may pass.")
    asked = [
        await app.orchestrator.execute(AIRequest(prompt=f"Hello {n}", user="somebody"))
        for n in range(_OWN_LIMIT + 1)
    ]
    refused = [isinstance(each.error, RateLimited) for each in asked]
    if refused != [False] * _OWN_LIMIT + [True]:
        raise Unmet(f"With a limit of {_OWN_LIMIT}, requests were refused so: {refused}.")
    return f"request {_LIMIT + 1} of {_LIMIT} is refused, with the time to come back"


async def _audit(app: App, leaked: str) -> str:
    app.securing.manager.log_audit("validation.tried", note=f"with {leaked}", count=1)
    await app.close()  # writes out what is held
    files = sorted(app.paths.audit_logs.glob("*.jsonl"))
    text = "".join(each.read_text(encoding="utf-8") for each in files)
    actions = [json.loads(line)["action"] for line in text.splitlines()]
    for action in ("validation.tried", "request"):
        if action not in actions:
            raise Unmet(f"No audit line says {action}.")
    if leaked in text:
        raise Unmet("An audit line holds a key.")
    return f"{len(actions)} lines of JSON, without the key that was in what they tell of"


async def _report(app: App) -> str:
    report = app.securing.manager.get_security_report()
    if not report.get("not_covered"):
        raise Unmet("The report does not say what is not covered.")
    return f"tells {', '.join(sorted(report))}"


async def _switches(installation: Installation) -> str:
    settings = installation.loaded.settings.security
    names = ("enable_input_validation", "enable_output_validation")
    off = [f"security.{name}" for name in names if not getattr(settings, name)]
    if off:
        raise Unchecked(f"You switched off {' and '.join(off)}.", hint="Set it to true.")
    return "input and output guards are on"


async def _own_keys(installation: Installation) -> str:
    """The keys of this installation are private and can be opened."""
    vault = Vault(installation.paths.encryption, now=lambda: datetime.now(UTC))
    vault.key_ages()
    stored = vault.list()
    for each in stored:
        if each.problem is not None:
            raise Unmet(f"The key of {each.provider}: {each.problem}", hint="`ymera keys set`")
    return f"{len(stored)} stored, private and readable" if stored else "none is stored"
