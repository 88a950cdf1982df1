from __future__ import annotations

from hashlib import sha256

import pytest

from ymera.routing.features import excerpt, feature_ids

MASK = 16_383


@pytest.mark.proves("routing.task-model")
def test_features_are_the_same_on_every_platform_and_python() -> None:
    texts = ("Say hello", "Größe der Straße? 42 ```py```", "日本 🙂", "", "\ud800")

    ids = [sorted(feature_ids(text, MASK)) for text in texts]

    assert (
        sha256(repr(ids).encode()).hexdigest()
        == "05766c4dfc2a97731656c026e2fc342ee469cb2265b44c842bb6e5ab68e6da6a"
    )


def test_a_long_text_is_seen_by_its_beginning_and_end() -> None:
    head, tail = "a" * 2_000, "z" * 500

    assert excerpt(head + "middle" * 100 + tail) == f"{head}\n{tail}"
    assert excerpt(head + tail) == head + tail


def test_case_and_digits_make_no_difference() -> None:
    assert feature_ids("Add 17 and 4", MASK) == feature_ids("add 3 AND 99", MASK)


def test_features_stay_within_the_mask() -> None:
    assert all(0 <= each <= 15 for each in feature_ids("any text at all, long or short", 15))
