"""Masking of whatever looks like a credential, for text on its way to a log or an audit line."""

from __future__ import annotations

import re

__all__ = ["redact"]

# The fixed beginnings that vendors give their keys, so that scanners (and we) can spot them.
_KEY = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:(sk-|csk-|xai-|nvapi-|pplx-|fw_|gsk_|hf_|r8_|gh[oprsu]_|github_pat_|glpat-|npm_|xox[abprs]-"
    r"|AIza|eyJ|ymk_)[A-Za-z0-9_.\-]{8,}"
    r"|(AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9]))"
)
# A credential after its name, as in headers, query strings, JSON and reprs of headers.
_NAMED = re.compile(
    r"(?i)(authorization|x-api-key|x-goog-api-key|api[-_]?key|access[-_]?token|secret|password"
    r"|passwd|private[-_]?key|(?<=[?&])key)"
    r"([\"']?\s*[:=]\s*[\"']?)(?:(bearer|basic|token)\s+)?[^\s\"',;&})]+"
)
# Shorter values are what parsers and counters say of tokens.
_TOKEN = re.compile(r"(?i)(?<![a-z0-9])(token[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&})]{6,}")
_PASSWORD_IN_URL = re.compile(r"(://[^\s/:@]{0,256}:)[^\s/@]{1,256}@")
_BEARER = re.compile(r"(?i)(bearer)\s+[A-Za-z0-9._~+/=\-]{6,}")


def redact(text: str) -> str:
    """Return `text` with anything that looks like a credential masked.

    The recognisable beginning stays (`gsk_***`), so that a reader can tell which key was meant.
    This is the last net, not the first: code that holds a secret does not log it.
    """
    text = _KEY.sub(r"\1\2***", text)
    if ":" in text or "=" in text:  # the slowest pattern, and needless for ids and model names
        text = _NAMED.sub(r"\1\2***", text)
        text = _TOKEN.sub(r"\1***", text)
        text = _PASSWORD_IN_URL.sub(r"\1***@", text)
    return _BEARER.sub(r"\1 ***", text)
