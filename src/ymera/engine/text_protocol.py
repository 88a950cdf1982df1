"""Tools for models that cannot call any: small steps, each answer forced into a schema.

The smaller the model, the less it may be asked at once. So rules do what rules can (which tools
come into question, which files and tables bear on it), and the model decides one thing at a time:
which tool, its arguments, then whether the answer stands in what came back. An answer whose
names and numbers stand nowhere in what came back is not believed, and the next tool is tried.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from ymera.core.answer import ChatAnswer
from ymera.core.chat import (
    ChatRequest,
    Message,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
    prompt_text,
)
from ymera.core.task import TaskType
from ymera.core.tool import ContextItem, Tool, ToolResult, Trust
from ymera.engine import text_prompts as prompts
from ymera.engine import text_reading as reading
from ymera.engine.tool_loop_session import ToolSession, told, with_context
from ymera.tools.context import about_tool, focus
from ymera.tools.schemas import with_defaults

__all__ = ["TextProtocol"]

_MAX_QUESTION_CHARS = 600
_MAX_STEP_TOKENS = 200
_MAX_NAME_TOKENS = 60
_MAX_TRIES_PER_TOOL = 3
_MAX_RESULT_CHARS = 3000
_MAX_ABOUT_CHARS = 3000
_SHOWN_FAILURES = 2
_RETRY_TEMPERATURE = 0.8
_SEED = 1
_MAX_CHARS_READ_TWICE = 500
_NO_TOOL = "none"
_ASKING = frozenset(
    {
        TaskType.QUESTION_ANSWERING,
        TaskType.CHAT,
        TaskType.DATABASE_QUERY,
        TaskType.TOOL_USE,
        TaskType.RESEARCH,
        TaskType.DATA_ANALYSIS,
        None,
    }
)


class TextProtocol:
    """Answers one question.

    Args:
        session: the question, its bounds and its doors.
        offered: tools that may be called.
    """

    def __init__(self, session: ToolSession, offered: Sequence[Tool]) -> None:
        self._session = session
        self._question = prompt_text(session.request)
        self._about: dict[str, str] = {}
        self._content: list[ContextItem] = []
        for item in session.context:
            tool = about_tool(item)
            if tool is None:
                self._content.append(item)
            else:
                self._about[tool] = f"{self._about.get(tool, '')}\n{item.text}".strip()
        self._offered = tuple(offered)
        self._results: list[ContextItem] = []
        self._failures: list[ContextItem] = []
        self._spent: set[str] = set()

    async def answer(self) -> ChatAnswer:
        """Return the answer.

        Raises:
            YmeraError: as the gateway.
        """
        if self._content and self._is_short_question():
            found = await self._read_off(self._content)
            if found is not None:
                return found
        while self._session.may_call and (tool := await self._chosen()) is not None:
            result = await self._call(tool)
            if result and self._is_short_question():
                found = await self._read_off(self._results[-1:])
                if found is not None:
                    return found
            self._spent.add(tool.name)
        return await self._session.ask(
            msgspec.structs.replace(
                self._session.request,
                messages=with_context(
                    self._session, more=(*self._results, *self._failures[-_SHOWN_FAILURES:])
                ),
            )
        )

    def _is_short_question(self) -> bool:
        """Whether the answer is a fact to be read off, not a text to be written."""
        request = self._session.request
        turns = sum(message.role is not Role.SYSTEM for message in request.messages)
        return (
            turns == 1
            and request.response_format is None
            and request.hints.task_type in _ASKING
            and request.hints.phase is None
            and len(self._question) <= _MAX_QUESTION_CHARS
        )

    async def _chosen(self) -> Tool | None:
        """Return the tool to call next; None when there is nothing more to try.

        A question for a fact that tools bear on begins with one of them: asked, a small model
        would rather guess.
        """
        ranked = prompts.shortlist(
            self._question,
            [tool for tool in self._offered if tool.name not in self._spent],
            self._about,
            self._known(),
        )
        begins = not self._spent and self._is_short_question()
        if begins and (first := prompts.clearly_first(ranked)) is not None:
            return first
        if not ranked:
            return None
        left = [tool for _, tool in ranked]
        none = None if begins else _NO_TOOL
        names = [*(tool.name for tool in left), *([none] if none else [])]
        prompt = prompts.choose(self._question, left, self._about, none=none)
        reply = await self._step(prompt, prompts.choice_schema("tool", names), _MAX_NAME_TOKENS)
        name = reply.get("tool")
        return next((tool for tool in left if tool.name == name), None)

    def _known(self) -> str:
        return "\n".join(item.text for item in self._results)

    async def _call(self, tool: Tool) -> bool:
        """Call a tool, letting the model mend its arguments; return whether it may have helped."""
        failures: list[str] = []
        for _ in range(_MAX_TRIES_PER_TOOL):
            arguments = await self._arguments(tool, failures)
            if not self._session.may_call or self._session.was_made(
                tool.name, with_defaults(tool, arguments)
            ):
                break
            result = await self._session.call(tool, with_defaults(tool, arguments))
            if not result.is_error and not reading.is_empty(result.text):
                self._results.append(self._brought(tool, result))
                # What was not asked for by arguments has to show that it is about the question.
                return bool(arguments) or reading.may_answer(result.text, self._question)
            failures.append(prompts.failure(arguments, told(result)))
            if result.error_code not in {"tool_error", "invalid_arguments", None}:
                break
        if failures:
            text = f"{tool.name} gave nothing: {failures[-1]}"
            self._failures.append(
                ContextItem(text=text, source=f"tool:{tool.name}", trust=Trust.TOOL)
            )
        return False

    async def _arguments(self, tool: Tool, failures: Sequence[str]) -> dict[str, object]:
        schema = prompts.arguments_schema(
            tool, self._question, self._known(), self._about.get(tool.name, "")
        )
        fixed = prompts.only_arguments(schema)
        if fixed is not None:
            return fixed
        prompt = prompts.arguments(
            self._question,
            tool,
            schema,
            focus(self._about.get(tool.name, ""), self._question, _MAX_ABOUT_CHARS)[0],
            [item.text[:_MAX_RESULT_CHARS] for item in self._results[-1:]],
            failures,
        )
        # The same words would give the same mistake again.
        temperature = _RETRY_TEMPERATURE if failures else 0.0
        return await self._step(prompt, schema, _MAX_STEP_TOKENS, temperature)

    def _brought(self, tool: Tool, result: ToolResult) -> ContextItem:
        whole = told(result)
        records = reading.focused_records(whole, self._question)
        text, cut = focus(records, self._question, _MAX_RESULT_CHARS)
        cut += len(whole) - len(records)
        return ContextItem(
            text=text,
            source=f"tool:{tool.name}",
            trust=Trust.TOOL,
            cut_chars=result.cut_chars + cut,
        )

    async def _read_off(self, items: Sequence[ContextItem]) -> ChatAnswer | None:
        """Return the answer if it stands in these texts, else None."""
        shown = [
            msgspec.structs.replace(item, text=reading.readable(item.text, self._question))
            for item in items
        ]
        source = "\n".join(item.text for item in shown)
        answer = await self._read(prompts.read_off(self._question, shown))
        if reading.is_grounded(answer.text, source, self._question):
            return answer
        if len(source) <= _MAX_CHARS_READ_TWICE:  # in other words it may see what it overlooked
            answer = await self._read(prompts.read_off(self._question, shown, again=True))
            if reading.is_grounded(answer.text, source, self._question):
                return answer
        fact = reading.only_fact(source)
        return None if fact is None else msgspec.structs.replace(answer, text=fact)

    async def _read(self, prompt: str) -> ChatAnswer:
        answer = await self._ask(prompt, prompts.READ_OFF_SCHEMA, _MAX_STEP_TOKENS)
        text = str(_decoded(answer.text).get("answer", "")).strip()
        return msgspec.structs.replace(answer, text=text)

    async def _step(
        self,
        prompt: str,
        schema: Mapping[str, object],
        max_tokens: int,
        temperature: float = 0.0,
    ) -> dict[str, object]:
        return _decoded((await self._ask(prompt, schema, max_tokens, temperature)).text)

    async def _ask(
        self,
        prompt: str,
        schema: Mapping[str, object],
        max_tokens: int,
        temperature: float = 0.0,
    ) -> ChatAnswer:
        request = self._session.request
        system = "".join(
            message.text + "\n" for message in request.messages if message.role is Role.SYSTEM
        )
        hints = request.hints
        return await self._session.ask(
            ChatRequest(
                model=request.model,
                messages=(
                    Message(role=Role.SYSTEM, content=(TextPart(system + prompts.SYSTEM),)),
                    Message(role=Role.USER, content=(TextPart(prompt),)),
                ),
                response_format=ResponseFormat(
                    schema=msgspec.Raw(msgspec.json.encode(schema)),
                    name="step",
                    strict=True,
                    checked=False,
                ),
                sampling=Sampling(max_tokens=max_tokens, temperature=temperature, seed=_SEED),
                hints=msgspec.structs.replace(
                    hints, task_type=hints.task_type or TaskType.QUESTION_ANSWERING
                ),
            )
        )


_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


def _decoded(text: str) -> dict[str, object]:
    """Return the JSON object of an answer; empty when a bound cut it off."""
    match = _OBJECT.search(text)
    try:
        return msgspec.json.decode(match.group() if match else text, type=dict[str, object])
    except msgspec.DecodeError:
        return {}
