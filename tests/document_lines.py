"""The lines of the user's document that promise something: id, where it stands, what it means.

Rows of `tests/requirements.py`, apart because the document has so many of them.
"""
# ruff: noqa: E501 - a table, one promise a line

from __future__ import annotations

__all__ = ["DOCUMENT"]

# fmt: off
DOCUMENT: tuple[tuple[str, str, str], ...] = (
    ("document.phases", "document, components", "An agent does a task phase by phase, a model for each."),
    ("document.phase-context", "document, components", "What a phase made reaches the phases that use it, and no others."),
    ("document.strategies", "document, components", "A task is done by one model or by several, by its complexity or as the caller says."),
    ("document.phase-prompts", "document, components", "Each phase's prompt holds the task, its parameters and what it uses of earlier phases."),
    ("document.combine", "document, components", "Generation and review are combined to one result, and no combination makes it worse."),
    ("document.phase-errors", "document, components", "A failed phase is retried, moved to another model, or named by a partial result."),
    ("document.audit-lines", "document, components", "The audit log is JSON lines, one per request, in a file per day."),
    ("document.simple-task", "document, task 1", "The simple code task is answered with a function by the fast model, at cost 0."),
    ("document.medium-task", "document, task 1", "The REST API with CRUD is code that parses, by the model that is best at code."),
    ("document.complex-task", "document, task 1", "The code base is analysed in phases: planned by the fast model, researched with MCP, no phase failed."),
    ("document.two-models", "part 2, must show 1", "Two real models do different phases by the router's choice; without one, the other does them all."),
    ("document.training-record", "document, task 2", "Executions, successes, times and ratings are tracked per agent, task type and model."),
    ("document.training-formula", "document, task 2", "A score is 0.4 success rate + 0.3 / (1 + seconds) + 0.3 rating / 5; without history 0.5."),
    ("document.training-affinity", "document, task 2", "What one agent learned of a model on one task type stays apart from every other."),
    ("document.training-selection", "document, task 2", "What was learned changes which model is asked."),
    ("document.training-continuous", "document, task 2", "Every request teaches, and what was learned is there after a restart."),
    ("document.metrics-rate", "document, task 3", "The dashboard tells the number of requests, and of the last minute."),
    ("document.metrics-success", "document, task 3", "It tells the success rate and the error rate."),
    ("document.metrics-times", "document, task 3", "It tells mean and percentiles of response times; the high ones wait for enough samples."),
    ("document.metrics-models", "document, task 3", "It tells which models and agents were used most."),
    ("document.metrics-cost", "document, task 3", "It adds up known costs and counts the unknown ones."),
    ("document.metrics-errors", "document, task 3", "It counts errors by type."),
    ("document.dashboard-keys", "document, task 3", "`get_dashboard_data()` has the document's keys, with and without requests."),
    ("document.select-task-type", "document, testing strategy", "The model is chosen for the type of the task."),
    ("document.select-complexity", "document, testing strategy", "Easy tasks lean to the fast model, hard ones to the good one."),
    ("document.select-rate-limit", "document, testing strategy", "A vendor's limit keeps a request from where it does not fit."),
    ("document.select-fallback", "document, testing strategy", "What one model fails at, the next one is asked."),
    ("document.key-rotation", "document, testing strategy", "A key that is replaced is the one that is sent from then on."),
    ("document.agent-to-model", "document, testing strategy", "Every agent works with the models there are: who does what, what is recorded, what is private."),
    ("document.mcp-context", "document, testing strategy", "What an MCP server offers is brought into a question or a phase, and the record says so."),
    ("document.tools", "document, testing strategy", "A question that only a tool can answer is answered with it, and the record says so."),
    ("document.workflows", "document, testing strategy", "Whole ways through command line and server: begin, watch, cancel, carry on, rate, look back."),
    ("document.test-counts", "document, testing strategy", "There are as many test functions of each kind as the document asks for."),
    ("document.real-world", "document, testing strategy", "Each kind of everyday task works through the door people use for it."),
    ("document.scenario-simple-code", "document, testing strategy", "Simple code is written and runs."),
    ("document.scenario-complex-code", "document, testing strategy", "Complex code is written and can be used."),
    ("document.scenario-database", "document, testing strategy", "A database question is answered with SQL that runs."),
    ("document.scenario-data", "document, testing strategy", "Data is analysed into the JSON that was asked for."),
    ("document.scenario-documentation", "document, testing strategy", "A module is documented to its last function."),
    ("document.scenario-phases", "document, testing strategy", "A task in phases ends in a program and shows what each phase took."),
    ("document.models-callable", "document, validation checklist", "At least 38 free models are in the catalogue, each with a way to call it."),
    ("document.selection-works", "document, validation checklist", "The document's own prompts get their type, complexity and a model for it."),
    ("document.audit-complete", "document, validation checklist", "Every request stands once in the audit log with its outcome, also under load."),
    ("document.times-measured", "document, validation checklist", "Simple and complex tasks and the success rate are measured against the document's figures."),
    ("document.cost-zero", "document, validation checklist", "Without a budget nothing is ever spent."),
    ("document.deploy-setup", "document, deployment steps", "Step 1 works word for word in a fresh clone."),
    ("document.deploy-initialise", "document, deployment steps", "Step 2, the snippet that initialises, works word for word."),
    ("document.deploy-tests", "document, deployment steps", "Step 3, the pytest line, works word for word."),
    ("document.deploy-metrics", "document, deployment steps", "Step 4, the metrics snippet, works word for word."),
    ("document.validation-script", "document, final validation script", "`scripts/validate_phase_2e.py` is green on a sound installation and red with a hint on a broken one."),
    ("monitoring.agreement", "part 2, must show 6", "64 callers for a minute: what they saw, the metrics, the records and the audit log agree exactly."),
)
# fmt: on
