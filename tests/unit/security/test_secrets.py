"""Credentials in answers: found, replaced, also while the answer is written."""

from __future__ import annotations

import sys
import timeit

import pytest

from tests.support.secret_samples import HARMLESS, SAMPLES
from ymera.security.guards.secrets import SecretsGuard, redact_secrets
from ymera.security.rules import secret_rules


@pytest.mark.proves("output.secrets")
@pytest.mark.parametrize(("kind", "text", "secret"), SAMPLES, ids=[row[0] for row in SAMPLES])
def test_a_credential_is_replaced_by_its_kind(kind: str, text: str, secret: str) -> None:
    redacted, found = redact_secrets(f"Sure! Here it is: {text}\nAnything else?")
    assert found == (f"secret.{kind}",)
    assert secret not in redacted
    assert f"[redacted: {kind}]" in redacted
    assert redacted.startswith("Sure! Here it is: ")
    assert redacted.endswith("\nAnything else?")


@pytest.mark.proves("output.no-false-alarm")
@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_a_credential_passes_unchanged(text: str) -> None:
    assert redact_secrets(text) == (text, ())


@pytest.mark.proves("output.stream-holds-little")
def test_ordinary_text_leaves_a_stream_as_it_comes() -> None:
    screen = SecretsGuard().screen(pytest.fail)
    held = 0
    words = [f" {word}" for word in ("The token is passed on to the server, which" * 20).split()]
    sent = 0
    for word in words:
        sent += len(word) - len(screen.feed(word))
        held = max(held, sent)
    assert held <= len(" token is passed")


@pytest.mark.proves("output.stream-holds-little")
def test_a_long_key_is_swallowed_and_not_collected() -> None:
    found: list[str] = []
    screen = SecretsGuard().screen(found.append)
    out = screen.feed(f"-----BEGIN {'PRIVATE'} KEY-----\n")
    for _ in range(5):
        out += screen.feed("Qw3rTy7uIo" * 10)
    assert out == "[redacted: private_key]", "it is known to be one long before it ends"
    for _ in range(500):
        assert screen.feed("Qw3rTy7uIo" * 10) == ""
    assert screen.feed("\n-----END PRIVATE KEY-----\nDone.") + screen.end() == "\nDone."
    assert found == ["secret.private_key"]


@pytest.mark.proves("output.fast")
def test_screening_a_delta_costs_microseconds(capsys: pytest.CaptureFixture[str]) -> None:
    prose = "Each request is checked before it leaves, and the settings say how. " * 30
    deltas = [prose[at : at + 5] for at in range(0, len(prose), 5)]

    def read() -> None:
        screen = SecretsGuard().screen(pytest.fail)
        for delta in deltas:
            screen.feed(delta)

    best_us = min(timeit.repeat(read, number=1, repeat=20)) / len(deltas) * 1e6
    with capsys.disabled():
        sys.stdout.write(f"\nscreening: {best_us:.2f} us a delta of 5 characters\n")
    assert best_us < 15  # 1 us where it was measured; a busy machine must not fail


@pytest.mark.proves("output.fast")
def test_screening_a_whole_answer_costs_microseconds(capsys: pytest.CaptureFixture[str]) -> None:
    prose = "Each request is well-checked before it leaves, and `its_settings` say how. " * 14
    guard = SecretsGuard()
    times_s = timeit.repeat(lambda: guard.screen_whole(prose, pytest.fail), number=10, repeat=20)
    best_us = min(times_s) / 10 * 1e6
    with capsys.disabled():
        sys.stdout.write(f"\nscreening: {best_us:.2f} us an answer of {len(prose):,} characters\n")
    assert best_us < 150  # 10 us where it was measured; a busy machine must not fail


@pytest.mark.proves("security.rules-are-data")
def test_no_anchor_of_the_rules_begins_with_another() -> None:
    anchors = sorted(secret_rules().by_anchor, key=str.lower)
    assert len(anchors) > 80
    for left in anchors:
        for right in anchors:
            assert left == right or not right.lower().startswith(left.lower()), (left, right)


@pytest.mark.proves("security.rules-are-data")
def test_every_secret_rule_names_its_source_and_compiles() -> None:
    rules = secret_rules()
    assert rules.licence == "Apache-2.0"
    for rule in rules.rule:
        assert rule.source
        assert rule.anchors or rule.names
        assert rule.pattern_re.groups <= 1
        assert rule.grow_re.match("") is not None, f"{rule.id}: grow has to match nothing at all"
        assert rule.rest_re.match("") is not None
