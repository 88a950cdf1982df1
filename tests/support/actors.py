"""A double of a capable model: whatever form an answer has to have, it has it."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.hosted import say
from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest

__all__ = ["CODE", "capable", "example_of", "review", "reviews"]

CODE = """\
BOOKS: dict[int, str] = {}


def create_book(title: str) -> int:
    BOOKS[len(BOOKS) + 1] = title
    return len(BOOKS)


def read_book(number: int) -> str | None:
    return BOOKS.get(number)


def test_a_book_can_be_read() -> None:
    assert read_book(create_book("Emma")) == "Emma"
"""
_SQL = "SELECT customer, SUM(total) AS revenue FROM orders GROUP BY customer;"
_PROSE = (
    "# What there is to say\n\nFirst look at what is asked. Then do it step by step, and check each"
    " step. At the end say what was done, and what is left.\n"
)


def capable(request: ChatRequest) -> ChatAnswer:
    """Return JSON of the wished-for schema, code or SQL where these are asked for, else prose."""
    asked = "\n".join(message.text for message in request.messages)
    if request.response_format is not None and request.response_format.schema is not None:
        return say(json.dumps(example_of(json.loads(bytes(request.response_format.schema)))))
    if reviews(request):
        return say(review("accept"))
    if re.search(r"```sql|SQL (query|code)|code block of SQL", asked):
        return say(f"```sql\n{_SQL}\n```")
    if re.search(r"code block|```python", asked):
        return say(f"```python\n{CODE}```")
    return say(_PROSE)


def reviews(request: ChatRequest) -> bool:
    """Return whether this is the review phase of a bundled agent."""
    return any("Answer with JSON: verdict" in message.text for message in request.messages)


def review(verdict: str, *issues: str) -> str:
    """Return what a review phase answers: `accept` or `revise`, and why."""
    return json.dumps({"verdict": verdict, "issues": issues})


def example_of(schema: dict[str, Any]) -> object:
    """Return a small value that fits a JSON Schema of the simple kind."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: example_of(each) for name, each in schema.get("properties", {}).items()}
        case "array":
            return [example_of(schema.get("items", {}))] * max(1, schema.get("minItems", 0))
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return "as it should be".ljust(schema.get("minLength", 0), ".")
