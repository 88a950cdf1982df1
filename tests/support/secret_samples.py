"""Invented credentials in the forms of their vendors, put together here so that no scanner of

repositories takes them for real ones, and texts that only resemble them.
"""

from __future__ import annotations

__all__ = ["HARMLESS", "SAMPLES"]

_MIXED = "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zBc7dEf0gHi3jKl6mNo9pQr2sTu5vWx8y"
_HEX = "3f9a1c7e5b2d8046fa93c1e7b5d2804693fac1e75b2d8046"
_BODY = "MIIEpAIBAAKCAQEA7bq3" + _MIXED


def _row(kind: str, head: str, tail: str, around: str = "{}") -> tuple[str, str, str]:
    return kind, around.format(head + tail), tail


SAMPLES = (
    _row("aws_access_key", "AKIA", "IOSFODNN7QUXTZLE"),
    _row("github_token", "ghp_", _MIXED[:36]),
    _row("github_token", "github_pat_", _MIXED[:22] + "_" + _MIXED[:59]),
    _row("gitlab_token", "glpat-", _MIXED[:20]),
    _row("anthropic_key", "sk-ant-", "api03-" + _MIXED + "AA"),
    _row("openrouter_key", "sk-or-v1-", _HEX),
    _row("openai_key", "sk-", "proj-" + _MIXED),
    _row("openai_key", "sk-", _MIXED[:48]),
    _row("google_api_key", "AIza", "Sy" + _MIXED[:33]),
    _row("google_oauth_secret", "GOCSPX-", _MIXED[:28]),
    _row("google_oauth_token", "ya29.", _MIXED),
    _row("slack_token", "xoxb-", "482913750264-" + _MIXED[:24]),
    _row(
        "slack_webhook", "https://hooks.slack.com/services/", "T01AB23CD/B04EF56GH/" + _MIXED[:24]
    ),
    _row("stripe_key", "sk_live_", _MIXED[:24]),
    _row("jwt", "eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + _MIXED[:43]),
    _row("ymera_access_key", "ymk_", _MIXED[:43]),
    _row("groq_key", "gsk_", _MIXED[:52]),
    _row("huggingface_token", "hf_", _MIXED[:34]),
    _row("vendor_key", "nvapi-", _MIXED),
    _row("package_token", "npm_", _MIXED[:36]),
    _row("cloud_token", "dop_v1_", (_HEX * 2)[:64]),
    _row("cloud_token", "SG.", _MIXED[:22] + "." + _MIXED[:43]),
    _row("azure_storage_key", "AccountKey=", _MIXED + "/+A=="),
    _row("connection_password", "postgres://app:", "n0t-a-w0rd", "{}@db.example.org/shop"),
    _row("bearer_token", "Authorization: Bearer ", _MIXED[:40]),
    _row("named_secret", "api_key = ", _MIXED[:24], '"{}"'),
    _row("named_secret", '"client_secret": "', _MIXED[:24], '{{{}"}}'),
    _row("named_secret", "export DB_PASSWORD=", "k7#x".replace("#", "!") + _MIXED[:14]),
    _row(
        "private_key",
        "-----BEGIN " + "RSA PRIVATE KEY-----\n",
        _BODY + "\n" + _BODY + "\nab=\n-----END RSA " + "PRIVATE KEY-----",
    ),
    _row(
        "private_key",
        "-----BEGIN " + "PRIVATE KEY-----\\n",
        _BODY + "\\n-----END " + "PRIVATE KEY-----",
    ),
    _row(
        "private_key",
        f"-----BEGIN {'RSA'} PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES,00\n\n",
        _BODY + "\n-----END RSA " + "PRIVATE KEY-----",
    ),
)

HARMLESS = (
    "The token is read from the environment; keep the password secret.",
    "Set api_key = os.environ['OPENAI_API_KEY'] before you start.",
    'api_key = "your-api-key-here"',
    'password = "<password>"',
    "token: ${{ secrets.GITHUB_TOKEN }}",
    "postgres://user:password@localhost:5432/app",
    "See https://example.org:8443/docs#token=none and https://example.org/a:b@c",
    "A PEM file begins with -----BEGIN PRIVATE KEY----- and ends with an END line.",
    "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQG\n",
    "AWS keys look like AKIAIOSFODNN7EXAMPLE.",
    "commit 3f9a1c7e5b2d8046fa93c1e7b5d2804693fac1e7",
    "sha256: 3f9a1c7e5b2d8046fa93c1e7b5d2804693fac1e75b2d80463f9a1c7e5b2d8046",
    "uuid 123e4567-e89b-12d3-a456-426614174000",
    "The class hf_requiredCharacteristicTypesForDisplayMetadata is generated.",
    "sk-learn and sk-image are nicknames; eyJ begins many base64 texts.",
    "def check_token(token: str) -> bool: return token == expected_token",
    "max_tokens=1024, secret_name='prod/db', password_hash_rounds = 12",
    "Authorization: Bearer <token>",
    "Les mots de passe : évitez « motdepasse ».",
)
