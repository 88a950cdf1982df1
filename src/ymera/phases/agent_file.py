"""One agent's TOML file: read, checked, and every fault named with its line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from ymera.core.errors import ConfigError
from ymera.core.task import TaskComplexity, TaskType
from ymera.phases.checks import REVIEW_SCHEMA
from ymera.phases.dag import in_order, uses
from ymera.phases.templates import template_problems
from ymera.phases.toml_lines import KeyPath, TomlLines
from ymera.phases.types import (
    AgentSpec,
    ArtefactKind,
    Budget,
    OutputContract,
    Parameter,
    PhaseSpec,
    Strategy,
)
from ymera.routing.policies import ALIASES

__all__ = ["ANY_USD", "read_agent"]

ANY_USD = Decimal(10_000)
"""Money of an agent that names no bound: what the configuration allows."""

_T = TypeVar("_T")
_Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
_Positive = Annotated[int, Meta(ge=1, le=1_000_000_000)]
_Seconds = Annotated[float, Meta(gt=0, le=604_800)]
_Tokens = Annotated[int, Meta(ge=1, le=1_000_000)]
_Text = Annotated[str, Meta(min_length=1, max_length=100_000)]


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    kind: ArtefactKind = ArtefactKind.TEXT
    language: _Text | None = None
    schema: dict[str, object] | str | None = None
    min_chars: Annotated[int, Meta(ge=0, le=1_000_000)] = 1


class _Phase(msgspec.Struct, forbid_unknown_fields=True):
    task_type: TaskType
    prompt: _Text
    name: _Name = "answer"
    system: str = ""
    after: tuple[str, ...] = ()
    complexity: TaskComplexity | None = None
    model: _Text = "auto"
    output: dict[str, object] | None = None
    tools: tuple[_Text, ...] = ()
    context: tuple[_Text, ...] = ()
    review_of: str | None = None
    revises: str | None = None
    optional: bool = False
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    max_tokens: _Tokens | None = None
    context_tokens: _Tokens | None = None
    timeout_s: _Seconds = 600.0


class _Parameter(msgspec.Struct, forbid_unknown_fields=True):
    description: str = ""
    required: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()


class _Budget(msgspec.Struct, forbid_unknown_fields=True):
    calls: _Positive = 40
    tokens: _Positive = 200_000
    usd: Annotated[Decimal, Meta()] = ANY_USD
    seconds: _Seconds = 1800.0


class _Agent(msgspec.Struct, forbid_unknown_fields=True):
    description: _Text
    single: dict[str, object]
    phases: tuple[dict[str, object], ...] = ()
    strategy: Strategy | None = None
    parameters: dict[_Name, dict[str, object]] = {}
    budget: dict[str, object] = {}
    result: str | None = None


_WORDS: dict[str, type[TaskType] | type[TaskComplexity] | type[Strategy] | type[ArtefactKind]] = {
    "task_type": TaskType,
    "complexity": TaskComplexity,
    "strategy": Strategy,
    "kind": ArtefactKind,
}
_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$", re.DOTALL)


def read_agent(name: str, text: str, *, where: str) -> AgentSpec:
    """Return the agent in a file.

    Args:
        name: of the agent.
        text: of the file.
        where: names the file in errors.

    Raises:
        ConfigError: something is wrong with it; the message names file, line and key.
    """
    return _Reader(text, where).agent(name)


@dataclass
class _Reader:
    """One file while it is read."""

    text: str
    where: str

    def __post_init__(self) -> None:
        try:
            self._table: dict[str, object] = tomllib.loads(self.text, parse_float=Decimal)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f"{self.where}: not valid TOML: {error}.", hint="Correct the file at that place."
            ) from error
        self._lines = TomlLines(self.text)

    def agent(self, name: str) -> AgentSpec:
        row = self._convert(self._table, _Agent, ())
        single = self._phase(row.single, ("single",))
        phases = tuple(self._phase(each, ("phases", at)) for at, each in enumerate(row.phases))
        for at, each in enumerate(row.phases):
            if "name" not in each:
                self._fail(("phases", at), "has no name", "Name each phase: name = 'plan'.")
        parameters = {
            key: self._parameter(each, ("parameters", key)) for key, each in row.parameters.items()
        }
        budget = self._convert(row.budget, _Budget, ("budget",))
        if budget.usd < 0 or not budget.usd.is_finite():
            self._fail(("budget", "usd"), "must be 0 or more")
        agent = AgentSpec(
            name=name,
            description=row.description,
            phases=self._ordered(phases),
            single=single,
            strategy=row.strategy,
            parameters=parameters,
            budget=Budget(
                calls=budget.calls,
                tokens=budget.tokens,
                usd=budget.usd,
                seconds=float(budget.seconds),
            ),
            result=row.result,
        )
        self._check_references(agent, phases)
        self._check_templates(agent, phases)
        self._check_budget(agent)
        return agent

    def _phase(self, table: dict[str, object], path: KeyPath) -> PhaseSpec:
        row = self._convert(table, _Phase, path)
        if row.model not in ALIASES and "/" not in row.model:
            known = f"Aliases: {', '.join(ALIASES)}; a model is `provider/name`."
            near = _nearest(row.model, ALIASES)
            self._fail((*path, "model"), f"{row.model!r} is no alias and no model{near}", known)
        return PhaseSpec(
            name=row.name,
            task_type=row.task_type,
            prompt=row.prompt,
            system=row.system,
            after=row.after,
            complexity=row.complexity,
            model=row.model,
            output=self._output(row, path),
            tools=row.tools,
            context=row.context,
            review_of=row.review_of,
            revises=row.revises,
            optional=row.optional,
            retries=row.retries,
            max_tokens=row.max_tokens,
            context_tokens=row.context_tokens,
            timeout_s=float(row.timeout_s),
        )

    def _output(self, phase: _Phase, path: KeyPath) -> OutputContract:
        if phase.output is None and phase.review_of is not None:
            return OutputContract(kind=ArtefactKind.JSON, schema=REVIEW_SCHEMA)
        place = (*path, "output")
        row = self._convert(phase.output or {}, _Output, place)
        schema = None if row.schema is None else self._schema(row.schema, (*place, "schema"))
        if schema is not None and row.kind is not ArtefactKind.JSON:
            self._fail((*place, "schema"), "goes with kind = 'json' only")
        return OutputContract(
            kind=row.kind, language=row.language, schema=schema, min_chars=row.min_chars
        )

    def _schema(self, given: dict[str, object] | str, path: KeyPath) -> str:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        try:
            schema = msgspec.json.decode(given) if isinstance(given, str) else given
            Draft202012Validator.check_schema(schema)
        except msgspec.DecodeError as error:
            self._fail(path, f"is not valid JSON: {error}")
        except SchemaError as error:
            self._fail(path, f"is no JSON Schema: {error.message[:200]}")
        return msgspec.json.encode(schema).decode()

    def _parameter(self, table: dict[str, object], path: KeyPath) -> Parameter:
        row = self._convert(table, _Parameter, path)
        if row.required and row.default is not None:
            self._fail((*path, "default"), "of a required parameter is never used")
        if row.choices and row.default is not None and row.default not in row.choices:
            self._fail((*path, "default"), f"{row.default!r} is none of its choices")
        return Parameter(
            description=row.description,
            required=row.required,
            default=row.default,
            choices=row.choices,
        )

    def _ordered(self, phases: tuple[PhaseSpec, ...]) -> tuple[PhaseSpec, ...]:
        names = [phase.name for phase in phases]
        for at, phase in enumerate(phases):
            if phase.name in names[:at]:
                self._fail(("phases", at, "name"), f"{phase.name!r} stands twice")
            for used in uses(phase):
                if used not in names:
                    key = _key_that_names(phase, used)
                    near = _nearest(used, names)
                    hint = f"Phases: {', '.join(names)}."
                    self._fail(("phases", at, key), f"{used!r} is no phase{near}", hint)
        try:
            return in_order(phases)
        except ConfigError as error:
            first = next((at for at, name in enumerate(names) if f" {name} " in error.message), 0)
            hint = error.hint or "A phase may use only what was made before it."
            message = error.message.removesuffix(".").replace("The phases form", "form")
            self._fail(("phases", first, "after"), message, hint)

    def _check_references(self, agent: AgentSpec, phases: tuple[PhaseSpec, ...]) -> None:
        names = [phase.name for phase in phases]
        if agent.result is not None and agent.result not in names:
            self._fail(("result",), f"{agent.result!r} is no phase{_nearest(agent.result, names)}")
        if uses(agent.single):
            key = _key_that_names(agent.single, uses(agent.single)[0])
            self._fail(("single", key), "cannot use other phases: there are none")
        if agent.strategy is Strategy.MULTI_MODEL and not phases:
            self._fail(("strategy",), "is 'multi_model', but there are no phases")

    def _check_templates(self, agent: AgentSpec, phases: tuple[PhaseSpec, ...]) -> None:
        for phase, path in self._phases(agent, phases):
            language = phase.output.language
            for key, source in (
                (("prompt",), phase.prompt),
                (("system",), phase.system),
                (("output", "language"), language or ""),
            ):
                artefacts = uses(phase) if key != ("output", "language") else ()
                for line, problem in template_problems(source, set(agent.parameters), artefacts):
                    place = (*path, *key)
                    at = self._lines.text_line_of(place) + line - 1
                    self._fail(place, problem, line=at)

    def _phases(
        self, agent: AgentSpec, phases: tuple[PhaseSpec, ...]
    ) -> Iterator[tuple[PhaseSpec, KeyPath]]:
        yield agent.single, ("single",)
        for at, phase in enumerate(phases):
            yield phase, ("phases", at)

    def _check_budget(self, agent: AgentSpec) -> None:
        needed = sum(not phase.optional for phase in agent.phases)
        if agent.budget.calls < needed:
            self._fail(
                ("budget", "calls"),
                f"{agent.budget.calls} calls are too few for {needed} phases",
                "Each phase that is not optional needs at least one call.",
            )

    def _convert(self, value: object, kind: type[_T], path: KeyPath) -> _T:
        try:
            return msgspec.convert(value, type=kind, strict=True)
        except msgspec.ValidationError as error:
            message = str(error)
            found = _PLACE.search(message)
            steps: KeyPath = ()
            if found is not None:
                message = message[: found.start()]
                steps = tuple(name or int(index) for name, index in _STEP.findall(found["path"]))
            self._refuse(message, value, (*path, *steps), steps, kind)

    def _refuse(
        self, message: str, value: object, path: KeyPath, steps: KeyPath, kind: type
    ) -> NoReturn:
        unknown = _UNKNOWN.match(message)
        if unknown is not None:
            name, known = unknown["name"], msgspec.structs.fields(kind)
            names = [field.name for field in known]
            hint = f"Keys: {', '.join(names)}."
            self._fail((*path, name), f"is no key{_nearest(name, names)}", hint)
        missing = _MISSING.match(message)
        if missing is not None:
            self._fail((*path, missing["name"]), "is missing")
        words = _WORDS.get(str(path[-1])) if path else None
        given = _at(value, steps)
        if words is not None and isinstance(given, str):
            what = str(path[-1]).replace("_", " ")
            near = _nearest(given, list(words))
            self._fail(path, f"{given!r} is no {what}{near}", f"One of: {', '.join(words)}.")
        self._fail(path, message[0].lower() + message[1:])

    def _fail(
        self, path: KeyPath, problem: str, hint: str | None = None, *, line: int | None = None
    ) -> NoReturn:
        key = _dotted(path)
        at = self._lines.line_of(path) if line is None else line
        said = problem if problem.startswith(("is ", "has ", "must ", "goes ", "cannot ")) else ""
        sentence = f"{key} {said}" if said else f"{key}: {problem}"
        end = "" if sentence.endswith("?") else "."
        raise ConfigError(
            f"{self.where} line {at}: {sentence}{end}",
            hint=hint or "docs/agents.md describes every key.",
            param=key,
        )


def _key_that_names(phase: PhaseSpec, used: str) -> str:
    if used in phase.after:
        return "after"
    return "review_of" if used == phase.review_of else "revises"


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, [str(each) for each in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _at(value: object, steps: KeyPath) -> object:
    for step in steps:
        match value, step:
            case dict(), str():
                value = value.get(step)
            case list(), int() if step < len(value):
                value = value[step]
            case _:
                return None
    return value


def _dotted(path: KeyPath) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
