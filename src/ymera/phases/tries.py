"""One try after the other: the request of each, and whether there is another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from ymera.core.chat import (
    ChatRequest,
    Message,
    RequestHints,
    ResponseFormat,
    Role,
    Sampling,
    TextPart,
)
from ymera.phases.prompt import Prompt
from ymera.phases.types import ArtefactKind, PhaseSpec, RunSpec
from ymera.routing.estimate import default_output_tokens, text_tokens
from ymera.routing.policies import ALIASES

__all__ = ["MAX_OTHER_MODELS", "Tries", "answer_tokens", "prompt_tokens"]

MAX_OTHER_MODELS = 2
"""Models that are asked after the first one's answers failed their checks."""

_MOST_ANSWER_TOKENS = 16_384
_FIRST_RETRY_TEMPERATURE = 0.4
_HOTTEST = 1.0


def answer_tokens(spec: RunSpec, phase: PhaseSpec) -> int:
    """Return the most tokens the phase's answer may have."""
    complexity = phase.complexity or spec.complexity
    return phase.max_tokens or default_output_tokens(phase.task_type, complexity, 1)


def prompt_tokens(spec: RunSpec, phase: PhaseSpec, context_tokens: int) -> int:
    """Return the most tokens of the phase's prompt: what its answer leaves, but at least half.

    Args:
        spec: the run.
        phase: the phase; its own `context_tokens` wins.
        context_tokens: of the smallest model likely to be asked.
    """
    room = context_tokens - answer_tokens(spec, phase)
    return phase.context_tokens or max(context_tokens // 2, room)


@dataclass
class Tries:
    """The tries of one phase: same model again, then others, then no more.

    Attributes:
        spec, phase, prompt: what is asked.
        room: most tokens of the prompt; a rejected answer is quoted where it fits in.
        alone: the prompt without what other phases only advise; None where nothing would go.
            Retries take it: small models copy what is wrong in it.
        has_other: whether a request would go to a model that it does not avoid.
        avoid: models to ask last, with why.
        total: tries made.
        structured: whether the answer's form is asked for as such.
    """

    spec: RunSpec
    phase: PhaseSpec
    prompt: Prompt
    room: int
    has_other: Callable[[ChatRequest], bool]
    alone: Prompt | None = None
    avoid: dict[str, str] = field(default_factory=dict)
    total: int = 0
    structured: bool = True
    _with_this_model: int = 0
    _others: int = 0
    _doublings: int = 0
    _rejected: tuple[str, str] | None = None

    @property
    def is_alone(self) -> bool:
        """Whether the next try leaves out what other phases only advise."""
        return self.alone is not None and self._rejected is not None

    def request(self) -> ChatRequest:
        """Return the next request."""
        spec, phase = self.spec, self.phase
        tokens = answer_tokens(spec, phase) * 2**self._doublings
        warmth = min(_HOTTEST, _FIRST_RETRY_TEMPERATURE + 0.2 * (self.total - 1))
        return ChatRequest(
            model=phase.model,
            messages=self._messages(),
            response_format=self._response_format(),
            sampling=Sampling(
                max_tokens=min(tokens, _MOST_ANSWER_TOKENS),
                temperature=warmth if self.total else None,  # the same again would fail again
            ),
            hints=RequestHints(
                task_type=phase.task_type,
                complexity=phase.complexity or spec.complexity,
                private=spec.private,
                fresh=True,
                agent=spec.agent.name,
                run_id=spec.id,
                phase=phase.name,
                avoid_models=dict(self.avoid),
            ),
        )

    def rejected(self, model: str, answer: str, problem: str, *, needs_room: bool) -> bool:
        """Note an answer that failed its checks; return whether there is another try.

        Args:
            model: what answered.
            answer: what it said; empty to not quote it.
            problem: what is wrong with it.
            needs_room: whether it was cut, so that the next may be longer.
        """
        self._doublings += needs_room
        self._rejected = (answer, problem)
        again = self._again()
        if self._others and model in self.avoid:
            return False  # there is no other: it was asked although it is to be avoided
        if again:
            return True
        pinned = self.phase.model not in ALIASES
        if pinned or model in self.avoid or self._others >= MAX_OTHER_MODELS:
            return False
        self.avoid[model] = "failed its checks"
        self._others += 1
        self._with_this_model, self._rejected = 0, None
        return self.has_other(self.request())

    def failed(self, *, retryable: bool) -> bool:
        """Note a call without an answer; return whether there is another try.

        The gateway has asked every candidate by then, so there is no other model to turn to.
        """
        return self._again() and retryable

    @property
    def turns_to_another(self) -> bool:
        """Whether the next try is the first with another model."""
        return self._others > 0 and self._with_this_model == 0

    def _again(self) -> bool:
        self.total += 1
        self._with_this_model += 1
        return self._with_this_model <= self.phase.retries

    def _response_format(self) -> ResponseFormat | None:
        output = self.phase.output
        if not self.structured or output.kind is not ArtefactKind.JSON:
            return None
        schema = None if output.schema is None else msgspec.Raw(output.schema)
        return ResponseFormat(schema=schema, name=self.phase.name, checked=False)

    def _messages(self) -> tuple[Message, ...]:
        messages = self.alone.messages if self.is_alone and self.alone else self.prompt.messages
        if self._rejected is None or not self._tells_what_was_wrong:
            return messages
        answer, problem = self._rejected
        wish = f"That was not accepted: {problem} Give the whole answer again, corrected."
        taken = sum(text_tokens(message.text) for message in messages) + text_tokens(wish)
        if answer and taken + text_tokens(answer) <= self.room:
            return (*messages, _turn(Role.ASSISTANT, answer), _turn(Role.USER, wish))
        asked = messages[-1]
        wish = f"{asked.text}\n\nAn earlier answer was not accepted: {problem}"
        return (*messages[:-1], _turn(Role.USER, wish))

    @property
    def _tells_what_was_wrong(self) -> bool:
        """Whether a retry quotes the answer before it; the last ones are fresh tries again."""
        return self._with_this_model == 2 or (self._with_this_model == 1 and not self.is_alone)


def _turn(role: Role, text: str) -> Message:
    return Message(role=role, content=(TextPart(text),))
