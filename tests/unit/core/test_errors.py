"""The error tree: what every class promises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ymera.core import errors
from ymera.core.errors import ProviderError, ProviderErrorKind, RateLimited, YmeraError
from ymera.core.task import TaskComplexity, TaskType


def tree(base: type[YmeraError] = YmeraError) -> Iterator[type[YmeraError]]:
    yield base
    for below in base.__subclasses__():
        yield from tree(below)


OWN = [each for each in tree() if each.__module__ == errors.__name__]


@pytest.mark.proves("core.error-tree")
@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_every_class_is_drawn_in_the_tree_and_has_its_codes(kind: type[YmeraError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__name__ in errors.__all__
    assert kind.code
    assert 400 <= kind.http_status < 600
    assert kind.exit_code in {1, 2, 4, 5, 6}


@pytest.mark.proves("core.error-tree")
def test_codes_tell_classes_apart() -> None:
    codes = [each.code for each in OWN if each.__name__ != "InvalidRequest"]
    assert len(codes) == len(set(codes))


@pytest.mark.proves("core.error-tree")
def test_an_error_keeps_sentence_hint_and_original() -> None:
    original = KeyError("x")
    try:
        raise YmeraError("It broke.", hint="Mend it.", param="a") from original
    except YmeraError as error:
        caught = error
    assert (str(caught), caught.hint, caught.param) == ("It broke.", "Mend it.", "a")
    assert caught.__cause__ is original


def test_refused_credentials_have_their_own_exit_code() -> None:
    assert ProviderError("no", kind=ProviderErrorKind.AUTH).exit_code == 4
    assert ProviderError("no", kind=ProviderErrorKind.TRANSIENT).exit_code == 1
    assert RateLimited("slow", retry_after_s=3, limit=1).exit_code == 5


@pytest.mark.proves("core.task-types")
def test_the_task_types_are_the_documented_ones() -> None:
    words = (
        "text_generation chat code_generation code_analysis reasoning question_answering"
        " research data_analysis database_query documentation summarization translation"
        " tool_use vision"
    )
    assert list(TaskType) == words.split()
    assert list(TaskComplexity) == ["simple", "medium", "complex"]
