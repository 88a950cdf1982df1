"""What people ask on an ordinary day, each through the door they would use.

The far end is a real embedded model, or a double of a hosted one on loopback whose answers depend
on what reaches it: a prompt that was cut, or went elsewhere, gives another answer.
"""

from __future__ import annotations

import ast
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import openai
import pytest

import ymera
from tests.support import local_model
from tests.support.command_line import run_process
from tests.support.hosted import hosting, say
from tests.support.scenario import (
    code_in,
    records,
    run_python,
    set_environment,
    sql_in,
    tables_of,
)
from tests.support.server import RunningServer, serving
from ymera.core.answer import ChatAnswer
from ymera.core.chat import ChatRequest, prompt_text
from ymera.testing import Fault

pytestmark = pytest.mark.proves("document.real-world")

SCHEMA = "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, total REAL);"
ORDERS = [(1, "Ada", 30.0), (2, "Bob", 5.5), (3, "Ada", 12.0)]


@pytest.fixture
def small_model(small_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the embedded small model be one that can be asked."""
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(small_model_dir))


@pytest.fixture(scope="session")
def larger_model_dir() -> Path:
    return local_model.pulled(local_model.LARGER)


def sdk(server: RunningServer) -> openai.OpenAI:
    """Return the official client of a server."""
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)


def streamed(client: openai.OpenAI, prompt: str) -> list[str]:
    """Return the pieces of a streamed answer."""
    stream = client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": prompt}], stream=True
    )
    return [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]


# --- code ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_model")
@pytest.mark.proves("document.scenario-simple-code")
def test_simple_code_is_written_and_runs() -> None:
    done = run_process("Create a Python hello world function")
    assert done.returncode == 0, done.stderr.decode()
    tree = ast.parse(code_in(done.stdout.decode()))
    assert [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert "hello, world" in run_python(ast.unparse(tree)).lower()


CRUD = """Here is the API:

```python
BOOKS: dict[int, str] = {}

def create_book(title: str) -> int:
    BOOKS[len(BOOKS) + 1] = title
    return len(BOOKS)

def read_book(book_id: int) -> str | None:
    return BOOKS.get(book_id)

def update_book(book_id: int, title: str) -> None:
    BOOKS[book_id] = title

def delete_book(book_id: int) -> None:
    del BOOKS[book_id]
```
"""


@pytest.mark.proves("document.select-task-type", "document.scenario-complex-code")
async def test_complex_code_goes_to_the_model_that_writes_code_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hosting(lambda request: say(CRUD if "coder" in request.model else "Hi!")) as host:
        set_environment(
            monkeypatch, host.only("stage", '["llama-3.2-1b-instruct", "qwen3-coder-480b-a35b"]')
        )
        async with ymera.connect() as ai:
            answer = await ai.ask(
                "Design and write a REST API in Python with create, read, update and delete for"
                " books, with validation, pagination, error handling and unit tests."
            )
    assert answer.route is not None
    assert answer.route.profile.type is ymera.TaskType.CODE_GENERATION
    assert answer.route.profile.complexity is not ymera.TaskComplexity.SIMPLE
    assert answer.model == "stage/qwen3-coder-480b-a35b"
    tried = "number = create_book('Emma')\nprint(read_book(number))\n"
    assert run_python(code_in(answer.response) + tried) == "Emma\n"


@pytest.mark.full
async def test_the_larger_embedded_model_writes_an_api_that_parses(
    larger_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(larger_model_dir))
    async with ymera.connect() as ai:
        answer = await ai.ask("Create a REST API with CRUD for books in Python", max_tokens=1200)
    assert answer.model == local_model.LARGER
    assert answer.cost == 0
    code = code_in(answer.response)
    names = {
        node.name.lower()
        for node in ast.walk(ast.parse(code))
        if hasattr(node, "name") and node.name
    }
    for verb in ("get", "create|add|post", "update|put", "delete"):
        assert any(re.search(verb, name) for name in names), f"no {verb} in {names}"


# --- data ----------------------------------------------------------------------------------------


def _sql_expert(request: ChatRequest) -> ChatAnswer:
    """A model that can only use the tables it has been told of."""
    table = tables_of(prompt_text(request))[0]
    return say(
        f"```sql\nSELECT customer, SUM(total) FROM {table} GROUP BY customer ORDER BY 2 DESC;\n```"
    )


@pytest.mark.proves("document.scenario-database")
def test_a_database_query_is_answered_with_sql_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with hosting(_sql_expert) as host:
        set_environment(monkeypatch, host.only())
        done = run_process(
            "Write a SQL query for the revenue per customer, highest first", stdin=SCHEMA.encode()
        )
        assert done.returncode == 0, done.stderr.decode()
    assert _run_sql(sql_in(done.stdout.decode())) == [("Ada", 42.0), ("Bob", 5.5)]
    (stored,) = records()
    assert stored["task_type"] == "database_query"


@pytest.mark.full
def test_the_larger_embedded_model_writes_sql_that_runs(
    larger_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(larger_model_dir))
    done = run_process(
        "Write one SQLite query: each customer with the sum of total.", stdin=SCHEMA.encode()
    )
    assert done.returncode == 0, done.stderr.decode()
    rows = _run_sql(sql_in(done.stdout.decode()))
    assert sorted(row[:2] for row in rows) == [("Ada", 42.0), ("Bob", 5.5)]


def _run_sql(query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SCHEMA)
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", ORDERS)
        return database.execute(query).fetchall()


FIGURES = {
    "type": "object",
    "properties": {
        "highest_month": {"enum": ["January", "February", "March"]},
        "rows": {"type": "integer"},
    },
    "required": ["highest_month", "rows"],
    "additionalProperties": False,
}


@pytest.mark.usefixtures("small_model")
@pytest.mark.proves("document.scenario-data")
def test_data_is_analysed_into_the_json_that_was_asked_for() -> None:
    """However little the small model understands, what a program reads has the agreed form."""
    with serving({}) as server, sdk(server) as client:
        answer = client.chat.completions.create(
            model="auto",
            messages=[
                {
                    "role": "user",
                    "content": "Analyse this sales data: which month is highest?\n"
                    "month,sales\nJanuary,10\nFebruary,40\nMarch,20",
                }
            ],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "figures", "schema": FIGURES, "strict": True},
            },
            max_tokens=60,
        )
    found = json.loads(answer.choices[0].message.content or "")
    assert set(found) == {"highest_month", "rows"}
    assert found["highest_month"] in {"January", "February", "March"}
    assert type(found["rows"]) is int
    assert answer.model == local_model.SMALL


# --- text ----------------------------------------------------------------------------------------


def _documenter(request: ChatRequest) -> ChatAnswer:
    names = re.findall(r"^def (\w+)", prompt_text(request), re.MULTILINE)
    return say("# Functions\n\n" + "\n".join(f"- `{name}`: what it does." for name in names))


@pytest.mark.proves("document.scenario-documentation")
def test_a_module_on_stdin_is_documented_to_its_last_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = "".join(f"def step_{n}(x):\n    return x + {n}\n\n\n" for n in range(800))
    with hosting(_documenter) as host:
        set_environment(monkeypatch, host.only())
        done = run_process("Write the documentation of this module", stdin=module.encode())
    assert done.returncode == 0, done.stderr.decode()
    listed = re.findall(r"^- `(\w+)`", done.stdout.decode(), re.MULTILINE)
    assert listed == [f"step_{n}" for n in range(800)]
    assert records()[0]["task_type"] == "documentation"


def test_a_translation_streams_through_the_server_letter_by_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "Über die Brücke gehen — 橋を渡る 🌉 çà et là"
    with (
        hosting(lambda _request: say(said)) as host,
        serving(host.only()) as server,
        sdk(server) as client,
    ):
        pieces = streamed(client, "Translate into German: Crossing the bridge 🌉")
        assert server.stop() == 0
    assert "".join(pieces) == said
    assert len(pieces) > 3
    assert host.asked[0].messages[-1].text.endswith("Crossing the bridge 🌉")
    assert records()[0]["task_type"] == "translation"


def _summariser(request: ChatRequest) -> ChatAnswer:
    sentences = re.findall(r"[^.\n]+\.", prompt_text(request))
    return say(f"It begins:{sentences[0]} It ends:{sentences[-1]}")


def test_a_long_text_on_stdin_is_summed_up_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    middle = " ".join(f"On day {n} it rained." for n in range(3_000))
    text = f"The ship left in April. {middle} All came home in May."
    with hosting(_summariser) as host:
        set_environment(monkeypatch, host.only())
        done = run_process("Summarise:", stdin=text.encode())
    assert (done.returncode, done.stdout.decode()) == (
        0,
        "It begins:The ship left in April. It ends: All came home in May.\n",
    )
    assert records()[0]["task_type"] == "summarization"


def _reviewer(request: ChatRequest) -> ChatAnswer:
    lines = prompt_text(request).splitlines()
    found = [line.strip() for line in lines if "eval(" in line]
    return say("\n".join(f"Never pass input to eval: `{line}`" for line in found))


def test_a_file_on_stdin_is_reviewed(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import sys\n\nprint(sum(map(int, sys.argv[1:])))\nprint(eval(sys.argv[1]))\n"
    with hosting(_reviewer) as host:
        set_environment(monkeypatch, host.only())
        done = run_process("Review this code for security problems", stdin=source.encode())
    assert done.stdout.decode() == "Never pass input to eval: `print(eval(sys.argv[1]))`\n"
    assert records()[0]["task_type"] == "code_analysis"


# --- conversations, privacy, bad days ------------------------------------------------------------


def _remembers(request: ChatRequest) -> ChatAnswer:
    told = " ".join(message.text for message in request.messages[:-1])
    name = re.search(r"my name is (\w+)", told)
    if "my name?" in prompt_text(request):
        return say(f"Your name is {name[1]}." if name else "You never told me.")
    return say("Pleased to meet you.")


def test_a_conversation_over_the_server_keeps_what_was_said() -> None:
    turns: list[openai.types.chat.ChatCompletionMessageParam] = []
    answers = []
    with hosting(_remembers) as host, serving(host.only()) as server, sdk(server) as client:
        for text in ("Hello, my name is Ingrid.", "Fine weather.", "What is my name?"):
            turns.append({"role": "user", "content": text})
            answer = client.chat.completions.create(model="auto", messages=turns)
            said = answer.choices[0].message.content or ""
            turns.append({"role": "assistant", "content": said})
            answers.append(said)
    assert answers == ["Pleased to meet you.", "Pleased to meet you.", "Your name is Ingrid."]


@pytest.mark.usefixtures("small_model")
def test_a_private_question_stays_on_this_machine_and_leaves_no_text() -> None:
    with hosting(lambda _request: say("I keep what you say.")) as host:
        settings = {**host.settings(), "YMERA_MONITORING__STORE_PROMPTS": "true"}
        question = "My diagnosis is xyzzy. Say ok."
        with serving(settings) as server, sdk(server) as client:
            client.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": question}]
            )
            answer = client.chat.completions.create(
                model="auto",
                messages=[{"role": "user", "content": question}],
                max_tokens=8,
                extra_headers={"x-ymera-private": "true"},
            )
            assert server.stop() == 0
        assert len(host.asked) == 1
    assert answer.model == local_model.SMALL
    told, secret = records()
    assert told["model_id"] == "stage/actor"
    assert "xyzzy" in str(told["prompt"])
    assert (secret["prompt"], secret["answer"], secret["private"]) == (None, None, 1)


@pytest.mark.proves("document.select-fallback")
async def test_when_a_provider_fails_in_the_middle_of_the_day_another_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strong, spare = '["qwen3-coder-480b-a35b"]', '["llama-3.2-1b-instruct"]'
    faults = {"qwen3-coder-480b-a35b": Fault.DAY}
    with hosting(lambda _request: say("Here I am.")) as well:
        both = {**well.only("stage", strong), **well.settings("spare", spare)}
        set_environment(monkeypatch, both)
        async with ymera.connect() as ai:
            morning = await ai.ask("Write a Python function that adds two numbers")
    with hosting(lambda _request: say("Here I am."), faults=faults) as tired:
        both = {**tired.only("stage", strong), **tired.settings("spare", spare)}
        set_environment(monkeypatch, both)
        async with ymera.connect() as ai:
            noon = await ai.ask("Write a Python function that adds two numbers")
    assert morning.model == "stage/qwen3-coder-480b-a35b"
    assert (noon.model, noon.response) == ("spare/llama-3.2-1b-instruct", "Here I am.")
    first, second = records()
    assert [each.get("error_code") for each in attempts(first)] == [None]
    assert [each.get("error_code") for each in attempts(second)] == ["quota_day", None]


def attempts(record: dict[str, object]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(str(record["detail"]))["attempts"]
    return found


@pytest.mark.usefixtures("small_model")
def test_a_laptop_without_a_network_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three hosts have keys and are out of reach; the last place is the embedded model's."""
    with hosting(lambda _request: say("never")) as host:
        settings: dict[str, str] = {}
        for name in ("north", "south", "west"):
            settings |= host.settings(name, '["qwen3-coder-480b-a35b"]')
    set_environment(monkeypatch, settings)  # the port is closed by now
    done = run_process("Say hello", "--explain")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.strip()
    assert "Answered by local/smollm2-135m" in done.stderr.decode()
    (stored,) = records()
    errors = [each.get("error_code") for each in attempts(stored)]
    assert errors == ["transient", "transient", "transient", None]


def test_a_key_that_a_model_blurts_out_does_not_reach_the_client() -> None:
    key = "AKIA" + "J7QX2MZP5LRT3WVN"
    with (
        hosting(lambda _request: say(f"Use {key} for now.")) as host,
        serving(host.only()) as server,
        sdk(server) as client,
    ):
        said = "".join(streamed(client, "Which key does the example use?"))
    assert key not in said
    assert said.startswith("Use [redacted: ")
    assert said.endswith(" for now.")
