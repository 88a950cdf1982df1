from __future__ import annotations

import json
import sys
import time
from collections import Counter
from hashlib import sha256

import pytest

from tests.support.routing import (
    ROOT,
    folded,
    labelled_prompts,
    shipped,
    shipped_bytes,
    training_texts,
)
from ymera.core.errors import CatalogError
from ymera.core.task import TaskComplexity, TaskType
from ymera.routing.classify import Classification, TaskClassifier


@pytest.mark.proves("routing.classify", "document.selection-works")
def test_the_prompts_of_the_document_get_their_types_and_complexities() -> None:
    prompts = ("Create Python hello world function", "REST API with CRUD", "Codebase analysis")

    answers = [shipped().classify(prompt)[:2] for prompt in prompts]

    assert answers == [
        (TaskType.CODE_GENERATION, TaskComplexity.SIMPLE),
        (TaskType.CODE_GENERATION, None),
        (TaskType.CODE_ANALYSIS, TaskComplexity.COMPLEX),
    ]
    assert shipped().classify("Say hello").complexity is TaskComplexity.SIMPLE


@pytest.mark.proves("routing.classify-accuracy")
def test_nine_in_ten_hand_written_prompts_get_the_right_type() -> None:
    right = Counter[TaskType]()
    latest = []
    for prompt in labelled_prompts():
        hit = shipped().classify(prompt.text).type is prompt.type
        right[prompt.type] += hit
        if prompt.batch == 3:
            latest.append(hit)
    total = Counter(prompt.type for prompt in labelled_prompts())

    assert right.total() / total.total() >= 0.9
    assert sum(latest) / len(latest) >= 0.85
    assert {kind for kind in TaskType if right[kind] / total[kind] < 0.75} == set()


@pytest.mark.proves("routing.classify-accuracy")
def test_every_type_is_tested_by_a_dozen_prompts_that_were_never_trained_on() -> None:
    total = Counter(prompt.type for prompt in labelled_prompts())

    assert min(total[kind] for kind in TaskType) >= 12
    assert {
        prompt.text for prompt in labelled_prompts() if folded(prompt.text) in training_texts()
    } == set()


def test_a_probability_is_what_it_says() -> None:
    sure = [
        (answer.probability, answer.type is prompt.type)
        for prompt in labelled_prompts()
        if (answer := shipped().classify(prompt.text)).probability >= 0.9
    ]

    assert len(sure) > 100
    assert sum(right for _, right in sure) / len(sure) >= 0.95


def test_the_probabilities_of_all_types_add_up_to_one() -> None:
    probabilities = shipped().probabilities("Write a haiku about tea")

    assert set(probabilities) == set(TaskType)
    assert sum(probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800", "🙂" * 9_000, "日本語", "a" * 300_000])
def test_any_text_has_a_type(text: str) -> None:
    answer = shipped().classify(text)

    assert isinstance(answer, Classification)
    assert 1 / len(TaskType) <= answer.probability <= 1


@pytest.mark.proves("routing.classify-speed")
def test_five_hundred_characters_take_under_a_third_of_a_millisecond() -> None:
    text = (
        "We run a small bookshop and keep our orders in a spreadsheet with the columns date, "
        "customer, title, quantity and price. Please write a Python script that reads this file, "
        "checks every row for missing values, adds up the turnover per month and per author, and "
        "prints the ten best customers with their share of the total. It should stop with a clear "
        "message if a column is absent, accept the file name as an argument, and have tests for "
        "the sums. Use only the standard library, since the shop's old computer has no internet."
    )[:500]
    shipped()
    best_ns = min(_cpu_ns(f"{number:04} {text}"[:500]) for number in range(200))

    allowed_ns = 300_000 * (4 if sys.gettrace() or "coverage" in sys.modules else 1)
    assert best_ns < allowed_ns


@pytest.mark.proves("routing.classify-speed")
def test_a_megabyte_costs_no_more_than_a_page() -> None:
    page, book = "the quick brown fox " * 150, "the quick brown fox " * 50_000

    page_ns, book_ns = (
        min(_cpu_ns(f"{number:02}{text}") for number in range(30)) for text in (page, book)
    )

    assert book_ns < 3 * page_ns


@pytest.mark.proves("routing.classify-speed")
def test_what_was_classified_is_remembered_within_a_bound_and_without_its_text() -> None:
    classifier = TaskClassifier.from_bytes(shipped_bytes())
    first = classifier.classify("Translate this")
    assert classifier.classify("Translate this") is first
    for number in range(1_500):
        classifier.classify(f"Say {number}")
    assert len(classifier._known) <= 512
    assert not any(b"Say" in digest for _, digest in classifier._known)
    assert classifier.classify("Translate this") == first


def _cpu_ns(text: str) -> int:
    begin = time.process_time_ns()
    shipped().classify(text)
    return time.process_time_ns() - begin


@pytest.mark.proves("routing.task-model")
def test_the_shipped_weights_are_small_and_the_ones_on_record() -> None:
    data = shipped_bytes()

    assert len(data) < 300_000
    assert sha256(data).hexdigest() in (ROOT / "training/README.md").read_text("utf-8")


def _changed(**fields: object) -> bytes:
    line, _, table = shipped_bytes().partition(b"\n")
    return json.dumps(json.loads(line) | fields).encode() + b"\n" + table


@pytest.mark.proves("routing.task-model")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "unreadable"),
        (b"not a model", "unreadable"),
        (_changed(unheard_of=1), "unreadable"),
        (_changed(scale=0), "unreadable"),
        (_changed(types=["chat", "juggling"]), "unreadable"),
        (_changed(format="ymera-task-model/9"), "another version"),
        (_changed(features_version=0), "another version"),
        (_changed(types=[], bias=[]), "do not fit"),
        (_changed(bias=[0.0]), "do not fit"),
        (_changed(types=["chat"] * 14), "do not fit"),
        (_changed(rows=16_383), "no power of two"),
        (_changed(rows=8_192), "bytes of weights"),
        (shipped_bytes()[:-1], "bytes of weights"),
        (shipped_bytes()[:-1] + bytes([shipped_bytes()[-1] ^ 1]), "checksum"),
    ],
)
def test_a_broken_weights_file_is_refused_with_its_fault(data: bytes, words: str) -> None:
    with pytest.raises(CatalogError, match=words) as caught:
        TaskClassifier.from_bytes(data)

    assert caught.value.hint is not None
