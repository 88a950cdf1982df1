"""What kind of task a request is."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Needs", "TaskComplexity", "TaskProfile", "TaskType"]


class TaskType(StrEnum):
    """The public task types (SURFACE section 1); callers may omit it, then it is inferred."""

    TEXT_GENERATION = "text_generation"
    CHAT = "chat"
    CODE_GENERATION = "code_generation"
    CODE_ANALYSIS = "code_analysis"
    REASONING = "reasoning"
    QUESTION_ANSWERING = "question_answering"
    RESEARCH = "research"
    DATA_ANALYSIS = "data_analysis"
    DATABASE_QUERY = "database_query"
    DOCUMENTATION = "documentation"
    SUMMARIZATION = "summarization"
    TRANSLATION = "translation"
    TOOL_USE = "tool_use"
    VISION = "vision"


class TaskComplexity(StrEnum):
    """How much the task asks of a model."""

    SIMPLE = "simple"
    MEDIUM = "medium"
    COMPLEX = "complex"


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """Hard requirements: a model that misses one is excluded, whatever its score."""

    tools: bool = False
    vision: bool = False
    json_schema: bool = False
    private: bool = False
    """Only local models and hosts known not to train on free traffic."""


class TaskProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What the router knows of a request.

    Attributes:
        type: public task type.
        complexity: simple, medium or complex.
        est_input_tokens: estimated prompt tokens, at least 1.
        est_output_tokens: tokens to leave room for, at least 1.
        output_bounded: True when the caller set `est_output_tokens` as the bound (`max_tokens`),
            False when it is a usual length that may be undercut, or a ceiling that the caller's
            dialect made it name.
        needs: hard requirements.
        type_probability: 0..1, how sure the classifier is; 1 when the caller said so.
        inferred: True when the type came from the classifier, False when from the caller.
    """

    type: TaskType
    complexity: TaskComplexity
    est_input_tokens: int
    est_output_tokens: int
    needs: Needs = Needs()
    type_probability: float = 1.0
    inferred: bool = False
    output_bounded: bool = False
