from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.routing import shipped
from ymera.core.task import TaskType
from ymera.routing.complexity import infer_complexity
from ymera.routing.estimate import text_tokens
from ymera.routing.features import feature_ids

anything = st.text(st.characters(), max_size=400)


@given(text=anything)
def test_any_text_is_classified_the_same_each_time(text: str) -> None:
    first = shipped().classify(text)

    assert first == shipped().classify(text)
    assert 0 < first.probability <= 1


@given(text=anything, bits=st.integers(0, 16))
def test_features_stay_in_range(text: str, bits: int) -> None:
    mask = (1 << bits) - 1

    assert all(0 <= each <= mask for each in feature_ids(text, mask))


@given(left=anything, right=anything)
def test_more_text_is_never_fewer_tokens(left: str, right: str) -> None:
    both = text_tokens(left + right)

    assert both >= max(text_tokens(left), text_tokens(right)) - 1
    assert both <= text_tokens(left) + text_tokens(right) + 1


@given(text=anything, task_type=st.sampled_from(TaskType))
def test_any_text_has_a_complexity_or_none(text: str, task_type: TaskType) -> None:
    assert infer_complexity(text, task_type) in (None, "simple", "complex")
