"""From a request to what the router needs to know of it."""

from __future__ import annotations

from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    prompt_text,
)
from ymera.core.model import Dialect
from ymera.core.task import Needs, TaskComplexity, TaskProfile, TaskType
from ymera.routing.classify import TaskClassifier
from ymera.routing.complexity import infer_complexity
from ymera.routing.estimate import default_output_tokens, input_tokens

__all__ = ["profile"]

_NAMES_A_CEILING = frozenset({Dialect.ANTHROPIC})
"""Dialects in which `max_tokens` has to be named, so that it says nothing of what is wanted."""

_NOTHING_SPECIAL = Needs()


def profile(
    request: ChatRequest, classifier: TaskClassifier, default_complexity: TaskComplexity
) -> TaskProfile:
    """Return the profile of `request`.

    What the caller says wins; then what the request carries (images make it `vision`, tools make
    it `tool_use`); only then the prompt is classified.

    Args:
        request: the request.
        classifier: infers the type from the last user turn.
        default_complexity: where neither the caller nor the prompt shows one.
    """
    needs = _needs(request)
    text = prompt_text(request)
    task_type, complexity, probability = _classify(request, needs, text, classifier)
    complexity = request.hints.complexity or complexity or default_complexity
    prompt_tokens = input_tokens(request)
    max_tokens = request.sampling.max_tokens
    ceiling = request.verbatim is not None and request.verbatim.dialect in _NAMES_A_CEILING
    usual = default_output_tokens(task_type, complexity, prompt_tokens)
    return TaskProfile(
        type=task_type,
        complexity=complexity,
        est_input_tokens=prompt_tokens,
        est_output_tokens=min(max_tokens or usual, usual) if ceiling else max_tokens or usual,
        output_bounded=max_tokens is not None and not ceiling,
        needs=needs,
        type_probability=probability,
        inferred=request.hints.task_type is None,
    )


def _classify(
    request: ChatRequest, needs: Needs, text: str, classifier: TaskClassifier
) -> tuple[TaskType, TaskComplexity | None, float]:
    known = request.hints.task_type
    if known is None and needs.vision:
        known = TaskType.VISION
    if known is None and needs.tools:
        known = TaskType.TOOL_USE
    if known is None:
        return classifier.classify(text)
    if request.hints.complexity is not None:
        return known, request.hints.complexity, 1.0
    return known, infer_complexity(text, known), 1.0


def _needs(request: ChatRequest) -> Needs:
    shape = request.response_format
    tools = bool(request.tools) and request.tool_choice != "none"
    schema = shape is not None and shape.schema is not None
    vision, private = _has_images(request), request.hints.private
    if not (tools or schema or vision or private):
        return _NOTHING_SPECIAL
    return Needs(tools=tools, vision=vision, json_schema=schema, private=private)


def _has_images(request: ChatRequest) -> bool:
    for message in request.messages:
        for part in message.content:
            if type(part) is ImagePart:
                return True
    return False
